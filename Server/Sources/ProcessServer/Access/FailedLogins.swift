import Synchronization

/// The recent failed logins of each address.
///
/// An address may fail a number of times at once, and once more after each interval. A correct
/// token is never refused because of another client's failures: many clients may share a proxy's
/// address.
final class FailedLogins: Sendable {
  /// The reaction to a failure.
  enum Verdict: Equatable {
    /// Report the failure to the client, and write it to the log with the number of failures that
    /// were not written since the last one.
    case told(unwritten: Int)
    /// There were too many failures; nothing is written.
    case tooMany
  }

  private struct Bucket {
    /// The failures that count at `time`.
    var level: Double
    var time: ContinuousClock.Instant
    var unwritten = 0
  }

  /// The most addresses that are counted separately; all others count as one.
  private static let maxAddresses = 4096

  private let burst: Int
  private let interval: Duration
  private let state = Mutex(State())

  private struct State {
    var buckets: [String: Bucket] = [:]
    /// The number of buckets at which empty buckets are removed.
    var cleaningSize = FailedLogins.leastCleaningSize
  }

  /// Few enough to scan all of them at once.
  static let leastCleaningSize = 64

  init(burst: Int, interval: Duration) {
    self.burst = burst
    self.interval = interval
  }

  /// The number of addresses that are remembered.
  var count: Int { state.withLock(\.buckets.count) }

  func failed(from address: String, at time: ContinuousClock.Instant = .now) -> Verdict {
    state.withLock { state in
      if state.buckets[address] == nil { forgetEmpty(&state, at: time) }
      let isKnown = state.buckets[address] != nil || state.buckets.count < Self.maxAddresses
      let key = isKnown ? address : "others"
      var bucket = state.buckets[key] ?? Bucket(level: 0, time: time)
      bucket.level = level(bucket, at: time)
      bucket.time = time
      defer { state.buckets[key] = bucket }
      guard bucket.level + 1 <= Double(burst) else {
        bucket.unwritten += 1
        return .tooMany
      }
      bucket.level += 1
      defer { bucket.unwritten = 0 }
      return .told(unwritten: bucket.unwritten)
    }
  }

  /// Forgets the addresses of which no failure counts any more, whenever there are twice as many
  /// addresses as after the last time.
  private func forgetEmpty(_ state: inout State, at time: ContinuousClock.Instant) {
    guard state.buckets.count >= state.cleaningSize else { return }
    state.buckets = state.buckets.filter { level($0.value, at: time) > 0 }
    state.cleaningSize = min(
      max(2 * state.buckets.count, Self.leastCleaningSize), Self.maxAddresses)
  }

  private func level(_ bucket: Bucket, at time: ContinuousClock.Instant) -> Double {
    max(0, bucket.level - (time - bucket.time) / interval)
  }
}
