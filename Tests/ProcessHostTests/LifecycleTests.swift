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
  @Test func aGrandchildKeepsTheSessionOpen() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("sleep 100 & echo $!; exit 5"), into: session)
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

  @Test func outputAfterTheExitIsKept() async throws {
    let directory = TemporaryDirectory()
    let gate = directory.path + "/gate"
    #expect(unsafe mkfifo(gate, 0o600) == 0)
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("(read x <\(gate); echo late) & exit 0"), into: session)
    _ = try await process.waitForExit()
    #expect(text(session) == "")
    try await capture(.shell("echo go >\(gate)"))
    try await process.waitUntilClosed()
    #expect(text(session) == "late\n")
    #expect(!session.isAlive)
  }

  @Test func aCommandMayCloseItsOutputAndLiveOn() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("exec >&- 2>&-; exec sleep 100"), into: session)
    #expect(await eventually { contents("/proc/\(process.processID)/comm") == "sleep\n" })
    #expect(process.isRunning)
    #expect(session.isAlive)
    #expect(!session.isClosed)
    try process.signal(.terminate)
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    #expect(session.isClosed)
  }

  @Test func signalsReachTheWholeGroup() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("sh -c 'echo $$; exec sleep 100' | cat"), into: session)
    #expect(await eventually { session.lastSeq > 0 })
    let grandchild = try #require(Int32(text(session).dropLast()))
    #expect(!isGone(grandchild))
    try process.signal(.interrupt)
    #expect(try await process.waitUntilClosed() == .signaled(SIGINT))
    // Its parent is gone; whoever inherited it may take its time to reap it.
    #expect(await eventually { isGone(grandchild) })
  }

  @Test func nobodyIsSignalledAfterTheEnd() async throws {
    let process = try await CommandHost.shared.launch(Command("true"), into: freshSession())
    try await process.waitUntilClosed()
    #expect(throws: SignalError.processEnded) { try process.signal(.kill) }
  }

  @Test func anInvalidSignalIsRefused() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "100"), into: freshSession())
    #expect(throws: SignalError.refused(code: EINVAL)) {
      try process.signal(ProcessSignal(rawValue: 1_000))
    }
    try process.signal(.kill)
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  @Test func waitingCanBeCancelled() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "100"), into: freshSession())
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
