/// The result of one read of a session: chunks and state, as of one instant.
///
/// All parts agree with each other. In particular, a reader that sees an exit code has, in this
/// output or an earlier one, every chunk appended before the exit was set. With `maxBytes`, some
/// may still be due, as ``hasMore`` tells. Only ``isForgotten`` is the manager's state and not the
/// process's; it is as of the beginning of the read.
public struct Output: Sendable {
  @usableFromInline var batch: RingBatch
  // These two fit into a batch's padding, so an output is no larger than a batch.
  @usableFromInline var notes = ReadNotes()
  /// The session's ``SessionEpoch``; 0 if there was none.
  @usableFromInline var epoch: UInt32 = 0

  @inlinable @inline(__always)
  init(batch: RingBatch, notes: ReadNotes, epoch: UInt32) {
    self.batch = batch
    self.notes = notes
    self.epoch = epoch
  }

  /// Creates an output to read into: the output of a session without chunks.
  public init() { batch = RingBatch() }

  /// Creates an output to read into, with room, for readers that must not allocate.
  ///
  /// - Parameters:
  ///   - bytes: The most payload that a read will find; ``SessionReader/capacity`` is always
  ///     enough.
  ///   - chunks: The most chunks that a read will find; ``Session/maxBufferedChunks`` is always
  ///     enough, except for a recording of more than 4 MiB.
  ///   - timestamps: Whether the session keeps them: ``SessionReader/hasTimestamps``.
  /// - Precondition: neither number is negative.
  public init(reservingBytes bytes: Int, chunks: Int, timestamps: Bool = false) {
    batch = RingBatch(reservingBytes: bytes, chunks: chunks, timestamps: timestamps)
  }

  /// The chunks that were due: newer than `since`, and retained.
  public var chunks: Chunks { Chunks(batch: batch) }

  /// Returns the payload of one stream's chunks, concatenated.
  ///
  /// - Complexity: O(number of chunks). Nothing is copied if the stream's chunks follow each other;
  ///   else each byte is copied once.
  public func payload(of stream: StandardStream) -> ChunkBytes {
    let all = chunks.payload
    var start = 0
    var gathered = GatheredBytes()
    var run = 0..<0
    for chunk in chunks {
      defer { start += chunk.data.count }
      guard chunk.stream == stream else { continue }
      if run.upperBound == start, !run.isEmpty {
        run = run.lowerBound..<start + chunk.data.count
      } else {
        gathered.append(all[run])
        run = start..<start + chunk.data.count
      }
    }
    if gathered.isEmpty { return ChunkBytes(rebasing: all[run]) }
    gathered.append(all[run])
    return gathered.take()
  }

  /// The exit status, as it was given to ``Session/setExit(_:closing:)``; nil while there is none.
  public var exitCode: Int32? { SessionStatus(word: batch.status).exitCode }

  /// Whether the process has no exit status yet.
  public var isAlive: Bool { exitCode == nil }

  /// Whether no more output can ever come.
  ///
  /// An exit status alone does not say so: a grandchild may hold the pipes open, and write.
  public var isClosed: Bool { SessionStatus(word: batch.status).isClosed }

  /// The number of the session's bytes that are no longer retained, since it began.
  public var lostBytes: Int { batch.lostBytes }

  /// How many chunks this reader asked for and can no longer have.
  public var missedChunks: Int { batch.missedChunks }

  /// How many bytes this reader asked for and can no longer have.
  ///
  /// Always known to a reader that starts at 0 or passes a cursor with its offset. Nil only for a
  /// cursor without an offset, such as a bare seq, that is so old that its descriptor is gone too.
  public var missedBytes: Int? { batch.missedBytes }

  /// The index in ``chunks`` before which the missed chunks lay: 0, or, of a session with a head,
  /// the number of chunks that come from there. See ``SessionReader/headCapacity``.
  ///
  /// - Complexity: O(1).
  public var gapIndex: Int { batch.gapIndex }

  /// The last seq that this reader has dealt with.
  @inlinable public var lastSeq: Int { batch.lastSeq }

  /// Where the next read continues: pass it as the next `since`.
  public var cursor: Cursor { Cursor(batch.cursor, status: batch.status, epoch: epoch) }

  /// Whether this read left chunks that are due for the next one.
  public var hasMore: Bool { batch.hasMore }

  /// Whether `since` was beyond the newest chunk, as a bare seq of another session may be.
  ///
  /// ``cursor`` is then the newest chunk's.
  public var isCursorAhead: Bool { batch.isCursorAhead }

  /// Whether `since` was a cursor from a read of another session, as after a session was replaced
  /// by one with the same id.
  ///
  /// Such a read begins at the start: it returns all retained chunks, counts as missed what was
  /// lost since seq 0, and its ``cursor`` is of this session. Never true for a cursor made from a
  /// seq, with or without an offset.
  public var isCursorForeign: Bool { notes.contains(.foreignCursor) }

  /// Whether a manager had dropped the session when this read began; see
  /// ``SessionReader/isForgotten``.
  ///
  /// Tells the end of such a wait from a time-out, and, together with ``isClosed``, from the end of
  /// the output.
  public var isForgotten: Bool { notes.contains(.forgotten) }

  /// Whether the program that recorded the session had ended, or given the session up, when this
  /// read began, without closing it: it was killed, or crashed. No more output can ever come.
  ///
  /// Only a ``RecordedSession`` is ever abandoned. A read repeats what the kernel said last, and
  /// does not ask it: a wait does, and ``RecordedSession/state``. A reader that polls asks for the
  /// state when it finds nothing, and then polls once more.
  public var isAbandoned: Bool { notes.contains(.abandoned) }

  /// Whether the file of a ``RecordedSession`` holds what no program of this library stores, as
  /// after a crash of the machine.
  ///
  /// The chunks of this output are then the newest that are plausible, and those before them count
  /// as missed. Without chunks, the rest cannot be read.
  public var isDamaged: Bool { batch.isDamaged }

  /// Whether this reader has reached the end: nothing is left to read, and nothing to wait for,
  /// because the session is closed, was dropped by its manager or abandoned by its producer, or
  /// cannot be read.
  public var isComplete: Bool {
    (isClosed || isForgotten || isAbandoned || (isDamaged && chunks.isEmpty)) && !hasMore
  }
}
