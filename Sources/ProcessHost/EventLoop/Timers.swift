/// Closures to call at given times, soonest first.
///
/// There are few at a time: some for each process that is being terminated or whose output lingers,
/// and one for each source that rests.
struct Timers {
  typealias Instant = ContinuousClock.Instant

  /// A structure, since taking a function out of a tuple allocates.
  private struct Entry {
    let time: Instant
    let body: @Sendable () -> Void
  }

  /// The latest first, so that the next entry is removed from the end.
  private var entries: [Entry] = []

  /// The time at which the next entry is due; nil if there is none.
  var next: Instant? { entries.last?.time }

  var count: Int { entries.count }

  /// - Complexity: O(n).
  mutating func add(at time: Instant, _ body: @escaping @Sendable () -> Void) {
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      // Entries with the same time run in the order in which they were added.
      if entries[middle].time > time { low = middle + 1 } else { high = middle }
    }
    entries.insert(Entry(time: time, body: body), at: low)
  }

  /// Removes the next entry if it is due, and returns its closure.
  mutating func pop(at now: Instant) -> (@Sendable () -> Void)? {
    guard let next, next <= now else { return nil }
    return entries.removeLast().body
  }
}
