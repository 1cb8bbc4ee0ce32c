/// Decides when the reader of a pipe lets some output gather, as network drivers moderate
/// interrupts.
///
/// A child that floods its output with small writes wakes the reader for each, or nearly so, and is
/// itself delayed by waking it. If the reader leaves the pipe alone for a moment, and then reads
/// what has gathered, both have less to do: a sixth of the reader's time, and half of the whole on
/// one processor.
///
/// For large writes that would be wrong: the pipe would be full long before the pause is over, and
/// the child wait. So a pause must be worth it, and leave room: turns must be frequent, short, and
/// bring so little that a pause fills no more than half of the pipe.
struct Moderation {
  typealias Instant = ContinuousClock.Instant

  /// How long the reader rests. A byte waits for half of it on average.
  static let pause: Duration = .microseconds(70)

  /// How many turns are looked at together.
  static let sample = 8

  /// Fewer bytes than this make a turn short: half of what programs write that buffer their output.
  static let shortTurn = 2_048

  private var isResting = false
  /// What a turn brought on average before the rest.
  private var usualCount = 0
  private var turns = 0
  private var bytes = 0
  private var start: Instant

  /// Begins with a pipe that was silent until some time.
  init(at now: Instant) { start = now }

  /// Takes note of a turn, and tells whether to rest before the next one.
  ///
  /// - Parameters:
  ///   - count: How much was read.
  ///   - capacity: What the pipe holds.
  ///   - isEmptied: Whether the turn has left little in the pipe.
  ///   - now: When that was; asked only now and then.
  mutating func rests(
    after count: Int, of capacity: Int, isEmptied: Bool = true, at now: @autoclosure () -> Instant
  ) -> Bool {
    if isResting {
      // Goes on as long as output gathers and the child does not have to wait. Where a pause brings
      // no more than a turn did before, as when the child answers one question at a time, it is in
      // vain.
      isResting = isEmptied && 2 * usualCount <= count && count < capacity / 2
      if !isResting { begin(at: now()) }
      return isResting
    }
    turns += 1
    bytes += count
    guard turns == Self.sample else { return false }
    let now = now()
    let time = now - start
    let isFrequent = time < Self.pause * Self.sample
    let isShort = bytes < Self.shortTurn * Self.sample
    let leavesRoom = Self.pause * bytes < time * (capacity / 2)
    isResting = isFrequent && isShort && leavesRoom && isEmptied
    usualCount = max(1, bytes / turns)
    begin(at: now)
    return isResting
  }

  private mutating func begin(at now: Instant) {
    (turns, bytes, start) = (0, 0, now)
  }
}
