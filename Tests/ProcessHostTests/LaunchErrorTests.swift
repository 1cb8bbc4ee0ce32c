import Processes
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A command that cannot be started says why, and leaves nothing behind.
@Suite struct LaunchErrorTests {
  let directory = TemporaryDirectory()

  private func launchError(_ command: Command) async -> LaunchError? {
    let session = freshSession()
    do throws(LaunchError) {
      _ = try await CommandHost.shared.launch(command, into: session)
      return nil
    } catch {
      #expect(session.lastSeq == 0)
      #expect(session.isAlive)
      #expect(!session.isClosed)
      return error
    }
  }

  @Test("[failed-launch] The error for a missing command names the directories that were searched")
  func missingCommand() async {
    var command = Command("no-such-command-anywhere")
    command.environment = ["PATH": "relative:/bin:/usr/bin"]
    let error = await launchError(command)
    #expect(
      error
        == .executableNotFound(
          name: "no-such-command-anywhere", searched: ["/bin", "/usr/bin"]))
    #expect(error?.description.contains("/bin:/usr/bin") == true)
    #expect(await launchError(Command("")) == .executableNotFound(name: "", searched: []))
  }

  @Test("The error for a missing path tells whether a part of it is not a directory")
  func missingPath() async {
    for path in ["/no/such/file", "./no-such-file"] {
      #expect(
        await launchError(Command(path)) == .executableNotFound(name: path, searched: []))
    }
    let path = "/etc/passwd/file"
    #expect(
      await launchError(Command(path)) == .notExecutable(path: path, reason: .notADirectory))
  }

  @Test("[failed-launch] A file that is not executable is refused, by path and by name")
  func noPermission() async {
    let path = directory.file("tool", "#!/bin/sh\n", mode: 0o644)
    let expected = LaunchError.notExecutable(path: path, reason: .noPermission)
    #expect(await launchError(Command(path)) == expected)
    // Found by its name, it is no less there.
    let environment: Command.Environment = ["PATH": "/bin:\(directory.path)"]
    #expect(
      await launchError(Command("tool", arguments: [], environment: environment)) == expected)
  }

  @Test("A directory is refused as an executable, and skipped in the search")
  func directories() async {
    #expect(
      await launchError(Command(directory.path))
        == .notExecutable(path: directory.path, reason: .isDirectory))
    // By name, a directory is not what was meant.
    let environment: Command.Environment = ["PATH": "/usr"]
    #expect(
      await launchError(Command("bin", arguments: [], environment: environment))
        == .executableNotFound(name: "bin", searched: ["/usr"]))
  }

  @Test("A script without an interpreter and one with a missing interpreter are different errors")
  func scriptsWithoutInterpreter() async {
    let none = directory.file("none", "echo hello\n", mode: 0o755)
    #expect(
      await launchError(Command(none)) == .notExecutable(path: none, reason: .unknownFormat))
    let bad = directory.file("bad", "#!/no/such/interpreter\n", mode: 0o755)
    #expect(
      await launchError(Command(bad)) == .notExecutable(path: bad, reason: .badInterpreter))
  }

  @Test("A working directory that cannot be entered is an error with its path and code")
  func workingDirectories() async {
    let file = directory.file("file", "", mode: 0o644)
    for (path, code) in [("/no/such", ENOENT), (file, ENOTDIR), (file + "/x", ENOTDIR)] {
      let command = Command("true", arguments: [], workingDirectory: path)
      #expect(await launchError(command) == .badWorkingDirectory(path: path, code: code))
    }
  }

  @Test("A NUL byte, or an equals sign in a variable's name, makes a command invalid")
  func whatNoCommandCanHave() async {
    func isInvalid(_ command: Command) async -> Bool {
      if case .invalidCommand = await launchError(command) { true } else { false }
    }
    #expect(await isInvalid(Command("true", "a\0b")))
    #expect(await isInvalid(Command("true", arguments: [], environment: ["A": "a\0b"])))
    #expect(await isInvalid(Command("true", arguments: [], environment: ["A=B": "C"])))
    #expect(await isInvalid(Command("true", arguments: [], workingDirectory: "/\0")))
  }

  @Test("Arguments that exceed the system's limit are an error")
  func argumentsTooLong() async {
    // One argument may have 128 KiB on Linux.
    let long = String(repeating: "x", count: 1 << 20)
    #expect(
      await launchError(Command("/bin/true", long))
        == .notExecutable(path: "/bin/true", reason: .argumentsTooLong))
  }

  @Test("Every launch error has a description of its own")
  func everyErrorHasWords() {
    let errors: [LaunchError] = [
      .executableNotFound(name: "", searched: []), .executableNotFound(name: "x", searched: []),
      .executableNotFound(name: "/x", searched: []),
      .notExecutable(path: "/x", reason: .noPermission), .invalidCommand(reason: "no"),
      .notExecutable(path: "/x", reason: .argumentsTooLong),
      .badWorkingDirectory(path: "/x", code: ENOENT), .outOfResources(code: EMFILE),
      .sessionInUse(id: "x"), .hostClosed,
      .other(reason: "reason", code: EINVAL), .other(reason: "reason", code: nil),
    ]
    #expect(Set(errors.map(\.description)).count == errors.count)
    #expect(errors[7].description.contains("ulimit -n"))
  }

  @Test(
    "[exclusive-session] A session that has run a process refuses a second one and does not change")
  func aSecondProcess() async throws {
    let session = freshSession()
    let first = try await CommandHost.shared.launch(Command("echo", "one"), into: session)
    try await first.waitUntilClosed()
    await #expect(throws: LaunchError.sessionInUse(id: session.id)) {
      try await CommandHost.shared.launch(Command("echo", "two"), into: session)
    }
    #expect(text(session) == "one\n")
    #expect(session.exitCode == 0)
  }

  @Test("[failed-launch] A failed launch leaves its session unchanged")
  func aFailedLaunch() async throws {
    let session = freshSession()
    session.append("before\n".utf8, to: .stdout)
    await #expect(throws: LaunchError.self) {
      try await CommandHost.shared.launch(Command("/nowhere/to/be/found", "x"), into: session)
    }
    let command = Command("true", arguments: [], workingDirectory: "/nowhere")
    await #expect(throws: LaunchError.self) {
      try await CommandHost.shared.launch(command, into: session)
    }
    let closed = CommandHost()
    await closed.close()
    await #expect(throws: LaunchError.hostClosed) {
      try await closed.launch(Command("true"), into: session)
    }
    #expect(!session.isClosed)
    session.append("after\n".utf8, to: .stdout)
    try await CommandHost.shared.launch(Command("echo", "run"), into: session).waitUntilClosed()
    #expect(text(session) == "before\nafter\nrun\n")
  }

  @Test(
    "[exclusive-session] Appending to a process's session ends the program with an explanation"
  )
  func theProcessIsTheOnlyProducer() async throws {
    let result = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let session = freshSession()
      try await CommandHost.shared.launch(Command("true"), into: session)
      session.append("mine".utf8, to: .stdout)
    }
    let message = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    #expect(message.contains("has an exclusive producer"))
  }
}
