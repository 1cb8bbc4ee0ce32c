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

/// Durations without an end, numbers that are no signals, and children that change their group.
@Suite(.timeLimit(.minutes(10))) struct EdgeTests {
  /// Starts a command, and waits for its first line.
  private func start(_ command: Command, on host: CommandHost = .shared) async throws
    -> HostedProcess
  {
    let process = try await host.launch(command, into: freshSession())
    _ = await process.session.output(since: 0, waitingUpTo: nil)
    return process
  }

  /// What proc(5) says of a process: R, S, T, …
  private func state(of process: Int32) -> Character? {
    guard let stat = contents("/proc/\(process)/stat"), let name = stat.lastIndex(of: ")")
    else { return nil }
    return stat[name...].dropFirst(2).first
  }

  // MARK: Durations

  @Test("A process that was given an endless grace can be forgotten")
  func endlessGrace() async {
    await #expect(processExitsWith: .success) {
      let manager = ProcessManager(idleTimeout: .seconds(10), grace: .seconds(Int64.max))
      let session = Session(id: "a", workspaceID: "tests")
      let process = try await manager.launch(Command("sleep", "1000"), into: session)
      manager.forget(id: "a")
      #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
      #expect(await eventually { session.isForgotten })
    }
  }

  @Test("A host can be closed with the longest grace that a Duration holds")
  func longestGrace() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      let process = try await host.launch(Command("sleep", "1000"), into: freshSession())
      #expect(await host.close(grace: Duration(attoseconds: .max)).isEmpty)
      #expect(process.exit == .signaled(SIGTERM))
    }
  }

  // MARK: The end of an event loop

  @Test("An event loop that has ended keeps no job that is scheduled later")
  func scheduleAfterTheEnd() async throws {
    final class Token: Sendable {}
    weak var scheduled: Token?
    weak var visiting: Token?
    do {
      let eventLoop = try EventLoop.start()
      eventLoop.stop(grace: .zero)
      #expect(await eventually { eventLoop.hasEnded })
      let (first, second) = (Token(), Token())
      (scheduled, visiting) = (first, second)
      eventLoop.schedule(after: .seconds(1_000)) { withExtendedLifetime((eventLoop, first)) {} }
      eventLoop.execute { withExtendedLifetime((eventLoop, second)) {} }
    }
    #expect(scheduled == nil)
    #expect(visiting == nil)
  }

  // MARK: Signals

  @Test(
    "A number that is not a signal does not continue a stopped process",
    arguments: [0, 99] as [Int32])
  func noSignal(number: Int32) async throws {
    let process = try await start(.shell("echo; exec sleep 1000"))
    try process.signal(.stop)
    #expect(await eventually { state(of: process.processID) == "T" })
    #expect(throws: SignalError.refused(code: EINVAL)) {
      try process.signal(ProcessSignal(rawValue: number))
    }
    process.terminate(with: ProcessSignal(rawValue: number), grace: .seconds(1_000))
    // A stop would be undone at once.
    #expect(state(of: process.processID) == "T")
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
  }

  // MARK: Groups

  /// Leaves its group, in which a child of it stays.
  private static let leaver = Command(
    "perl", "-e",
    "$| = 1; unless (fork) { exec 'sleep', '1000' } setpgrp(0, getpgrp(getppid())); print qq(x\n);"
      + " sleep 1000")

  @Test("A process that has left its group gets signals though others remain in the group")
  func leaver() async throws {
    let host = CommandHost()
    let process = try await start(Self.leaver, on: host)
    #expect(getpgid(process.processID) == getpgrp())
    let leaver = ProcessIdentity(process.processID)
    try process.signal(.kill)
    #expect(await eventually { leaver.isGone })
    kill(process.processID, SIGKILL)
    #expect(await host.close(grace: .zero).isEmpty)
  }

  @Test("A child in this program's group is reported as a survivor of its command")
  func survivors() async throws {
    let eventLoop = try EventLoop.start()
    defer { eventLoop.stop(grace: .zero) }
    let lifecycle = Lifecycle(OutputSink(freshSession())!, on: eventLoop)
    var command = Command.shell("echo; exec sleep 1000")
    command.processGroup = .inherited
    let process = try await start(command)
    lifecycle.launched(as: process.processID, descriptor: nil, input: nil)
    #expect(lifecycle.survivor(in: [:])?.processIDs == [process.processID])
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
    #expect(lifecycle.survivor(in: [:]) == nil)
  }

  @Test("A child in this program's group is killed when its launch is cancelled")
  func killing() async throws {
    var command = Command.shell("echo; exec sleep 1000")
    command.processGroup = .inherited
    let process = try await start(command)
    let killer = Latch<Void>()
    try startThread {
      killAndReap(group: process.processID)
      killer.set(())
    }
    #expect(await eventually { killer.value != nil })
    try? process.signal(.kill)
    try await process.waitUntilClosed()
  }

  // MARK: Terminals

  @Test("A file that another child holds open for writing keeps its output, in a terminal too")
  func busyFiles() async throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/tool"
    try await capture(.shell("cp /bin/echo \(path)"))
    var command = Command(path, "hello")
    command.terminal = TerminalSize()
    // On a busy machine the file may stay open for longer than a launch waits.
    for _ in 0..<10 {
      let writer = unsafe open(path, O_WRONLY | O_CLOEXEC)
      let session = freshSession()
      let launch = Task { [command] in
        try await CommandHost.shared.launch(command, into: session).waitUntilClosed()
      }
      try await Task.sleep(for: .milliseconds(50))
      close(writer)
      do {
        #expect(try await launch.value == .exited(0))
        #expect(text(session) == "hello\r\n")
        return
      } catch LaunchError.other(_, code: ETXTBSY) {}
    }
    Issue.record("no launch waited until the file was closed")
  }
}
