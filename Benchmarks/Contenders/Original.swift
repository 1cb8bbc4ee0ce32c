import Synchronization

/// The algorithm of the Go package that this library re-imagines, as one would write it in Swift: a
/// lock, a copy of each chunk, an array of chunks cut at the front.
package final class Original: Sendable {
  package struct Chunk: Sendable {
    package let isError: Bool
    package let data: [UInt8]
    package let seq: Int
  }

  private struct State {
    // A slice, because Go's `chunks[1:]` does not move the others.
    var chunks: ArraySlice<Chunk> = []
    var size = 0
    var seq = 0
    var lost = 0
    var exit: Int32?
    var lastActivity = ContinuousClock.now
  }

  private let state = Mutex(State())
  private let capacity: Int

  package init(capacity: Int) { self.capacity = capacity }

  package func append(_ bytes: UnsafeRawBufferPointer, isError: Bool = false) {
    let data = unsafe [UInt8](bytes)
    state.withLock { state in
      state.lastActivity = .now
      state.seq += 1
      state.chunks.append(Chunk(isError: isError, data: data, seq: state.seq))
      state.size += data.count
      while state.size > capacity, state.chunks.count > 1 {
        let dropped = state.chunks.removeFirst().data.count
        state.size -= dropped
        state.lost += dropped
      }
    }
  }

  package func output(since: Int) -> (chunks: [Chunk], exit: Int32?, isAlive: Bool) {
    state.withLock { state in
      var chunks: [Chunk] = []
      for chunk in state.chunks where chunk.seq > since { chunks.append(chunk) }
      return (chunks, state.exit, state.exit == nil)
    }
  }

  package var lostBytes: Int { state.withLock { $0.lost } }

  /// All bytes retained, in order.
  package var retained: [UInt8] { state.withLock { $0.chunks.flatMap(\.data) } }
}
