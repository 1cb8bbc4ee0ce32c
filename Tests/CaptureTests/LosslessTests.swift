import Foundation
import ProcessHost
import Processes
import Testing

/// `--lossless`.
@Suite(.timeLimit(.minutes(10))) struct LosslessTests {
  /// What `seq 1000000` writes: far more than is kept in memory.
  private static let size = 6_888_896

  @Test(
    "[lossless] capture --lossless writes all of the output through a pipe that is slow",
    arguments: [[], ["--json"], ["--capacity", "4M"]])
  func slowPipe(_ options: [String]) async throws {
    let size = Self.size
    let line = "\"$@\" | { sleep 1; cat; }"
    let session = Session(capacity: 1 << 26)
    let process = try await CommandHost.shared.launch(
      Command(
        Command.Text("sh"),
        arguments: (["-c", line, "sh", captureExecutable, "--lossless"] + options
          + ["seq", "1000000"]).map { Command.Text($0) }), into: session)
    #expect(try await process.waitUntilClosed() == .exited(0))
    let bytes = Array(session.output().chunks.payload)
    if options == ["--json"] {
      let report = try Report(Data(bytes))
      #expect(report.chunkBytes == size)
      #expect(report.summary.missed_chunks == 0)
    } else {
      #expect(bytes.count == size)
      #expect(bytes.suffix(8) == Array("1000000\n".utf8))
    }
  }

  @Test("capture --lossless and --output write all of the output, each at its own pace")
  func fileToo() async throws {
    let path = NSTemporaryDirectory() + "capture-lossless-" + UUID().uuidString
    defer { unsafe _ = unlink(path) }
    let result = try await run("--lossless", "--output", path, command: ["seq", "1000000"])
    #expect(result.exit == .exited(0))
    #expect(result.stdout.count == Self.size)
    #expect(FileManager.default.contents(atPath: path) == result.stdout)
  }

  @Test("capture --lossless ends the command when no process reads the output any more")
  func brokenPipe() async throws {
    let line = "\"$@\" | head -c 3; echo"
    let session = Session()
    let process = try await CommandHost.shared.launch(
      Command(
        "sh", "-c", line, "sh", captureExecutable, "--lossless", "sh", "-c",
        "while :; do echo x; done"), into: session)
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect("\(session.output().chunks.payload)" == "x\nx\n")
  }

  @Test(
    "capture --lossless refuses options that write output at the end, or keep too little",
    arguments: [["--no-live"], ["--on-failure"], ["--capacity", "1000"], ["--tail", "1"]])
  func usageErrors(_ options: [String]) async throws {
    let result = try await Run(arguments: ["--lossless"] + options + ["true"]).result()
    #expect(result.exit == .exited(64))
    #expect(result.stderr.contains("--lossless"))
  }
}

/// `--tail`, and `--capacity` without a file.
@Suite struct TailTests {
  @Test("capture --tail writes the last lines of both streams, and says nothing of the loss")
  func tail() async throws {
    let result = try await run("--tail", "2", "--merge", command: shell("seq 1000000"))
    #expect(result.text == "999999\n1000000\n")
    #expect(result.stderr == "")
    #expect(result.exit == .exited(0))
  }

  @Test("capture --tail writes all lines if there are not so many, and none of 0")
  func fewLines() async throws {
    #expect(try await run("--tail", "9", command: shell("echo one; printf two")).text == "one\ntwo")
    #expect(try await run("--tail", "0", command: shell("echo one")).text == "")
  }

  @Test("capture --tail --on-failure writes the last lines of a command that fails alone")
  func onFailure() async throws {
    let options = ["--tail", "1", "--on-failure"]
    let failure = try await Run(arguments: options + shell("echo one; echo two; exit 3")).result()
    #expect(failure.text == "two\n")
    #expect(failure.exit == .exited(3))
    #expect(try await Run(arguments: options + shell("echo one")).result().text == "")
  }

  @Test("capture --tail --json begins with the chunk in which the last lines begin")
  func asJSON() async throws {
    let report = try Report(
      try await run("--tail", "1", "--json", command: ["seq", "1000000"]).stdout)
    #expect(report.text("stdout").hasSuffix("\n1000000\n"))
    #expect(report.chunkBytes < 200_000)
    #expect(report.summary.missed_bytes == 0)
    #expect(report.summary.total_bytes == 6_888_896)
  }

  @Test(
    "A number of lines that is none is refused", arguments: ["-1", "x", "1000001", "1.5"])
  func usageErrors(_ lines: String) async throws {
    let result = try await Run(arguments: ["--tail", lines, "true"]).result()
    #expect(result.exit == .exited(64))
    #expect(result.stderr.contains("is no number of lines"))
  }

  @Test("capture --tail refuses to write output as it comes")
  func liveTail() async throws {
    let result = try await Run(arguments: ["--tail", "1", "--live", "true"]).result()
    #expect(result.exit == .exited(64))
  }

  @Test("capture says so if it keeps the end of a single chunk alone")
  func cutChunk() async throws {
    let result = try await run("--capacity", "1000", command: shell("printf %03000d 7"))
    #expect(result.stdout.count == 1_000)
    #expect(result.stderr == "capture: 2000 bytes (0 chunks) lost; the last 1000 follow\n")
  }

  @Test("capture --capacity keeps as much in memory as it says")
  func capacity() async throws {
    let all = try await run("--capacity", "8M", command: ["seq", "1000000"])
    #expect(all.stdout.count == 6_888_896)
    #expect(all.stderr == "")
    let few = try await run("--capacity", "100000", command: ["seq", "1000000"])
    #expect(few.stdout.count <= 100_000)
    #expect(few.text.hasSuffix("\n1000000\n"))
  }
}
