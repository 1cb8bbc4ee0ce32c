public import OutputRing
public import Synchronization

extension SessionReader {
  /// Reads every retained chunk after a cursor, and the session's state, as of one instant.
  ///
  /// Reading does not consume, and takes no lock.
  ///
  /// - Parameters:
  ///   - cursor: Where the last read ended: its ``Output/cursor``. A seq that is beyond the newest
  ///     finds nothing, and ``Output/isCursorAhead`` says so. A cursor of another session reads
  ///     from the start, and ``Output/isCursorForeign`` says so.
  ///   - maxBytes: A limit on the payload read, or nil for none. At least one chunk is read if any
  ///     is due; ``Output/hasMore`` tells whether chunks were left.
  /// - Complexity: O(payload read) plus O(log chunks), and O(1) if nothing is new; one allocation
  ///   at most, none if nothing is new. Bounded, however fast the process writes.
  @inlinable
  public func output(since cursor: Cursor = .start, maxBytes: Int? = nil) -> Output {
    let notes = notes(on: cursor)
    let position = notes.contains(.foreignCursor) ? .start : cursor.position
    return Output(
      batch: reader.read(since: position, maxBytes: maxBytes), notes: notes, epoch: epoch)
  }

  /// Reads as ``output(since:maxBytes:)`` does, into the memory of an earlier output.
  ///
  /// Allocates nothing if that has room and none of its chunks is still held somewhere else;
  /// otherwise it gets fresh memory, so that the bytes of a seq never change. See
  /// ``Output/init(reservingBytes:chunks:timestamps:)``.
  public func read(
    since cursor: Cursor = .start, maxBytes: Int? = nil, into output: inout Output
  ) {
    output.notes = notes(on: cursor)
    output.epoch = epoch
    reader.read(
      since: output.isCursorForeign ? .start : cursor.position, maxBytes: maxBytes,
      into: &output.batch)
  }

  /// Reads as ``read(since:maxBytes:into:)`` does, and leaves what lies behind the head for the
  /// next read: what was missed then lies before the first chunk, and the chunks' payload follows
  /// their offsets.
  package func readStretch(since cursor: Cursor, maxBytes: Int, into output: inout Output) {
    read(since: cursor, maxBytes: maxBytes, into: &output)
    guard output.gapIndex > 0, output.gapIndex < output.chunks.count else { return }
    // The head does not change, so this returns exactly its chunks.
    read(since: cursor, maxBytes: output.batch.headByteCount, into: &output)
  }

  /// Returns what the ring does not know of a read, before the read. So a reader that finds the
  /// session abandoned has all that was ever published.
  @inlinable @inline(__always)
  func notes(on cursor: Cursor) -> ReadNotes {
    let endings = endings.load(ordering: .acquiring)
    return isForeign(cursor) ? endings.union(.foreignCursor) : endings
  }

  /// Whether a cursor comes from a read of another session.
  @inlinable @inline(__always)
  package func isForeign(_ cursor: Cursor) -> Bool { cursor.epoch != 0 && cursor.epoch != epoch }

  /// Returns how far a reader with a cursor is behind the newest chunk, and how much of that is no
  /// longer retained. Copies no output.
  ///
  /// A reader whose lag comes close to ``capacity``, or to the limit on chunks, is about to miss
  /// output.
  ///
  /// - Parameter cursor: Where the reader's last read ended. A cursor of another session counts as
  ///   the start, as in a read.
  /// - Complexity: O(1) if nothing was appended since any reader last read, else O(log chunks); no
  ///   allocation.
  public func lag(since cursor: Cursor) -> RingLag {
    reader.lag(since: isForeign(cursor) ? .start : cursor.position)
  }

  /// The bytes that are no longer retained, since the session began.
  ///
  /// - Complexity: O(1) if nothing was appended since any reader last asked, else O(log chunks).
  public var lostBytes: Int { reader.lostBytes }

  /// The bytes appended so far, whether they are retained or not.
  ///
  /// - Complexity: as ``lostBytes``.
  public var totalBytes: Int { reader.totalBytes }

  /// The seq of the newest chunk; 0 before the first.
  ///
  /// - Complexity: O(1).
  public var lastSeq: Int { reader.lastSeq }
}
