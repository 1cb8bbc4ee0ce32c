import Synchronization

/// The times in which a client's requests fail because no daemon answers. Their beginnings and ends
/// are told on stderr.
final class Outage: Sendable {
  private let state = Mutex((isOn: false, count: 0))

  /// The number of the outage that has not ended; nil if there is none.
  var current: Int? { state.withLock { $0.isOn ? $0.count : nil } }
  var isOn: Bool { current != nil }

  /// - Parameter reason: Why requests fail.
  func begin(_ reason: String) {
    let isNew = state.withLock { state in
      guard !state.isOn else { return false }
      state = (true, state.count + 1)
      return true
    }
    if isNew { complain("\(reason); trying again") }
  }

  func end() {
    let wasOn = state.withLock { state in
      defer { state.isOn = false }
      return state.isOn
    }
    if wasOn { complain("the daemon answers again") }
  }
}
