import Foundation
package import Processes

/// What a read returned, from whichever of the two.
package struct Observed {
  package struct Chunk {
    package var seq: Int
    package var offset: Int
    package var isError: Bool
    package var time: Int64?
    package var data: ChunkBytes
  }

  package var chunks: [Chunk]
  /// All chunks' bytes.
  package var payload: ChunkBytes
  package var state: ReadState
  /// All that a session's cursor knows; nil of a ring.
  package var cursor: Cursor?
  /// Whether the ring is said to be damaged, which none with a producer of this library is.
  package var isDamaged: Bool
}

extension Observed {
  package init(_ output: Output) {
    chunks = output.chunks.map {
      Chunk(
        seq: $0.seq, offset: $0.offset, isError: $0.stream == .stderr,
        time: $0.timestamp.map { Int64($0 / .nanoseconds(1)) }, data: $0.data)
    }
    payload = output.chunks.payload
    state = ReadState(
      exitCode: output.exitCode, isAlive: output.isAlive, isClosed: output.isClosed,
      lostBytes: output.lostBytes, missedChunks: output.missedChunks,
      missedBytes: output.missedBytes, lastSeq: output.lastSeq, cursorSeq: output.cursor.seq,
      cursorOffset: output.cursor.offset ?? -1, hasMore: output.hasMore,
      isCursorAhead: output.isCursorAhead, isCursorForeign: output.isCursorForeign)
    cursor = output.cursor
    isDamaged = output.isDamaged
  }
}

extension Observed {
  package init(_ batch: RingBatch) {
    chunks = batch.map {
      Chunk(
        seq: $0.seq, offset: $0.offset, isError: $0.tag, time: $0.timestamp, data: $0.data)
    }
    payload = batch.payload
    let exited = batch.status & 1 << 32 != 0
    state = ReadState(
      exitCode: exited ? Int32(truncatingIfNeeded: batch.status) : nil, isAlive: !exited,
      isClosed: batch.status & 1 << 33 != 0, lostBytes: batch.lostBytes,
      missedChunks: batch.missedChunks, missedBytes: batch.missedBytes, lastSeq: batch.lastSeq,
      cursorSeq: batch.cursor.seq, cursorOffset: batch.cursor.offset ?? -1, hasMore: batch.hasMore,
      isCursorAhead: batch.isCursorAhead)
    isDamaged = batch.isDamaged
  }
}

/// The status words that these tests give to a ring: an exit code, whether there is one, closed.
extension UInt64 {
  func exited(_ code: Int32, closing: Bool) -> UInt64 {
    UInt64(UInt32(bitPattern: code)) | 1 << 32 | (closing ? 1 << 33 : self & 1 << 33)
  }

  var closed: UInt64 { self | 1 << 33 }
}

// MARK: Comparing

extension Observed {
  /// How this differs from what the model says, if it does.
  ///
  /// - Parameter timestamps: Whether the chunks must have timestamps.
  func difference(
    from expected: (chunks: ArraySlice<ModelChunk>, state: ReadState), timestamps: Bool
  ) -> String? {
    if isDamaged { return "damaged" }
    if state != expected.state { return "\(state), not \(expected.state)" }
    if chunks.count != expected.chunks.count {
      return "\(chunks.count) chunks, not \(expected.chunks.count)"
    }
    for (found, expected) in zip(chunks, expected.chunks) {
      if found.seq != expected.seq || found.offset != expected.offset
        || found.isError != expected.isError
      {
        return "chunk \(found), not \(expected)"
      }
      if found.time != (timestamps ? expected.timestamp : nil) {
        return "timestamp of chunk \(found.seq): \(found.time as Any)"
      }
      if !found.data.isEqual(to: expected.bytes) { return "bytes of chunk \(found.seq)" }
    }
    if payload.count != expected.chunks.reduce(0, { $0 + $1.bytes.count }) {
      return "payload of \(payload.count) bytes"
    }
    // The chunks are slices of the payload; its ends tell whether it is the right stretch.
    if let first = expected.chunks.first, let last = expected.chunks.last,
      payload.first != first.bytes.first || payload.last != last.bytes.last
    {
      return "payload begins or ends with other bytes than the chunks"
    }
    return nil
  }
}

extension ChunkBytes {
  func isEqual(to bytes: [UInt8]) -> Bool {
    unsafe withUnsafeBytes { data in
      unsafe bytes.withUnsafeBytes { bytes in
        unsafe data.count == bytes.count
          && (bytes.isEmpty || memcmp(data.baseAddress!, bytes.baseAddress!, bytes.count) == 0)
      }
    }
  }
}
