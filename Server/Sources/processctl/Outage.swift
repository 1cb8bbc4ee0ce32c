import Synchronization

/// A time in which a client's requests fail because no daemon answers. Its begin and its end are
/// told on stderr.
final class Outage: Sendable {
  private let state = Mutex(false)

  var isOn: Bool { state.withLock { $0 } }

  /// - Parameter reason: Why requests fail.
  func begin(_ reason: String) {
    if set(true) { complain("\(reason); trying again") }
  }

  func end() {
    if set(false) { complain("the daemon answers again") }
  }

  /// Returns whether that is a change.
  private func set(_ isOn: Bool) -> Bool {
    state.withLock { state in
      defer { state = isOn }
      return state != isOn
    }
  }
}
