import Processes
import Testing

@testable import ProcessHost

/// What ended processes leave behind among a host's timers.
@Suite(.timeLimit(.minutes(10))) struct TimerTests {
  @Test("Processes that may leave others behind for long keep no timers once those have ended")
  func lingering() async throws {
    let host = CommandHost()
    var command = Command.shell("sleep 0.2 & exit 3")
    command.quietGrace = .seconds(1 << 40)
    command.lingerLimit = .seconds(1 << 40)
    for _ in 0..<10 {
      let process = try await host.launch(command, into: freshSession())
      #expect(try await process.waitUntilClosed() == .exited(3))
      await process.waitUntilOver()
    }
    let eventLoop = try host.runningEventLoop()
    #expect(await eventually { eventLoop.timerCount == 0 })
  }

  @Test("Processes that are terminated with a long grace keep no timers once they have ended")
  func grace() async throws {
    let host = CommandHost()
    for _ in 0..<10 {
      let process = try await host.launch(Command("sleep", "1000"), into: freshSession())
      process.terminate(grace: .seconds(1 << 40))
      #expect(try await process.waitUntilClosed() == .signaled(15))
      await process.waitUntilOver()
    }
    let eventLoop = try host.runningEventLoop()
    #expect(await eventually { eventLoop.timerCount == 0 })
  }

  @Test("SIGKILL comes after the grace, and not before")
  func graceOver() async throws {
    let process = try await CommandHost.shared.launch(
      .shell("trap '' TERM; echo ready; while :; do sleep 1; done"), into: freshSession())
    _ = await process.session.wait(for: "ready", upTo: nil)
    let start = ContinuousClock.now
    process.terminate(grace: .milliseconds(1_500))
    #expect(try await process.waitUntilClosed() == .signaled(9))
    #expect(.now - start >= .milliseconds(1_500))
  }

  @Test("Background processes may run as long as the limit allows and no longer")
  func limit() async throws {
    let host = CommandHost()
    let limit = Duration.milliseconds(1_500)
    for (quiet, linger) in [(limit, nil), (nil, limit)] as [(Duration?, Duration?)] {
      var command = Command.shell("sleep 1000 & exit 3")
      command.quietGrace = quiet
      command.lingerLimit = linger
      let start = ContinuousClock.now
      let process = try await host.launch(command, into: freshSession())
      #expect(try await process.waitUntilClosed() == .exited(3))
      #expect(.now - start >= limit)
      process.terminate(grace: .zero)
      await process.waitUntilOver()
    }
  }
}
