import Processes

/// A value that is set once. Any number of tasks can wait for it.
final class Latch<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var waiters: [Int: CheckedContinuation<Value?, Never>] = [:]
    var nextWaiter = 0
  }

  private let state = LockedState(State())

  /// The value, if it is set.
  var value: Value? { state.withLock { $0.value } }

  /// Sets the value if it is not set yet, and resumes the waiting tasks.
  func set(_ value: Value) {
    let waiters = state.withLock { state -> [Int: CheckedContinuation<Value?, Never>] in
      guard state.value == nil else { return [:] }
      state.value = value
      defer { state.waiters = [:] }
      return state.waiters
    }
    for waiter in waiters.values { waiter.resume(returning: value) }
  }

  /// Waits until the value is set.
  ///
  /// - Throws: `CancellationError` as soon as the task is cancelled, unless the value is set.
  func wait() async throws(CancellationError) -> Value {
    if let value { return value }
    let ticket = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    let value = await withTaskCancellationHandler {
      await withCheckedContinuation { (waiter: CheckedContinuation<Value?, Never>) in
        let answer: Value?? = state.withLock { state in
          if let value = state.value { return .some(value) }
          // The cancellation handler may have run before the waiter was stored.
          if Task.isCancelled { return .some(nil) }
          state.waiters[ticket] = waiter
          return nil
        }
        if let answer { waiter.resume(returning: answer) }
      }
    } onCancel: {
      let waiter = state.withLock { $0.waiters.removeValue(forKey: ticket) }
      waiter?.resume(returning: nil)
    }
    guard let value else { throw CancellationError() }
    return value
  }
}
