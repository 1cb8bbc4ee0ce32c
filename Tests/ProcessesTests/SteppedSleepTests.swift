import Processes
import Testing

/// Long sleeps of tasks, which leave nothing behind for long when they are cancelled.
@Suite(.timeLimit(.minutes(10))) struct SteppedSleepTests {
  @Test(
    "A step of a long sleep is a second or as long as all before it, and the last one ends it",
    arguments: [
      (0, 60_000, 1_000), (1_000, 60_000, 1_000), (2_000, 60_000, 2_000), (8_000, 60_000, 8_000),
      (32_000, 60_000, 28_000), (0, 5, 5), (0, 0, 0), (0, -1, 0), (70, 60, 0),
    ])
  func steps(elapsed: Int, total: Int, expected: Int) {
    let step = SteppedSleep.step(after: .milliseconds(elapsed), of: .milliseconds(total))
    #expect(step == .milliseconds(expected))
  }

  @Test("A sleep of several steps lasts until its end, and ends early if its task is cancelled")
  func sleep() async throws {
    let start = ContinuousClock.now
    try await SteppedSleep.sleep(until: start + .milliseconds(1_200))
    #expect(.now - start >= .milliseconds(1_200))
    let sleeper = Task { try await SteppedSleep.sleep(until: .now + .seconds(1 << 32)) }
    sleeper.cancel()
    await #expect(throws: CancellationError.self) { try await sleeper.value }
  }
}
