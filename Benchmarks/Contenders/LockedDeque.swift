import DequeModule
import Synchronization

/// What one would write first: a lock, and a deque of byte arrays.
final class LockedDeque: Sendable {
  private struct State {
    var chunks = Deque<[UInt8]>()
    var size = 0
    var lost = 0
  }

  private let state = Mutex(State())
  private let capacity: Int

  init(capacity: Int) { self.capacity = capacity }

  func append(_ bytes: UnsafeRawBufferPointer) {
    state.withLock { state in
      unsafe state.chunks.append([UInt8](bytes))
      state.size += bytes.count
      while state.size > capacity, state.chunks.count > 1 {
        let dropped = state.chunks.removeFirst().count
        state.size -= dropped
        state.lost += dropped
      }
    }
  }

  /// All bytes retained, in order.
  var retained: [UInt8] { state.withLock { $0.chunks.flatMap { $0 } } }
}
