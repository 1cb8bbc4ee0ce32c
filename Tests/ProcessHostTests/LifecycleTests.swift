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

/// Exit, end of output and close come in any order.
@Suite struct LifecycleTests {
  @Test("A grandchild that holds the output keeps the session open after the exit")
  func aGrandchildKeepsTheSessionOpen() async throws {
    let session = freshSession()
    var command = Command.shell("sleep 1000 & echo $!; exit 5")
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    let process = try await CommandHost.shared.launch(command, into: session)
    #expect(try await process.waitForExit() == .exited(5))
    #expect(session.exitCode == 5)
    #expect(!session.isAlive)
    #expect(!session.isClosed)
    let grandchild = try #require(Int32(text(session).dropLast()))
    #expect(exists(grandchild))
    // Its group has outlived its leader, and can still be reached.
    try process.signal(.terminate)
    try await process.waitUntilClosed()
    #expect(session.isClosed)
    #expect(session.exitCode == 5)
  }

  @Test("Output that a grandchild writes after the exit is kept")
  func outputAfterTheExitIsKept() async throws {
    let directory = TemporaryDirectory()
    let gate = directory.path + "/gate"
    #expect(unsafe mkfifo(gate, 0o600) == 0)
    let session = freshSession()
    var command = Command.shell("(read x <\(gate); echo late) & exit 0")
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    let process = try await CommandHost.shared.launch(command, into: session)
    _ = try await process.waitForExit()
    #expect(text(session) == "")
    try await capture(.shell("echo go >\(gate)"))
    try await process.waitUntilClosed()
    #expect(text(session) == "late\n")
    #expect(!session.isAlive)
  }

  @Test("A command that closes its output keeps running, and its session stays open")
  func aCommandMayCloseItsOutputAndLiveOn() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("exec >&- 2>&-; exec sleep 1000"), into: session)
    #expect(await eventually { contents("/proc/\(process.processID)/comm") == "sleep\n" })
    #expect(process.isRunning)
    #expect(session.isAlive)
    #expect(!session.isClosed)
    try process.signal(.terminate)
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    #expect(session.isClosed)
  }

  @Test("[signal] A signal reaches every process of the command's group")
  func signalsReachTheWholeGroup() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("sh -c 'echo $$; exec sleep 1000' | cat"), into: session)
    #expect(await eventually { session.lastSeq > 0 })
    let grandchild = try #require(ProcessIdentity(text(session).dropLast()))
    #expect(!grandchild.isGone)
    try process.signal(.interrupt)
    #expect(try await process.waitUntilClosed() == .signaled(SIGINT))
    // Its parent is gone; the process that inherited it may take its time to reap it.
    #expect(await eventually { grandchild.isGone })
  }

  @Test("A signal to a process that has ended is an error")
  func nobodyIsSignalledAfterTheEnd() async throws {
    let process = try await CommandHost.shared.launch(Command("true"), into: freshSession())
    try await process.waitUntilClosed()
    #expect(throws: SignalError.processEnded) { try process.signal(.kill) }
  }

  @Test("A signal number that the system does not know is an error")
  func anInvalidSignalIsRefused() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "1000"), into: freshSession())
    #expect(throws: SignalError.refused(code: EINVAL)) {
      try process.signal(ProcessSignal(rawValue: 1_000))
    }
    try process.signal(.kill)
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  @Test(
    "A process whose child other code reaps still ends and closes its session",
    .timeLimit(.minutes(10)))
  func someoneElseReapsTheChild() async throws {
    for round in 0..<100 {
      let session = freshSession()
      let process = try await CommandHost.shared.launch(
        .shell(round % 2 == 0 ? "echo hello; exit 3" : "echo hello; sleep 0.01; exit 3"),
        into: session)
      let number = process.processID
      let reaper = Task.detached { waitpid(number, nil, 0) }
      let exit = try await process.waitUntilClosed()
      #expect(exit == (exit == .unknown ? .unknown : .exited(3)))
      #expect(session.exitCode == exit.code)
      #expect(session.isClosed)
      #expect(!session.isAlive)
      #expect(text(session) == "hello\n")
      #expect(throws: SignalError.processEnded) { try process.signal(.kill) }
      let result = await reaper.value
      #expect(result == number || exit == .exited(3))
    }
  }

  @Test(
    "A child that other code has reaped is not signalled, and its exit is unknown",
    .timeLimit(.minutes(10)))
  func aChildReapedByOthersIsNotSignalled() async throws {
    // As if it had been reaped before the event loop looked.
    let eventLoop = try EventLoop.start()
    defer { eventLoop.stop(grace: .zero) }
    let lifecycle = Lifecycle(OutputSink(freshSession())!, on: eventLoop)
    let process = try await CommandHost.shared.launch(Command("true"), into: freshSession())
    try await process.waitUntilClosed()
    lifecycle.launched(as: process.processID, descriptor: nil, input: nil)
    #expect(throws: SignalError.processEnded) { try lifecycle.send(.kill) }
    let watch = ExitWatch(
      process: process.processID, descriptor: -1,
      outputs: ChildOutput([], of: lifecycle, on: eventLoop, quietGrace: nil))
    #expect(watch.handleEvent() == .finish)
    watch.didFinish()
    #expect(lifecycle.exited.value == .unknown)
    #expect(lifecycle.sink.session.exitCode == 255)
    #expect(!ProcessExit.unknown.isSuccess)
  }

  @Test("The exit is reported after the output, even where other code reports it")
  func anExitToldByOthersComesAfterTheOutput() async throws {
    // As without process descriptors; the event loop does not read by itself here.
    let eventLoop = try EventLoop.start()
    let lifecycle = Lifecycle(OutputSink(freshSession())!, on: eventLoop)
    var ends: [2 of Int32] = [-1, -1]
    var span = ends.mutableSpan
    unsafe span.withUnsafeMutableBufferPointer { ends in
      #expect(unsafe pipe(ends.baseAddress!) == 0)
    }
    _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
    let writer = OwnedDescriptor(owning: ends[1])
    let reader = OutputPipe(OwnedDescriptor(owning: ends[0]), .stdout, of: lifecycle, on: eventLoop)
    let watch = ExitWatch(
      process: 0, descriptor: -1,
      outputs: ChildOutput([reader], of: lifecycle, on: eventLoop, quietGrace: nil))
    let number = writer.number
    eventLoop.execute {
      eventLoop.stop(grace: .zero)
      unsafe _ = write(number, "hello", 5)
      watch.finish(.exited(3))
    }
    #expect(try await lifecycle.exited.wait() == .exited(3))
    #expect(text(lifecycle.sink.session) == "hello")
  }

  @Test("Cancelling a task ends its wait for a process, and the process runs on")
  func waitingCanBeCancelled() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "1000"), into: freshSession())
    let waiters = (0..<10).map { index in
      Task { () async throws(CancellationError) -> ProcessExit in
        index < 5 ? try await process.waitForExit() : try await process.waitUntilClosed()
      }
    }
    for waiter in waiters { waiter.cancel() }
    for waiter in waiters {
      await #expect(throws: CancellationError.self) { try await waiter.value }
    }
    #expect(process.isRunning)
    try process.signal(.kill)
    try await process.waitUntilClosed()
  }
}
