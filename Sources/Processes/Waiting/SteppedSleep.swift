/// A sleep of a task that leaves nothing behind for long when it is cancelled.
///
/// The runtime keeps the timer of a sleep that was cancelled, some hundred bytes, until the sleep
/// would have ended; and most waits for output end long before their limit. So a long sleep is made
/// of steps, each at most as long as all before it: what a cancelled sleep leaves behind is gone
/// after as long as the sleep has lasted, or a second.
package enum SteppedSleep {
  /// The longest first step.
  package static let first: Duration = .seconds(1)

  /// Sleeps until an instant, or until the task is cancelled.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled.
  package static func sleep(until end: ContinuousClock.Instant) async throws {
    let start = ContinuousClock.Instant.now
    var now = start
    repeat {
      let step = step(after: now - start, of: end - start)
      try await Task.sleep(until: now + step, clock: .continuous)
      now = .now
    } while now < end
  }

  /// How long the next step is.
  ///
  /// - Parameters:
  ///   - elapsed: The time since the beginning of the sleep.
  ///   - total: The time from its beginning to its end.
  package static func step(after elapsed: Duration, of total: Duration) -> Duration {
    min(max(first, elapsed), max(total - elapsed, .zero))
  }
}
