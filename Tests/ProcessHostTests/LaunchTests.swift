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

/// What a launch passes on, and what it never waits for.
@Suite(.timeLimit(.minutes(10))) struct LaunchTests {
  private let directory = TemporaryDirectory()

  // MARK: Bytes

  @Test(
    "[byte-exact] A command receives its arguments and its name byte for byte",
    arguments: [false, true])
  func bytes(inTerminal: Bool) async throws {
    let odd = Command.Text(bytes: Array("a".utf8) + [0xff, 0xfe])
    var command = Command("printf", arguments: ["%s|", odd, ""])
    if inTerminal { command.terminal = TerminalSize() }
    let session = try await capture(command)
    #expect(Array(session.output().chunks.payload) == odd.bytes + Array("||".utf8))

    let path = Command.Text(bytes: Array(directory.path.utf8) + Array("/tool-".utf8) + [0xff])
    let tool = directory.file("tool", "#!/bin/sh\nprintf %s \"$0\"\n", mode: 0o755)
    let name = path.bytes.map { CChar(bitPattern: $0) } + [0]
    #expect(unsafe rename(tool, name) == 0)
    defer { unsafe _ = unlink(name) }
    let named = try await capture(Command(path))
    #expect(Array(named.output().chunks.payload) == path.bytes)
  }

  @Test("[byte-exact] A command receives inherited and given variables byte for byte")
  func environment() async {
    await #expect(processExitsWith: .success) {
      let value: [CChar] = [0x61, -1, 0x62, 0]
      #expect(unsafe setenv("ODD_INHERITED", value, 1) == 0)
      let name = Command.Text(bytes: Array("NAME-".utf8) + [0xfe])
      var command = Command(
        "env", environment: .inherited(changing: [name: Command.Text(bytes: [0xff])]))
      for isTerminal in [false, true] {
        command.terminal = isTerminal ? TerminalSize() : nil
        let output = try await capture(command).output().chunks.payload
        let lines = Array(output).split { $0 == 10 || $0 == 13 }.map(Array.init)
        #expect(lines.contains(Array("ODD_INHERITED=a".utf8) + [0xff, 0x62]))
        #expect(lines.contains(name.bytes + [UInt8(ascii: "="), 0xff]))
      }
    }
  }

  @Test("A directory whose name is not UTF-8 can be the working directory")
  func workingDirectory() async throws {
    let path = Command.Text(bytes: Array(directory.path.utf8) + [UInt8(ascii: "/"), 0xff])
    let name = path.bytes.map { CChar(bitPattern: $0) } + [0]
    #expect(unsafe mkdir(name, 0o700) == 0)
    defer { unsafe _ = rmdir(name) }
    let session = try await capture(Command("pwd", workingDirectory: path))
    #expect(Array(session.output().chunks.payload) == path.bytes + [10])
  }

  @Test("A variable whose name is not an identifier reaches a command in a terminal")
  func oddNames() async throws {
    var command = Command("env", arguments: [], environment: .inherited(changing: ["a.b-c": "1"]))
    command.terminal = TerminalSize()
    #expect(text(try await capture(command)).contains("a.b-c=1\r\n"))
  }

  @Test("A script without #! is refused with and without a terminal", arguments: [false, true])
  func scripts(inTerminal: Bool) async {
    var command = Command(directory.file("none", "echo hello\n", mode: 0o755))
    if inTerminal { command.terminal = TerminalSize() }
    await #expect(
      throws: LaunchError.notExecutable(
        path: command.executable.description, reason: .unknownFormat)
    ) { try await capture(command) }
  }

  @Test("A launch waits for a file that another process still holds open for writing")
  func busyFiles() async throws {
    let path = directory.path + "/tool"
    try await capture(.shell("cp /bin/true \(path)"))
    let writer = unsafe open(path, O_WRONLY | O_CLOEXEC)
    let launch = Task { try await capture(Command(path)) }
    try await Task.sleep(for: .milliseconds(5))
    close(writer)
    #expect(try await launch.value.exitCode == 0)
  }

  // MARK: Cancelling

  @Test("[cancelled-launch] A daemon that holds the output does not delay a cancelled launch")
  func daemons() async throws {
    let host = CommandHost()
    let pids = directory.path + "/pids"
    var ended = 0
    while ended < 3 {
      let task = Task {
        try await host.launch(
          .shell("setsid sh -c 'echo $$ >>\(pids); exec sleep 1000' & wait"), into: freshSession())
      }
      // Cancelled when the process runs and the launch has perhaps not returned.
      let path = pids
      _ = await eventually { contents(path)?.split(separator: "\n").count ?? 0 > ended }
      task.cancel()
      if case .success(let process) = await task.result { process.terminate(grace: .zero) }
      ended += 1
      try await capture(Command("true"), on: host)
    }
    await host.close(grace: .zero)
    for line in (contents(pids) ?? "").split(separator: "\n") {
      kill(try #require(Int32(line)), SIGKILL)
    }
  }

  @Test("Ending a started launch closes the session though a daemon holds its output")
  func endingWithDaemon() async throws {
    let eventLoop = try EventLoop.start()
    defer { eventLoop.stop(grace: .zero) }
    let session = freshSession()
    let launch = try Launch(
      .shell("setsid sh -c 'echo $$; exec sleep 1000' & wait"), on: eventLoop,
      into: OutputSink(session)!)
    #expect(eventLoop.begin(launch))
    let answer = await withCheckedContinuation { continuation in
      launch.run { answer in
        eventLoop.finish(launch)
        continuation.resume(returning: answer)
      }
    }
    let started = try answer.get()
    _ = await session.output(since: 0, waitingUpTo: nil)
    let daemon = try #require(ProcessIdentity(text(session).dropLast()))
    let leader = ProcessIdentity(started.processID)
    #expect(leader.exists)
    await started.lifecycle.end(started.outputs)
    #expect(session.isClosed)
    #expect(!daemon.isGone)
    #expect(!leader.exists)
    kill(daemon.id, SIGKILL)
  }

  // MARK: Launches that hang

  @Test(
    "[hanging-launch] Hanging launches delay neither other launches nor the close of their host")
  func hanging() async throws {
    // On a busy machine the system may end the hanging too soon: then nothing is known.
    for _ in 0..<4 { if try await outlastsHanging(isLast: false) { return } }
    _ = try await outlastsHanging(isLast: true)
  }

  /// Returns whether the launches hung to the end; expects nothing if they did not, unless this is
  /// the last attempt.
  private func outlastsHanging(isLast: Bool) async throws -> Bool {
    let hanging = await Hanging(directory)
    let host = CommandHost()
    let other = CommandHost()
    let (path, sessions) = (hanging.path, (0..<20).map { _ in freshSession() })
    let launches = sessions.map { session in
      Task { try await host.launch(Command(path), into: session) }
    }
    for _ in 0..<20 { try await capture(Command("true"), on: other) }
    await other.close()
    await host.close(grace: .zero)
    hanging.release()
    var results: [Result<HostedProcess, any Error>] = []
    for launch in launches { results.append(await launch.result) }
    if !isLast, hanging.mayHaveEnded { return false }
    for result in results { #expect(throws: LaunchError.hostClosed) { try result.get() } }
    #expect(sessions.allSatisfy { !$0.isClosed && $0.isAlive })
    return true
  }

  @Test("A hanging launch can be cancelled, and the host then launches others")
  func cancellingWhatHangs() async throws {
    let hanging = await Hanging(directory)
    let path = hanging.path
    let host = CommandHost()
    let launch = Task { try await host.launch(Command(path), into: freshSession()) }
    try await Task.sleep(for: .milliseconds(20))
    launch.cancel()
    await #expect(throws: LaunchError.cancelled) { try await launch.value }
    hanging.release()
    #expect(text(try await capture(Command(path), on: host)) == "late\n")
    await host.close()
  }

  @Test("A process that its manager forgets during its launch is not started")
  func forgettingWhatHangs() async throws {
    let hanging = await Hanging(directory)
    let path = hanging.path
    let manager = ProcessManager(idleTimeout: .seconds(10), limit: 1)
    let over = Latch<Void>()
    let launch = Task {
      defer { over.set(()) }
      return try await manager.launch(Command(path), into: Session(id: "a", workspaceID: "w"))
    }
    #expect(
      await eventually {
        manager.forget(id: "a")
        return over.value != nil
      })
    await #expect(throws: LaunchError.cancelled) { try await launch.value }
    hanging.release()
    // Its id and its place are free.
    try await manager.launch(Command("true"), into: Session(id: "a", workspaceID: "w"))
    await manager.shutDown()
  }

  // MARK: What the system does not have

  @Test(
    "[out-of-resources] A launch fails with EAGAIN without processes to spare, and succeeds later",
    .enabled(if: getuid() == 0, "only root may become a user that has a limit"),
    arguments: [true, false])
  func noProcesses(hasThreads: Bool) async {
    await #expect(processExitsWith: .success) { [hasThreads] in
      let host = CommandHost()
      if hasThreads { try await capture(Command("true"), on: host) }
      // RLIMIT_NPROC, which the C library only shows to C.
      let resource: Int32 = 6
      #expect(unsafe setrlimit(resource, [rlimit(rlim_cur: 1, rlim_max: 10_000)]) == 0)
      #expect(setuid(65_534) == 0)
      await #expect(throws: LaunchError.outOfResources(code: EAGAIN)) {
        try await capture(Command("true"), on: host)
      }
      #expect(
        unsafe setrlimit(resource, [rlimit(rlim_cur: 10_000, rlim_max: 10_000)]) == 0)
      #expect(try await capture(Command("true"), on: host).exitCode == 0)
      #expect(children() == [])
    }
  }

  @Test(
    "The error of a launch without a free terminal names the terminal",
    .enabled(if: getuid() == 0, "only root may change its root directory"))
  func noTerminals() async {
    _ = directory.file("tool", "#!/none\n", mode: 0o755)
    await #expect(processExitsWith: .success) { [path = directory.path as String] in
      #expect(unsafe chroot(path) == 0)
      var command = Command("/tool")
      command.terminal = TerminalSize()
      await #expect(
        throws: LaunchError.other(reason: "cannot open the command's terminal", code: ENOENT)
      ) { try await capture(command) }
    }
  }
}
