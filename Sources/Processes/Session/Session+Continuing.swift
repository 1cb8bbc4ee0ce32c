public import OutputRing

extension Session {
  /// Creates a session that continues another one from a cursor: a copy of a session of another
  /// process or host, for example.
  ///
  /// The first chunk that is appended gets the seq after the cursor's, and begins where the
  /// cursor's chunk ended. A cursor of the other session is one of this session as well. To its
  /// readers, everything up to there is lost: so many chunks, and so many bytes.
  ///
  /// ```swift
  /// let original = Session()
  /// original.append("told elsewhere\n")
  /// let cursor = original.output().cursor
  ///
  /// let copy = try Session(continuing: cursor, id: original.id)
  /// copy.append("and here\n")
  /// let output = copy.output(since: .start)  // one chunk, of seq 2; 15 bytes are missed
  /// ```
  ///
  /// - Parameters:
  ///   - cursor: The last chunk that does not come any more, as a read of the other session
  ///     returned it. If nothing was appended there, the other session's own beginning.
  ///   - id: The caller's name for the session.
  ///   - workspaceID: The workspace that it belongs to.
  ///   - capacity: The most payload bytes to retain.
  ///   - timestamps: Whether to keep when each chunk was appended: ``Chunk/timestamp``.
  ///   - clock: The clock for ``lastActivity`` and timestamps.
  /// - Throws: `RingAllocationError` if there is no memory or no room for another mapping.
  /// - Precondition: the cursor's ``Cursor/offset`` is known, and no less than its seq; `capacity`
  ///   is from 1 to `RingLayout.maxCapacity` (1 GiB).
  /// - Complexity: O(1).
  public convenience init(
    continuing cursor: Cursor, id: String, workspaceID: String = "",
    capacity: Int = Session.maxBufferBytes, timestamps: Bool = false,
    clock: ActivityClock = .system
  ) throws(RingAllocationError) {
    let writer = try RingWriter(
      allocating: Self.layout(capacity: capacity, headCapacity: 0, timestamps: timestamps),
      continuing: cursor.position)
    let reader = writer.reader
    self.init(
      id: id, workspaceID: workspaceID, clock: clock, reader: reader,
      epoch: cursor.epoch == 0 ? SessionEpoch.next() : cursor.epoch, SharedProducer(writer: writer))
  }
}
