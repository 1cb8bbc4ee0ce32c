extension SessionReader {
  /// Waits for news, and reads as ``output(since:maxBytes:)`` does: at once if there is news, or as
  /// soon as something is appended, an exit is set, or the session is closed.
  ///
  /// ```swift
  /// var cursor = Cursor.start
  /// while !Task.isCancelled {
  ///   let output = await session.output(since: cursor, waitingUpTo: .seconds(30))
  ///   for chunk in output.chunks { show(chunk) }
  ///   if output.isComplete { break }
  ///   cursor = output.cursor
  /// }
  /// ```
  ///
  /// A cursor made from a seq does not record whether its owner knows of the exit. Once the process
  /// has an exit status, a wait with such a cursor ends at once, even while late output may still
  /// come. To wait for late output, pass a read's own cursor.
  ///
  /// News is any of these: a chunk after the cursor, retained or missed; an exit status that the
  /// cursor does not know of; a cursor that is ahead of the newest chunk, or from another session.
  /// A session that is closed, or that its manager has dropped (``isForgotten``), has nothing to
  /// wait for: the wait ends at once, with an output that ``Output/isComplete`` unless more is left
  /// to read.
  ///
  /// The wait blocks no thread. Without waiters, an append pays for one load.
  ///
  /// - Parameters:
  ///   - cursor: Where the last read ended: its ``Output/cursor``.
  ///   - maxBytes: A limit on the payload read, or nil for none.
  ///   - limit: The longest time to wait; nil for as long as it takes, zero or less not to wait.
  /// - Returns: The news; or, if the time is up or the task is cancelled, an output without any.
  ///   Cancelling the task ends the wait promptly.
  /// - Complexity: as for the read. A wait costs some allocations, and a wake-up to the producer
  ///   that ends it: see ``Session/append(_:to:)-(RawSpan,_)``.
  public func output(
    since cursor: Cursor = .start, maxBytes: Int? = nil, waitingUpTo limit: Duration?
  ) async -> Output {
    await waitForNews(past: cursor, until: deadline(limit))
    return output(since: cursor, maxBytes: maxBytes)
  }

  /// Waits until there is news past a cursor, the deadline has passed or the task is cancelled.
  func waitForNews(past cursor: Cursor, until deadline: ContinuousClock.Instant?) async {
    if !hasNews(past: cursor) { noteAbandonment() }
    while !hasNews(past: cursor), !Task.isCancelled {
      if let deadline, deadline <= .now { break }
      await wait(past: cursor, until: deadline)
    }
  }

  /// Waits for news like ``output(since:maxBytes:waitingUpTo:)``, for threads that are
  /// not those of tasks: the calling thread is blocked.
  @available(*, noasync, message: "await output(since:maxBytes:waitingUpTo:) instead")
  public func waitForOutput(
    since cursor: Cursor = .start, maxBytes: Int? = nil, upTo limit: Duration?
  ) -> Output {
    let deadline = deadline(limit)
    if !hasNews(past: cursor) { noteAbandonment() }
    while !hasNews(past: cursor) {
      if let deadline, deadline <= .now { break }
      block(past: cursor, until: deadline)
    }
    return output(since: cursor, maxBytes: maxBytes)
  }

  /// Returns when a wait ends at the latest.
  func deadline(_ limit: Duration?) -> ContinuousClock.Instant? {
    limit.map { .now + $0.upToACentury }
  }

  /// Returns whether a wait for news past a cursor is over: there is a chunk after the cursor; the
  /// cursor is ahead of the newest chunk, or from another session; the exit status is not the one
  /// that the cursor knows of; or there is nothing left to wait for.
  func hasNews(past cursor: Cursor) -> Bool {
    let status = reader.status
    return reader.lastSeq != cursor.seq || status != cursor.status
      || SessionStatus(word: status).isClosed || isForeign(cursor)
      || !endings.load(ordering: .relaxed).isEmpty
  }
}
