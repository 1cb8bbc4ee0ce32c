public import OutputRing

extension Session {
  /// Every retained chunk after a seq, and the session's state, as of one instant.
  ///
  /// Reading does not consume, and takes no lock.
  ///
  /// - Parameters:
  ///   - seq: The last chunk already dealt with. 0 or less reads from the beginning; more than the
  ///     newest finds nothing, and ``Output/isCursorAhead`` says so.
  ///   - maxBytes: A limit on the payload read, or nil for none. At least one chunk is read if any is
  ///     due; ``Output/hasMore`` tells whether chunks were left.
  /// - Complexity: O(payload read) plus O(log chunks), and O(1) if nothing is new; one allocation at
  ///   most, none if nothing is new. Bounded, however fast the process writes.
  @inlinable
  public func output(since seq: Int = 0, maxBytes: Int? = nil) -> Output {
    let idle = reader.idle(since: seq)
    if idle.isIdle { return Output(batch: RingBatch(idle, since: seq)) }
    return Output(batch: reader.read(since: seq, maxBytes: maxBytes))
  }

  /// Every retained chunk after a cursor, and the session's state, as of one instant.
  ///
  /// As ``output(since:maxBytes:)-(Int,_)``, and ``Output/missedBytes`` is always known.
  @inlinable
  public func output(since cursor: Cursor, maxBytes: Int? = nil) -> Output {
    let idle = reader.idle(since: cursor.position.seq)
    if idle.isIdle { return Output(batch: RingBatch(idle, since: cursor.seq)) }
    return Output(batch: reader.read(since: cursor.position, maxBytes: maxBytes))
  }

  /// Reads as ``output(since:maxBytes:)-(Int,_)`` does, into the memory of an earlier output.
  ///
  /// Allocates nothing if that has room and none of its chunks is still held somewhere else; otherwise
  /// it gets fresh memory, so that the bytes of a seq never change. See
  /// ``Output/init(reservingBytes:chunks:)``.
  public func read(since seq: Int = 0, maxBytes: Int? = nil, into output: inout Output) {
    reader.read(since: seq, maxBytes: maxBytes, into: &output.batch)
  }

  /// Reads as ``output(since:maxBytes:)-(Cursor,_)`` does, into the memory of an earlier output;
  /// see ``read(since:maxBytes:into:)-(Int,_,_)``.
  public func read(since cursor: Cursor, maxBytes: Int? = nil, into output: inout Output) {
    reader.read(since: cursor.position, maxBytes: maxBytes, into: &output.batch)
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
