import DequeModule
import Synchronization

/// What one would write first: a lock, and a deque of byte arrays.
package final class LockedDeque: Sendable {
  private struct State {
    var chunks = Deque<[UInt8]>()
    var size = 0
    var seq = 0
    var lost = 0
  }

  private let state = Mutex(State())
  private let capacity: Int

  package init(capacity: Int) { self.capacity = capacity }

  package func append(_ bytes: UnsafeRawBufferPointer) {
    state.withLock { state in
      unsafe state.chunks.append([UInt8](bytes))
      state.seq += 1
      state.size += bytes.count
      while state.size > capacity, state.chunks.count > 1 {
        let dropped = state.chunks.removeFirst().count
        state.size -= dropped
        state.lost += dropped
      }
    }
  }

  /// The chunks after a seq; found by counting from the newest, whose seq is known.
  package func output(since: Int) -> [[UInt8]] {
    state.withLock { state in
      let due = max(0, min(state.seq - since, state.chunks.count))
      return Array(state.chunks.suffix(due))
    }
  }

  package var lostBytes: Int { state.withLock { $0.lost } }

  /// All bytes retained, in order.
  package var retained: [UInt8] { state.withLock { $0.chunks.flatMap { $0 } } }
}
