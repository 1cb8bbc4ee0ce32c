import Foundation
import Processes
import Testing

/// What `capture` writes.
@Suite struct OutputTests {
  @Test("capture writes the command's stdout to stdout and its stderr to stderr")
  func eachStreamGoesWhereTheCommandWroteIt() async throws {
    let result = try await run(command: shell("echo out; echo err >&2; echo more"))
    #expect(result.text == "out\nmore\n")
    #expect(result.stderr == "err\n")
    #expect(result.exit == .exited(0))
  }

  @Test("capture passes all byte values on unchanged, and encodes them in JSON")
  func bytesAreNotTouched() async throws {
    let all = (0...255).map { "\\" + String($0, radix: 8) }.joined()
    let result = try await run(command: shell("printf '\(all)'"))
    #expect(Array(result.stdout) == Array(0...255))
    let report = try Report(try await run("--json", command: shell("printf '\(all)'")).stdout)
    #expect(Array(report.chunks.flatMap(\.data_b64)) == Array(0...255))
  }

  @Test("[head] capture --head writes the beginning, how much was lost, and the end")
  func head() async throws {
    let result = try await run("--head", "1000", command: ["seq", "1000000"])
    let all = Array((1...1_000_000).map { "\($0)\n" }.joined().utf8)
    let rest = result.stdout.count - 1_000
    #expect(Array(result.stdout.prefix(1_000)) == Array(all.prefix(1_000)))
    #expect(Array(result.stdout.suffix(rest)) == Array(all.suffix(rest)))
    #expect(result.stderr.hasPrefix("capture: \(all.count - 1_000 - rest) bytes ("))
    #expect(result.stderr.hasSuffix(" chunks) lost; the last \(rest) follow\n"))
  }

  @Test("[head] capture --head --json writes the head's chunks first, and counts the rest")
  func headAsJSON() async throws {
    let report = try Report(
      try await run("--head", "1000", "--json", command: ["seq", "1000000"]).stdout)
    let seqs = report.chunks.map(\.seq)
    #expect(seqs.first == 1)
    #expect(zip(seqs, seqs.dropFirst()).filter { $1 != $0 + 1 }.count == 1)
    #expect(report.chunkBytes + report.summary.lost_bytes == 6_888_896)
  }

  @Test("A head whose chunks are of both streams goes to both")
  func headOfBothStreams() async throws {
    let ring = NSTemporaryDirectory() + "capture-head-" + UUID().uuidString
    let go = ring + ".go"
    defer { for path in [ring, go] { try? FileManager.default.removeItem(atPath: path) } }
    // The flood begins when the head is complete: otherwise it could get ahead of the other stream.
    let script = """
      echo one; echo two >&2; while ! test -e '\(go)'; do sleep 0.01; done; seq 1000000
      """
    let capture = try await Run("--head", "8", "--ring", ring, command: shell(script))
    #expect(await eventually { (try? RecordedSession(at: ring))?.totalBytes == 8 })
    #expect(FileManager.default.createFile(atPath: go, contents: nil))
    let result = try await capture.result()
    #expect(Array(result.stdout.prefix(4)) == Array("one\n".utf8))
    #expect(result.stderr.hasPrefix("two\ncapture: "))
  }

  @Test("capture reports the lost bytes before it writes the retained ones")
  func theLossComesFirst() async throws {
    let result = try await run(command: ["seq", "1000000"])
    let retained = result.stdout.count
    let lost = 6_888_896 - retained
    #expect(900_000...1_048_576 ~= retained)
    #expect(result.stderr.hasPrefix("capture: \(lost) bytes ("))
    #expect(result.stderr.hasSuffix(" chunks) lost; the last \(retained) follow\n"))
    #expect(result.text.hasSuffix("\n999999\n1000000\n"))
  }

  @Test("capture --on-failure writes nothing when the command succeeds")
  func onFailureIsSilentAboutSuccess() async throws {
    let success = try await run("--on-failure", command: shell("echo out; echo err >&2"))
    #expect(success.stdout.isEmpty)
    #expect(success.stderr.isEmpty)
    let failure = try await run("--on-failure", command: shell("echo out; echo err >&2; exit 1"))
    #expect(failure.text == "out\n")
    #expect(failure.stderr == "err\n")
    #expect(failure.exit == .exited(1))
  }

  @Test("capture --live writes output before the command ends")
  func liveComesBeforeTheEnd() async throws {
    let capture = try await Run("--live", command: shell("echo first; read x <&0; exec sleep 1000"))
    #expect(await eventually { capture.stdout == Data("first\n".utf8) })
    #expect(capture.process.isRunning)
    try capture.process.signal(.terminate)
    let result = try await capture.result()
    #expect(result.exit == .signaled(SIGTERM))
  }

  @Test("capture --live --json writes every chunk or counts it as missed")
  func liveWritesEverythingOrCountsIt() async throws {
    let result = try await run("--live", "--json", command: ["seq", "3000000"])
    let report = try Report(result.stdout)
    #expect(report.summary.total_bytes == 22_888_896)
    #expect(report.chunkBytes + report.summary.missed_bytes == 22_888_896)
    #expect(report.summary.retained_bytes + report.summary.lost_bytes == 22_888_896)
    #expect(report.chunks.count == report.summary.chunks)
    #expect(report.chunks.count + report.summary.missed_chunks == report.chunks.last?.seq)
  }

  @Test("capture --stats reports chunks, bytes, time and throughput")
  func statistics() async throws {
    let result = try await run("--stats", command: shell("printf 12345"))
    #expect(result.text == "12345")
    let summary = /capture: 1 chunks, 5 bytes, 5 retained, 0 lost, \d+\.\d{3} s, \d+\.\d MB\/s\n/
    #expect(result.stderr.wholeMatch(of: summary) != nil, "\(result.stderr)")
  }

  @Test("capture --help names the options, the statuses and the JSON fields")
  func helpSaysWhatThereIs() async throws {
    let result = try await Run(arguments: ["--help"]).result()
    #expect(result.exit == .exited(0))
    for word in [
      "--live", "--no-live", "--json", "--on-failure", "--stats", "127", "retained_bytes",
      "EXAMPLES", "1048576", "64512", "--generate-completion-script",
    ] {
      #expect(result.text.contains(word))
    }
  }
}

/// What `capture --json` writes.
@Suite struct JSONTests {
  @Test("capture --json writes one line for each chunk and a summary, with exactly these fields")
  func exactlyTheseLines() async throws {
    let result = try await run("--json", command: shell("printf hello; exit 3"))
    let lines = """
      {"seq":1,"stream":"stdout","offset":0,"data_b64":"aGVsbG8="}
      {"exit_code":3,"alive":false,"closed":true,"chunks":1,"retained_bytes":5,"lost_bytes":0,\
      "total_bytes":5,"missed_chunks":0,"missed_bytes":0,"signal":null,"timed_out":false,"seconds":
      """
    #expect(result.text.hasPrefix(lines))
    // The time, which differs.
    let rest = result.text.dropFirst(lines.count)
    #expect(rest.hasSuffix("}\n"), "\(rest)")
    #expect(Double(rest.dropLast(2)) != nil, "\(rest)")
    #expect(result.exit == .exited(3))
  }

  @Test("The JSON summary gives the signal, the exit code and whether the time was up")
  func theEndIsToldInFull() async throws {
    let killed = try Report(try await run("--json", command: shell("kill -9 $$")).stdout).summary
    #expect(killed.signal == SIGKILL)
    #expect(killed.exit_code == 137)
    #expect(!killed.timed_out)
    let late = try await run("--json", "--timeout", "200ms", command: ["sleep", "1000"])
    let summary = try Report(late.stdout).summary
    #expect(summary.signal == SIGTERM)
    #expect(summary.timed_out)
    #expect(summary.seconds >= 0.2)
    #expect(late.exit == .exited(124))
  }

  @Test("capture --json reports a failed launch as one line with an error")
  func aLaunchThatFailsIsAnError() async throws {
    struct Failure: Decodable { let error: String }
    let name = "no \"such\"\ncommand\\"
    let result = try await run("--json", command: [name])
    let failure = try JSONDecoder().decode(Failure.self, from: result.stdout)
    #expect(failure.error.hasPrefix("\(name): command not found in PATH ("))
    #expect(result.text.last == "\n")
    #expect(result.text.count { $0 == "\n" } == 1)
    #expect(result.exit == .exited(127))
    #expect(result.stderr.contains("command not found"))
    let file = try await run("--json", "--output", "/no/such/file", command: ["true"])
    #expect(try JSONDecoder().decode(Failure.self, from: file.stdout).error.contains("--output"))
    #expect(file.exit == .exited(125))
  }

  @Test("The JSON summary accounts for each of 300,000,000 bytes")
  func threeHundredMillionBytesAreAllCounted() async throws {
    let result = try await run("--json", command: shell("head -c 300000000 /dev/zero"))
    let report = try Report(result.stdout)
    let summary = report.summary
    #expect(summary.total_bytes == 300_000_000)
    #expect(summary.retained_bytes + summary.lost_bytes == summary.total_bytes)
    #expect(900_000...1_048_576 ~= summary.retained_bytes)
    #expect(summary.exit_code == 0)
    #expect(!summary.alive)
    #expect(summary.closed)
    #expect(summary.missed_bytes == summary.lost_bytes)
    #expect(report.chunkBytes == summary.retained_bytes)
    #expect(report.chunks.count == summary.chunks)
    #expect(report.chunks.first?.seq == summary.missed_chunks + 1)
    #expect(report.chunks.first?.offset == summary.lost_bytes)
    #expect(report.chunks.allSatisfy { $0.data_b64.allSatisfy { $0 == 0 } })
  }

  @Test("The JSON chunks of two concurrent streams are contiguous and in order")
  func twoStreamsAtOnceKeepTheirOrder() async throws {
    let line = "seq 3000000 & seq -f e%.0f 3000000 >&2 & wait"
    let report = try Report(try await run("--json", command: shell(line)).stdout)
    #expect(report.summary.total_bytes == 2 * 22_888_896 + 3_000_000)
    #expect(report.summary.retained_bytes + report.summary.lost_bytes == report.summary.total_bytes)
    var offset = report.summary.lost_bytes
    for chunk in report.chunks {
      #expect(chunk.offset == offset)
      offset += chunk.data_b64.count
    }
    // Of each stream the last lines, without a gap, but for the first, which may be cut.
    for (stream, prefix) in [("stdout", ""), ("stderr", "e")] {
      let lines = report.text(stream).split(separator: "\n").dropFirst()
      guard let first = lines.first else { continue }
      let start = try #require(Int(first.dropFirst(prefix.count)))
      #expect(Array(lines) == (start..<(start + lines.count)).map { Substring("\(prefix)\($0)") })
    }
  }

  @Test("The JSON summary accounts for every byte of each of 200 short runs")
  func twoHundredShortRunsLoseNothing() async throws {
    for round in 1...200 {
      let result = try await run(
        "--json", "--on-failure", command: ["head", "-c", "3000000", "/dev/zero"])
      let summary = try Report(result.stdout).summary
      try #require(summary.total_bytes == 3_000_000, "round \(round)")
      try #require(summary.retained_bytes + summary.lost_bytes == 3_000_000)
    }
  }
}
