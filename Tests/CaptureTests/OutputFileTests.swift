import Foundation
import ProcessHost
import Testing

/// `--output`.
@Suite struct OutputFileTests {
  private let path = NSTemporaryDirectory() + "capture-output-" + UUID().uuidString

  @Test func allOfTheOutputIsInTheFile() async throws {
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
    #expect(result.stderr.hasPrefix("capture: ") && result.stderr.hasSuffix("end\n"))
    #expect(result.stdout.count < 1_100_000)
    let file = try #require(FileManager.default.contents(atPath: path))
    #expect(file.count == 3_200_004)
    #expect(file.suffix(4) == Data("end\n".utf8))
  }

  @Test(arguments: [["--live"], ["--json"], ["--on-failure"]])
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

  @Test func aFileThatIsNotCompleteIsAnError() async throws {
    // Nothing reads the fifo until the command has overtaken the file.
    try #require(unsafe mkfifo(path, 0o600) == 0)
    defer { unsafe _ = unlink(path) }
    let reader = unsafe open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    let capture = try await Run(arguments: ["--output", path, "head", "-c", "9000000", "/dev/zero"])
    let number = capture.process.processID
    #expect(
      await eventually { unreadBytes(of: reader) >= 65_536 && childStates(of: number).isEmpty })
    let drain = Task.detached {
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        let count = unsafe read(reader, &buffer, buffer.count)
        if count == 0 { return }
        if count < 0 { usleep(1_000) }
      }
    }
    let result = try await capture.result()
    await drain.value
    close(reader)
    #expect(result.exit == .exited(74))
    #expect(result.stderr.contains("\(path) is not complete: "))
  }

  @Test func aFullDiskIsReported() async throws {
    let full = try await run("--output", "/dev/full", command: ["echo", "hello"])
    #expect(full.exit == .exited(74))
    #expect(
      full.stderr == """
        capture: cannot write to /dev/full: No space left on device; the file is not complete

        """)
    #expect(full.text == "hello\n")
    let failed = try await run("--output", "/dev/full", command: shell("echo hello; exit 3"))
    #expect(failed.exit == .exited(3) && failed.stderr.contains("/dev/full"))
  }

  @Test func aFileThatCannotBeOpenedStartsNothing() async throws {
    let result = try await run("--output", "/no/such/file", command: shell("echo hello"))
    #expect(result.exit == .exited(125) && result.text == "")
    #expect(
      result.stderr
        == "capture: cannot open /no/such/file for --output: No such file or directory\n")
  }
}
