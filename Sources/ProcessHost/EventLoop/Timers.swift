/// What is to be done at some time, soonest first.
///
/// Few at a time: one for each process that is being ended or whose output lingers.
struct Timers {
  typealias Instant = ContinuousClock.Instant

  /// A structure, since taking a function out of a tuple allocates.
  private struct Entry {
    let time: Instant
    let body: @Sendable () -> Void
  }

  /// The latest first, so that the next one is taken off the end.
  private var entries: [Entry] = []

  /// When the next one is due; nil if there is none.
  var next: Instant? { entries.last?.time }

  var count: Int { entries.count }

  /// - Complexity: O(n).
  mutating func add(at time: Instant, _ body: @escaping @Sendable () -> Void) {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      // Behind those of the same time, which were here first.
      if entries[middle].time > time { low = middle + 1 } else { high = middle }
    }
    entries.insert(Entry(time: time, body: body), at: low)
  }

  /// Takes one that is due, if any is.
  mutating func pop(at now: Instant) -> (@Sendable () -> Void)? {
    guard let next, next <= now else { return nil }
    return entries.removeLast().body
  }
}
