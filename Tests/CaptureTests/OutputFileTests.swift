import Foundation
import ProcessHost
import Processes
import Testing

/// `--output`.
@Suite struct OutputFileTests {
  private let path = NSTemporaryDirectory() + "capture-output-" + UUID().uuidString

  @Test("capture --output writes all of the output while the command runs")
  func allOfTheOutputIsInTheFile() async throws {
    defer { unsafe _ = unlink(path) }
    // Far more than is kept in memory, by a command that waits for the file.
    let line = """
      for i in 1 2 3 4 5 6 7 8; do
        head -c 400000 /dev/zero
        while [ $(stat -c %s '\(path)') -lt $((i * 400000)) ]; do sleep 0.01; done
      done
      echo end >&2
      """
    let result = try await run("--output", path, command: shell(line))
    #expect(result.exit == .exited(0))
    #expect(result.stderr.hasPrefix("capture: "))
    #expect(result.stderr.hasSuffix("end\n"))
    #expect(result.stdout.count < 1_100_000)
    let file = try #require(FileManager.default.contents(atPath: path))
    #expect(file.count == 3_200_004)
    #expect(file.suffix(4) == Data("end\n".utf8))
  }

  @Test(
    "capture --output writes the plain output whichever format stdout has",
    arguments: [["--live"], ["--json"], ["--on-failure"]])
  func theFileDoesNotDependOnTheFormat(_ options: [String]) async throws {
    defer { unsafe _ = unlink(path) }
    try Data("longer than what comes".utf8).write(to: URL(fileURLWithPath: path))
    let result = try await Run(
      arguments: options + ["--output", path] + shell("echo out; echo err >&2")
    ).result()
    #expect(result.exit == .exited(0))
    let file = try #require(FileManager.default.contents(atPath: path))
    let lines = String(decoding: file, as: UTF8.self).split(separator: "\n")
    #expect(lines.sorted() == ["err", "out"])
  }

  @Test("capture --output writes every byte of a flood")
  func aFloodIsCompleteInTheFile() async throws {
    defer { unsafe _ = unlink(path) }
    let flood = "head -c 150000000 /dev/zero | tr '\\0' x"
    let result = try await run("--output", path, command: shell(flood))
    #expect(result.exit == .exited(0))
    // Not in this process: it would hold up other tests.
    let comparison = Command.shell("\(flood) | cmp - '\(path)'")
    let process = try await CommandHost.shared.launch(
      comparison, into: Session(id: "cmp", workspaceID: "tests"))
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("capture --output writes every byte of many small writes")
  func manySmallWritesAreCompleteInTheFile() async throws {
    defer { unsafe _ = unlink(path) }
    let line = "i=0; while [ $i -lt 100000 ]; do echo; echo >&2; i=$((i+1)); done"
    let result = try await run("--output", path, command: shell(line))
    #expect(result.exit == .exited(0))
    #expect(FileManager.default.contents(atPath: path)?.count == 200_000)
  }

  @Test("The command waits for a slow output file, and loses nothing")
  func aSlowFileHoldsTheCommandUp() async throws {
    // Nothing reads the fifo before the command is known to wait.
    try #require(unsafe mkfifo(path, 0o600) == 0)
    defer { unsafe _ = unlink(path) }
    let reader = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    let capture = try await Run(arguments: ["--output", path, "head", "-c", "9000000", "/dev/zero"])
    let number = capture.process.processID
    #expect(await eventually { unreadBytes(of: reader) >= 65_536 })
    let child = try #require(children(of: number).first)
    // Long enough for more than is kept, if nothing held it up.
    #expect(await eventually { isWritingToAPipe(child) })
    let drain = Task.detached {
      var buffer = [UInt8](repeating: 0, count: 65_536)
      var total = 0
      while true {
        let count = unsafe read(reader, &buffer, buffer.count)
        if count == 0 { return total }
        if count < 0 { usleep(1_000) } else { total += count }
      }
    }
    let result = try await capture.result()
    #expect(await drain.value == 9_000_000)
    close(reader)
    #expect(result.exit == .exited(0))
  }

  @Test("The command does not wait for an output file that fails")
  func aFileThatFailsHoldsNothingUp() async throws {
    let result = try await run(
      "--output", "/dev/full", command: ["head", "-c", "9000000", "/dev/zero"])
    #expect(result.exit == .exited(74))
    #expect(result.stderr.contains("/dev/full"))
  }

  @Test("capture reports an output file on a full disk, and exits with 74 if the command succeeded")
  func aFullDiskIsReported() async throws {
    let full = try await run("--output", "/dev/full", command: ["echo", "hello"])
    #expect(full.exit == .exited(74))
    #expect(
      full.stderr == """
        capture: cannot write to /dev/full: No space left on device; the file is not complete

        """)
    #expect(full.text == "hello\n")
    let failed = try await run("--output", "/dev/full", command: shell("echo hello; exit 3"))
    #expect(failed.exit == .exited(3))
    #expect(failed.stderr.contains("/dev/full"))
  }

  @Test("capture does not start the command when it cannot open the output file")
  func aFileThatCannotBeOpenedStartsNothing() async throws {
    let result = try await run("--output", "/no/such/file", command: shell("echo hello"))
    #expect(result.exit == .exited(125))
    #expect(result.text == "")
    #expect(
      result.stderr
        == "capture: cannot open /no/such/file for --output: No such file or directory\n")
  }
}

/// Whether a process waits for room in a pipe.
private func isWritingToAPipe(_ process: Int32) -> Bool {
  let place = FileManager.default.contents(atPath: "/proc/\(process)/wchan") ?? Data()
  let text = String(decoding: place, as: UTF8.self)
  // Where the system does not tell, it sleeps at least.
  return text.contains("pipe") || (text.isEmpty || text == "0") && state(of: process) == "S"
}
