/// Decides when the event loop lets output gather in a pipe, as network drivers moderate
/// interrupts.
///
/// A child that floods its output with small writes wakes the event loop for nearly each of them,
/// and is itself delayed by waking it. If the event loop leaves the pipe alone for a moment and
/// then reads the gathered output, both have less work: a sixth of the event loop's time, and half
/// of the total on one processor.
///
/// For large writes a pause does harm: the pipe fills up long before the pause ends, and the child
/// waits. So a pause must be worth it and leave room: turns must be frequent, short, and bring so
/// little that a pause fills at most half of the pipe.
struct Moderation {
  typealias Instant = ContinuousClock.Instant

  /// How long a pipe rests. A byte waits for half of it on average.
  static let pause: Duration = .microseconds(70)

  /// The number of turns in a sample.
  static let sample = 8

  /// A turn that brings fewer bytes is short: half of what programs with buffered output write at
  /// once.
  static let shortTurn = 2_048

  private var isResting = false
  /// The average number of bytes in a turn before the rest.
  private var usualCount = 0
  private var turns = 0
  private var bytes = 0
  private var start: Instant

  /// Creates the moderation of a pipe that was silent until some time.
  init(at now: Instant) { start = now }

  /// Records a turn. Returns whether to rest before the next one.
  ///
  /// - Parameters:
  ///   - count: The number of bytes that were read.
  ///   - capacity: The capacity of the pipe, in bytes.
  ///   - isEmptied: Whether the turn has left little in the pipe.
  ///   - now: The time of the turn. Evaluated only now and then.
  mutating func rests(
    after count: Int, of capacity: Int, isEmptied: Bool = true, at now: @autoclosure () -> Instant
  ) -> Bool {
    if isResting {
      // Goes on resting as long as output gathers and the child does not have to wait. If a pause
      // brings no more than a turn did before, as when the child answers one question at a time,
      // resting gains nothing.
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
