import Synchronization

/// A value for which one task waits, and which the first of several parties supplies.
final class Answer<Value: Sendable>: Sendable {
  private struct State {
    var value: Value?
    var waiter: CheckedContinuation<Value, Never>?
  }

  private let state = Mutex(State())

  /// Supplies the value, unless it has been supplied.
  ///
  /// - Returns: Whether the value is this one.
  @discardableResult
  func supply(_ value: Value) -> Bool {
    let (isFirst, waiter) = state.withLock { state in
      guard state.value == nil else { return (false, nil as CheckedContinuation<Value, Never>?) }
      state.value = value
      return (true, state.waiter.take())
    }
    waiter?.resume(returning: value)
    return isFirst
  }

  /// Waits for the value; supplies another one when the task is cancelled.
  ///
  /// - Precondition: No other task waits.
  func value(ifCancelled other: Value) async -> Value {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let value = state.withLock { state in
          if state.value == nil { state.waiter = continuation }
          return state.value
        }
        if let value { continuation.resume(returning: value) }
      }
    } onCancel: {
      supply(other)
    }
  }
}
