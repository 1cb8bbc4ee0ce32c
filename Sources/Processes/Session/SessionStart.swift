/// When a session began, by its own clock and by the wall clock.
struct SessionStart: Sendable {
  /// By the session's clock, in nanoseconds.
  let time: Int64
  /// By the wall clock, since the beginning of 1970 UTC.
  let wallTime: Duration
  /// How far the wall clock's time of a later moment, taken as ``wallTime`` and what has passed by
  /// the session's clock, may be from the right one.
  let uncertainty: Duration

  /// Takes the present.
  init(by clock: ActivityClock) {
    let before = RecordingInfo.wallClock
    time = clock.nanoseconds
    let after = RecordingInfo.wallClock
    wallTime = before
    // The wall clock may have been set back meanwhile.
    uncertainty = max(after - before, .zero) + .nanoseconds(clock.resolution)
  }
}
