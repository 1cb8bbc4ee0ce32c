import Synchronization

/// An event that happens once, and for which any number of tasks can wait.
package final class Latch: Sendable {
  package init() {}

  private struct State {
    var isOpen = false
    var waiters: [Int: CheckedContinuation<Void, Never>] = [:]
    var lastWaiter = 0
  }

  private let state = Mutex(State())

  package var isOpen: Bool { state.withLock(\.isOpen) }

  package func open() {
    let waiters = state.withLock { state in
      state.isOpen = true
      defer { state.waiters = [:] }
      return state.waiters.values
    }
    for waiter in waiters { waiter.resume() }
  }

  /// Waits until it is open, the time is up or the task is cancelled. Returns whether it is open.
  ///
  /// - Parameter limit: The longest time to wait; nil for as long as it takes.
  package func wait(upTo limit: Duration? = nil) async -> Bool {
    let number = state.withLock { state in
      state.lastWaiter += 1
      return state.lastWaiter
    }
    var timer: Task<Void, Never>?
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isOver = state.withLock { state in
          if state.isOpen || Task.isCancelled { return true }
          state.waiters[number] = continuation
          return false
        }
        if isOver { return continuation.resume() }
        // Only now: a time that is up before the task waits would end nothing.
        timer = limit.map { limit in
          Task {
            // The sleep ends early if the wait does.
            try? await Task.sleep(for: limit)
            giveUp(number)
          }
        }
      }
    } onCancel: {
      giveUp(number)
    }
    timer?.cancel()
    return isOpen
  }

  private func giveUp(_ number: Int) {
    state.withLock { $0.waiters.removeValue(forKey: number) }?.resume()
  }
}
