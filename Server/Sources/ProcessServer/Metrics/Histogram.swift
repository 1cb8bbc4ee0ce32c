import Synchronization

/// A histogram of durations.
final class Histogram: Sendable {
  private struct State {
    var counts = [Int](repeating: 0, count: Histogram.bounds.count + 1)
    var sum: Duration = .zero
  }

  /// The upper bounds of the buckets, in seconds; the last bucket has none.
  static let bounds = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
  ]

  private let state = Mutex(State())

  func record(_ duration: Duration) {
    let seconds = duration / .seconds(1)
    let bucket = Self.bounds.firstIndex { seconds <= $0 } ?? Self.bounds.count
    state.withLock { state in
      state.counts[bucket] += 1
      state.sum += duration
    }
  }

  /// The number of durations in each bucket, and the sum of all durations in seconds.
  var snapshot: (counts: [Int], sum: Double) {
    state.withLock { ($0.counts, $0.sum / .seconds(1)) }
  }
}
