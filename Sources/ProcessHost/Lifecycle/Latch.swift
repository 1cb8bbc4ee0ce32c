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
    guard let value = await wait(until: nil) else { throw CancellationError() }
    return value
  }

  /// Waits until the value is set, or a time is up.
  ///
  /// - Parameter limit: The longest time to wait; nil for no limit, zero or less not to wait.
  /// - Returns: The value; nil if the time was up first.
  /// - Throws: `CancellationError` as soon as the task is cancelled, unless the value is set.
  func wait(upTo limit: Duration?) async throws(CancellationError) -> Value? {
    guard let limit else { return try await wait() }
    if limit > .zero {
      if let value = await wait(until: .now + limit.upToACentury) { return value }
    } else if let value {
      return value
    }
    if Task.isCancelled { throw CancellationError() }
    return nil
  }

  /// Waits until the value is set, a time has come, or the task is cancelled.
  private func wait(until deadline: ContinuousClock.Instant?) async -> Value? {
    if let value { return value }
    let ticket = state.withLock { state in
      state.nextWaiter += 1
      return state.nextWaiter
    }
    var timer: Task<Void, Never>?
    let value = await withTaskCancellationHandler {
      await withCheckedContinuation { (waiter: CheckedContinuation<Value?, Never>) in
        let answer: Value?? = state.withLock { state in
          if let value = state.value { return .some(value) }
          // The cancellation handler may have run before the waiter was stored.
          if Task.isCancelled { return .some(nil) }
          state.waiters[ticket] = waiter
          return nil
        }
        if let answer { return waiter.resume(returning: answer) }
        timer = deadline.map { deadline in
          Task {
            // The sleep is cancelled if something else ends the wait first.
            guard (try? await SteppedSleep.sleep(until: deadline)) != nil else { return }
            giveUp(ticket)
          }
        }
      }
    } onCancel: {
      giveUp(ticket)
    }
    timer?.cancel()
    return value
  }

  /// Resumes a waiting task without a value, unless it has been resumed.
  private func giveUp(_ ticket: Int) {
    let waiter = state.withLock { $0.waiters.removeValue(forKey: ticket) }
    waiter?.resume(returning: nil)
  }
}
