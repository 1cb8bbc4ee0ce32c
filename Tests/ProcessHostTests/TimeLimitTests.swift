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

/// Waits that end before a process, and commands that may run for a time.
@Suite(.timeLimit(.minutes(10))) struct TimeLimitTests {
  private static let never: Duration = .seconds(1 << 40)

  // MARK: Waiting for an exit

  @Test("[wait-for-exit] A wait returns nil when its time is up, and the process runs on")
  func waitTimesOut() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "1000"), into: freshSession())
    for limit in [.seconds(-1), .zero, .milliseconds(20)] as [Duration] {
      #expect(try await process.waitForExit(upTo: limit) == nil)
    }
    #expect(process.isRunning)
    process.terminate(grace: .zero)
    for limit in [Self.never, nil, .zero, .seconds(-1)] as [Duration?] {
      #expect(try await process.waitForExit(upTo: limit) == .signaled(SIGKILL))
    }
  }

  @Test("[wait-for-exit] A wait with a limit ends with the exit, however far away the limit is")
  func waitEndsWithTheExit() async throws {
    for limit in [Self.never, .seconds(1_000), nil] as [Duration?] {
      let process = try await CommandHost.shared.launch(
        .shell("sleep 0.05; exit 3"), into: freshSession())
      #expect(try await process.waitForExit(upTo: limit) == .exited(3))
    }
  }

  @Test("[wait-for-exit] Cancelling the task ends a wait with a limit by an error")
  func waitIsCancelled() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "1000"), into: freshSession())
    for limit in [Self.never, nil, .zero] as [Duration?] {
      let waiter = Task {
        while !Task.isCancelled, limit == .zero { await Task.yield() }
        return try await process.waitForExit(upTo: limit)
      }
      waiter.cancel()
      await #expect(throws: CancellationError.self) { try await waiter.value }
    }
    #expect(process.isRunning)
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
  }

  @Test("Many waits with different limits for one process end, each with its own answer")
  func manyWaits() async throws {
    let process = try await CommandHost.shared.launch(
      Command("sleep", "1000"), into: freshSession())
    let patient = (0..<10).map { _ in
      Task { try await process.waitForExit(upTo: .seconds(1_000)) }
    }
    let hasty = (0..<10).map { number in
      Task { try await process.waitForExit(upTo: .milliseconds(number)) }
    }
    for waiter in hasty { #expect(try await waiter.value == nil) }
    process.terminate(grace: .zero)
    for waiter in patient { #expect(try await waiter.value == .signaled(SIGKILL)) }
  }

  // MARK: The time limit of a command

  private func command(_ line: String, _ limit: Duration, grace: Duration = never) -> Command {
    var command = Command.shell(line)
    (command.timeLimit, command.terminationGrace) = (limit, grace)
    return command
  }

  /// Runs a command that prints “ready” once it handles `SIGTERM`, with a limit that is long enough
  /// for that on this machine.
  private func runOverLimit(
    _ line: String, grace: Duration
  ) async throws -> (HostedProcess, ProcessExit) {
    var limit = Duration.milliseconds(100)
    while true {
      let process = try await CommandHost.shared.launch(
        command(line, limit, grace: grace), into: freshSession())
      let exit = try await process.waitUntilClosed()
      if text(process.session).contains("ready") { return (process, exit) }
      limit *= 2
    }
  }

  @Test("[time-limit] A command that runs when its time is over gets SIGTERM and is timed out")
  func timedOut() async throws {
    let (process, exit) = try await runOverLimit(
      "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1; done", grace: Self.never)
    #expect(exit == .exited(3))
    #expect(process.isTimedOut)
    #expect(text(process.session) == "ready\nbye\n")
  }

  @Test("[time-limit] A command gets the signal that it names when its time is over")
  func otherSignal() async throws {
    var command = command("trap '' TERM; exec sleep 1000", .milliseconds(100))
    command.timeLimitSignal = .hangUp
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    #expect(try await process.waitUntilClosed() == .signaled(SIGHUP))
    #expect(process.isTimedOut)
  }

  @Test("[time-limit] A command that ignores SIGTERM gets SIGKILL after the grace, with its group")
  func killed() async throws {
    let (process, exit) = try await runOverLimit(
      "trap '' TERM; sleep 1000 & echo $! ready; while :; do sleep 1; done",
      grace: .milliseconds(20))
    #expect(exit == .signaled(SIGKILL))
    #expect(process.isTimedOut)
    let grandchild = try #require(ProcessIdentity(text(process.session).prefix { $0 != " " }))
    #expect(await eventually { grandchild.isGone })
  }

  @Test("[time-limit] A stopped command is continued, so that it can end")
  func stopped() async throws {
    let process = try await CommandHost.shared.launch(
      command("kill -STOP $$; exit 4", .milliseconds(100)), into: freshSession())
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    #expect(process.isTimedOut)
  }

  @Test(
    "[time-limit] A limit of zero or less ends the command as soon as it runs",
    arguments: [.zero, .seconds(-1)] as [Duration])
  func noTime(limit: Duration) async throws {
    let process = try await CommandHost.shared.launch(
      command("sleep 1000", limit, grace: .zero), into: freshSession())
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
    #expect(process.isTimedOut)
  }

  @Test("[time-limit] A command that ends in time is not timed out, whenever one asks")
  func inTime() async throws {
    let host = CommandHost()
    // What it leaves behind runs when the time is over, and is left alone.
    var command = command("sleep 1000 & exec sleep 0.01", .milliseconds(1_500))
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    let process = try await host.launch(command, into: freshSession())
    #expect(try await process.waitForExit() == .exited(0))
    #expect(!process.isTimedOut)
    // Its timer is among these: it does nothing when it is due.
    let eventLoop = try host.runningEventLoop()
    #expect(await eventually { eventLoop.timerCount == 0 })
    #expect(!process.isTimedOut)
    #expect(!process.session.isClosed)
    process.terminate(grace: .zero)
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(!process.isTimedOut)
  }

  @Test("[time-limit] A command that its owner ends before the limit is not timed out")
  func endedByOthers() async throws {
    let process = try await CommandHost.shared.launch(
      command("sleep 1000", Self.never), into: freshSession())
    process.terminate(grace: Self.never)
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    #expect(!process.isTimedOut)
  }

  @Test("A child that has ended unnoticed when its time is over is not timed out")
  func endedUnnoticed() async throws {
    let eventLoop = try EventLoop.start()
    defer { eventLoop.stop(grace: .zero) }
    let lifecycle = Lifecycle(OutputSink(freshSession())!, on: eventLoop)
    let process = try await CommandHost.shared.launch(Command("true"), into: freshSession())
    try await process.waitUntilClosed()
    // The event loop of the lifecycle is not told of the exit.
    lifecycle.launched(as: process.processID, descriptor: nil, input: nil)
    lifecycle.limitTime(to: .zero, signal: .terminate, grace: .zero)
    #expect(await eventually { eventLoop.timerCount == 0 })
    #expect(!lifecycle.isTimedOut)
  }

  @Test("Commands that end long before their limits keep no timers for long")
  func timers() async throws {
    let host = CommandHost()
    for _ in 0..<10 {
      var command = Command("true")
      command.timeLimit = Self.never
      let process = try await host.launch(command, into: freshSession())
      #expect(try await process.waitUntilClosed() == .exited(0))
    }
    let eventLoop = try host.runningEventLoop()
    #expect(await eventually { eventLoop.timerCount == 0 })
  }
}
