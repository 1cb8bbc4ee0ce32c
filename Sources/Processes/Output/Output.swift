/// What a session had to say to one reader: chunks and state, as of one instant.
///
/// All parts agree with each other. In particular a reader that sees an exit code has, in this
/// output or an earlier one, every chunk appended before the exit was set (with `maxBytes`: or is
/// told by ``hasMore`` that they are waiting). Only ``isForgotten`` is not the process's state but
/// the manager's, as of when the read ended.
public struct Output: Sendable {
  @usableFromInline var batch: RingBatch
  // Three that fit behind a batch without making it longer.
  @usableFromInline var hasForeignCursor = false
  @usableFromInline var hasForgottenSession = false
  /// The session's ``SessionEpoch``; 0 if there was none.
  @usableFromInline var epoch: UInt32 = 0

  @inlinable @inline(__always)
  init(batch: RingBatch, of session: Session, hasForeignCursor: Bool = false) {
    self.batch = batch
    self.hasForeignCursor = hasForeignCursor
    hasForgottenSession = session.isForgotten
    epoch = session.epoch
  }

  /// An output to read into: it says that nothing was ever written.
  public init() { batch = RingBatch() }

  /// An output to read into, with room, for readers that must not allocate.
  ///
  /// - Parameters:
  ///   - bytes: The most payload a read will find; ``Session/capacity`` is always enough.
  ///   - chunks: The most chunks a read will find; ``Session/maxBufferedChunks`` is always enough.
  /// - Precondition: neither is negative.
  public init(reservingBytes bytes: Int, chunks: Int) {
    batch = RingBatch(reservingBytes: bytes, chunks: chunks)
  }

  /// The chunks that were due: newer than what was asked for, and retained.
  public var chunks: Chunks { Chunks(batch: batch) }

  /// The exit status, as it was given to ``Session/setExit(_:closing:)``; nil while there is none.
  public var exitCode: Int32? { SessionStatus(word: batch.status).exitCode }

  /// Whether the process has no exit status yet.
  public var isAlive: Bool { exitCode == nil }

  /// Whether no more output can ever come.
  ///
  /// Having an exit status is something else: a grandchild may hold the pipes open, and write.
  public var isClosed: Bool { SessionStatus(word: batch.status).isClosed }

  /// The session's bytes that are no longer retained, since it began.
  public var lostBytes: Int { batch.lostBytes }

  /// How many chunks this reader asked for and can no longer have.
  public var missedChunks: Int { batch.missedChunks }

  /// How many bytes this reader asked for and can no longer have.
  ///
  /// Always known to a reader that starts at 0 or passes a cursor with its offset; nil only for a
  /// bare seq (or a cursor whose offset is negative, which says as much) so old that its descriptor
  /// is gone too.
  public var missedBytes: Int? { batch.missedBytes }

  /// The last seq that this reader has dealt with: pass it, or ``cursor``, as the next `since`.
  @inlinable public var lastSeq: Int { batch.lastSeq }

  /// Where the next read continues.
  public var cursor: Cursor { Cursor(batch.cursor, status: batch.status, epoch: epoch) }

  /// Whether chunks are due that this read left for the next one.
  public var hasMore: Bool { batch.hasMore }

  /// Whether `since` was beyond the newest chunk, as a bare seq of another session may be.
  ///
  /// ``cursor`` is then the newest chunk's.
  public var isCursorAhead: Bool { batch.isCursorAhead }

  /// Whether `since` was a cursor from a read of another session, as after a session was replaced
  /// by one with the same id.
  ///
  /// Such a read begins at the start: its chunks are all that are retained, what is missed counts
  /// from seq 0, and ``cursor`` is of this session. Never true for a bare seq, nor for a cursor
  /// made of a seq and an offset.
  public var isCursorForeign: Bool { hasForeignCursor }

  /// Whether a manager had dropped the session when this read ended; see ``Session/isForgotten``.
  ///
  /// This tells the end of a wait from a time-out, and with ``isClosed`` from the end of the
  /// output.
  public var isForgotten: Bool { hasForgottenSession }

  /// Whether this reader has come to the end: nothing is left to read, and nothing more to wait
  /// for, because the session is closed or was dropped by its manager.
  public var isComplete: Bool { (isClosed || isForgotten) && !hasMore }
}
