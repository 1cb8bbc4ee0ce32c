import Synchronization

/// Lets one launch pass at a time.
///
/// A launch first makes sure that there are enough descriptors for swift-subprocess, which would wait
/// forever for a child that it could get no descriptor for; another launch must not take them before
/// they are used. Spawning takes turns inside swift-subprocess anyway.
final class LaunchGate: Sendable {
  static let shared = LaunchGate()

  private struct State {
    var isBusy = false
    var waiters: ArraySlice<CheckedContinuation<Void, Never>> = []
  }

  private let state = Mutex(State())

  func pass<Result, Failure: Error>(
    _ body: () async throws(Failure) -> Result
  ) async throws(Failure) -> Result {
    await enter()
    defer { leave() }
    return try await body()
  }

  private func enter() async {
    await withCheckedContinuation { waiter in
      let isFree = state.withLock { state in
        if state.isBusy { state.waiters.append(waiter) }
        defer { state.isBusy = true }
        return !state.isBusy
      }
      if isFree { waiter.resume() }
    }
  }

  /// Hands the gate to the one who has waited longest.
  private func leave() {
    let next = state.withLock { state in
      let next = state.waiters.popFirst()
      if next == nil { state.isBusy = false }
      return next
    }
    next?.resume()
  }
}
