import Foundation
import ProcessHost
import Processes
import Testing

/// `--ring`, and `capture read`.
@Suite(.timeLimit(.minutes(10))) struct RecordingTests {
  private let path = NSTemporaryDirectory() + "capture-ring-" + UUID().uuidString

  /// Runs `capture read` on the test's file.
  private func read(_ options: String...) async throws -> RunResult {
    try await Run(arguments: ["read", path] + options).result()
  }

  /// Records a command to its end.
  private func record(_ options: String..., line: String) async throws -> RunResult {
    try await Run(arguments: ["--ring", path] + options + shell(line)).result()
  }

  private func recorded() async -> RecordedSession? {
    var recording: RecordedSession?
    _ = await eventually {
      recording = try? RecordedSession(at: path)
      return recording != nil
    }
    return recording
  }

  @Test("[recording] capture --ring writes what capture writes, and capture read writes it again")
  func readsWhatWasRecorded() async throws {
    defer { unsafe _ = unlink(path) }
    let result = try await record(line: "echo out; echo err >&2; exit 3")
    #expect(result.exit == .exited(3))
    #expect(result.text == "out\n")
    #expect(result.stderr == "err\n")
    for _ in 1...2 {
      let again = try await read()
      #expect(again.exit == .exited(0))
      #expect(again.text == "out\n")
      #expect(again.stderr == "err\n")
    }
  }

  @Test("capture read --info tells the command, its exit and whether it is over")
  func info() async throws {
    defer { unsafe _ = unlink(path) }
    _ = try await record(line: "echo 'two words'; exit 3")
    let text = try await read("--info").text
    #expect(text.contains("state:          ended: the output is complete\n"))
    #expect(text.contains("command:        sh -c \"echo 'two words'; exit 3\"\n"))
    #expect(text.contains("exit code:      3\n"))
    #expect(text.contains("bytes:          10\n"))
    struct Info: Decodable {
      let state: String
      let command: [String]
      let exit_code: Int?
      let pid: Int32?
      let recorder_pid: Int32
      let total_bytes: Int
      let capacity: Int
      let started: String
      let this_boot: Bool
      let damaged: Bool
    }
    let info = try JSONDecoder().decode(
      Info.self, from: try await read("--info", "--json").stdout)
    #expect(info.state == "ended")
    #expect(info.command == ["sh", "-c", "echo 'two words'; exit 3"])
    #expect(info.exit_code == 3)
    #expect(info.total_bytes == 10)
    #expect(info.capacity == 1 << 20)
    #expect(info.pid ?? 0 > 0)
    #expect(info.recorder_pid > 0)
    #expect(info.started.wholeMatch(of: /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/) != nil)
    #expect(info.this_boot)
    #expect(!info.damaged)
  }

  @Test("capture read tells the signal that ended the command, and that its time was up")
  func signal() async throws {
    defer { unsafe _ = unlink(path) }
    _ = try await record("--timeout", "50ms", line: "exec sleep 1000")
    let text = try await read("--info").text
    #expect(text.contains("exit code:      143\n"))
    #expect(text.contains("signal:         15\n"))
    #expect(text.contains("timed out:      yes\n"))
    let info = String(decoding: try await read("--info", "--json").stdout, as: UTF8.self)
    #expect(info.contains(#""exit_code":143,"signal":15,"timed_out":true,"#))
    let summary = try Report(try await read("--json").stdout).summary
    #expect(summary.signal == 15)
    #expect(summary.timed_out)
  }

  @Test("[recording-process] capture read tells no signal of a command that exits like one")
  func noSignal() async throws {
    defer { unsafe _ = unlink(path) }
    _ = try await record(line: "exit 143")
    let text = try await read("--info").text
    #expect(text.contains("exit code:      143\n"))
    #expect(!text.contains("signal:"))
    #expect(!text.contains("timed out:"))
    let info = String(decoding: try await read("--info", "--json").stdout, as: UTF8.self)
    #expect(info.contains(#""exit_code":143,"signal":null,"timed_out":false,"#))
  }

  @Test("[recording-killed] A follower of a capture that is killed ends, says so, and exits with 0")
  func killedRecorder() async throws {
    defer { unsafe _ = unlink(path) }
    let recorder = try await Run(
      arguments: ["--ring", path] + shell("echo before; exec sleep 1000"))
    let recording = try #require(await recorded())
    let follower = try await Run(arguments: ["read", path, "--follow"])
    #expect(await eventually { recording.lastSeq == 1 && follower.stdout.count == 7 })
    #expect(recording.state == .recording)
    #expect(try await read().text == "before\n")
    #expect(try await read().stderr == "")
    try recorder.process.signal(.kill)
    _ = try await recorder.result()
    let followed = try await follower.result()
    #expect(followed.exit == .exited(0))
    #expect(followed.text == "before\n")
    #expect(followed.stderr.contains("was killed, or crashed"))
    #expect(recording.state == .abandoned)
    let after = try await read()
    #expect(after.exit == .exited(0))
    #expect(after.text == "before\n")
    #expect(after.stderr.contains("was killed, or crashed"))
    #expect(try await read("--info").text.hasPrefix("state:          abandoned"))
  }

  @Test("capture read --tail writes the last lines, of both streams and across chunks")
  func tail() async throws {
    defer { unsafe _ = unlink(path) }
    _ = try await record("--merge", line: "for i in 1 2 3 4 5; do echo line$i; done; printf end")
    #expect(try await read("--tail", "3").text == "line4\nline5\nend")
    #expect(try await read("--tail", "1").text == "end")
    #expect(try await read("--tail", "0").text == "")
    #expect(try await read("--tail", "6").text == "line1\nline2\nline3\nline4\nline5\nend")
    #expect(try await read("--tail", "100").text == "line1\nline2\nline3\nline4\nline5\nend")
  }

  @Test("capture read --json gives the cursor with which the next read continues")
  func cursors() async throws {
    defer { unsafe _ = unlink(path) }
    _ = try await record(line: "echo one; sleep 0.3; echo two")
    let first = try await read("--json")
    let report = try Report(first.stdout)
    #expect(report.text("stdout") == "one\ntwo\n")
    let match = try #require(report.lastLine.firstMatch(of: /"cursor":"([0-9.]+)"/))
    let rest = try Report(try await read("--json", "--since", String(match.1)).stdout)
    #expect(rest.chunks.isEmpty)
    #expect(rest.summary.missed_bytes == 0)
    let second = try Report(try await read("--json", "--since", "1").stdout)
    #expect(second.chunks.map(\.seq) == report.chunks.map(\.seq).filter { $0 > 1 })
  }

  @Test("[recording-capacity] capture and capture read write all of the 8 MiB of a ring")
  func capacity() async throws {
    defer { unsafe _ = unlink(path) }
    let line = "head -c 9000000 /dev/zero | tr '\\0' x"
    let result = try await record("--capacity", "8M", "--no-live", line: line)
    let kept = result.stdout.count
    #expect(kept <= 8 << 20)
    #expect(kept > 8 << 20 - 1 << 16)
    #expect(result.stderr.contains("capture: \(9_000_000 - kept) bytes"))
    #expect(result.stderr.contains("the last \(kept) follow"))
    let again = try await read()
    #expect(again.stdout == result.stdout)
    #expect(again.stderr == result.stderr)
  }

  @Test("[recording-file] A file that exists is left alone, and the command is not started")
  func existingFile() async throws {
    defer { unsafe _ = unlink(path) }
    try Data("precious".utf8).write(to: URL(fileURLWithPath: path))
    let result = try await record(line: "echo started")
    #expect(result.exit == .exited(125))
    #expect(result.text == "")
    #expect(result.stderr.contains("there is a file"))
    #expect(FileManager.default.contents(atPath: path) == Data("precious".utf8))
    let read = try await read()
    #expect(read.exit == .exited(66))
    #expect(read.stderr.contains("is no output ring"))
  }

  @Test("A command that is named read is run after --")
  func commandNamedRead() async throws {
    let result = try await Run(arguments: ["--", "read"]).result()
    #expect(result.exit == .exited(127))
    let missing = try await Run(arguments: ["read", path]).result()
    #expect(missing.exit == .exited(66))
    #expect(missing.stderr.contains("No such file"))
  }

  @Test(
    "A usage error of capture read, or of --ring, exits with 64 and says what is wrong",
    arguments: [
      (["read"], "<file>"),
      (["read", "x", "--tail", "-1"], "--tail"),
      (["read", "x", "--tail", "1", "--since", "1"], "exclude each other"),
      (["read", "x", "--since", "abc"], "no position"),
      (["read", "x", "--info", "--follow"], "--info writes no output"),
      (["--ring", "x", "--capacity", "2G", "true"], "out of range"),
      (["--ring", "x", "--capacity", "0", "true"], "out of range"),
      (["--ring", "x", "--capacity", "big", "true"], "no size"),
      (["--head", "0", "true"], "out of range"),
      (["--ring", "x", "--capacity", "99999999999999999999G", "true"], "out of range"),
    ])
  func usageErrors(_ arguments: [String], _ message: String) async throws {
    let result = try await Run(arguments: arguments).result()
    #expect(result.exit == .exited(64))
    #expect(result.stderr.contains(message), "\(result.stderr)")
  }

  @Test("The words of a command are recorded byte for byte")
  func bytes() async throws {
    defer { unsafe _ = unlink(path) }
    let line = "exec \"$0\" --ring '\(path)' printf \"$(printf '\\303\\050')\""
    _ = try await Run(arguments: ["sh", "-c", line, captureExecutable]).result()
    let recording = try RecordedSession(at: path)
    #expect(recording.info.commandBytes == [Array("printf".utf8), [0xc3, 0x28]])
    #expect(recording.output().chunks.payload.elementsEqual([0xc3, 0x28]))
  }
}
