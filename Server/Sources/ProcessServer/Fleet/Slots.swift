import Synchronization

/// A number of slots that tasks take and give back.
final class Slots: Sendable {
  private struct State {
    var free: Int
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state: Mutex<State>

  init(_ count: Int) { state = Mutex(State(free: count)) }

  /// Calls a closure when a slot is free, and occupies the slot meanwhile.
  func using<Value: Sendable>(_ body: () async -> Value) async -> Value {
    await withCheckedContinuation { continuation in
      let isFree = state.withLock { state in
        if state.free > 0 {
          state.free -= 1
          return true
        }
        state.waiters.append(continuation)
        return false
      }
      if isFree { continuation.resume() }
    }
    defer {
      let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
        if state.waiters.isEmpty {
          state.free += 1
          return nil
        }
        return state.waiters.removeFirst()
      }
      waiter?.resume()
    }
    return await body()
  }
}
