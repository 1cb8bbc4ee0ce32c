extension Session {
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
  ///   that ends it: see ``append(_:to:)-(RawSpan,_)``.
  public func output(
    since cursor: Cursor = .start, maxBytes: Int? = nil, waitingUpTo limit: Duration?
  ) async -> Output {
    let deadline = deadline(limit)
    while !hasNews(past: cursor), !Task.isCancelled {
      if let deadline, deadline <= .now { break }
      await wait(past: cursor, until: deadline)
    }
    return output(since: cursor, maxBytes: maxBytes)
  }

  /// Waits for news like ``output(since:maxBytes:waitingUpTo:)``, for threads that are
  /// not those of tasks: the calling thread is blocked.
  @available(*, noasync, message: "await output(since:maxBytes:waitingUpTo:) instead")
  public func waitForOutput(
    since cursor: Cursor = .start, maxBytes: Int? = nil, upTo limit: Duration?
  ) -> Output {
    let deadline = deadline(limit)
    while !hasNews(past: cursor) {
      if let deadline, deadline <= .now { break }
      let parker = Parker()
      let ticket = waiters.makeTicket()
      _ = waiters.add(.thread(parker), as: ticket)
      if let sleep = sleep(as: ticket, past: cursor, until: deadline) {
        parker.park(for: sleep.end.map { $0 - .now })
      }
      waiters.wake(ticket)
    }
    return output(since: cursor, maxBytes: maxBytes)
  }

  /// Returns when a wait ends at the latest.
  private func deadline(_ limit: Duration?) -> ContinuousClock.Instant? {
    limit.map { .now + $0.upToACentury }
  }

  /// Sleeps until there may be news, the deadline has passed or the task is cancelled.
  private func wait(past cursor: Cursor, until deadline: ContinuousClock.Instant?) async {
    let ticket = waiters.makeTicket()
    var timer: Task<Void, Never>?
    await withTaskCancellationHandler {
      await unsafe withUnsafeContinuation { continuation in
        // Evaluated under the list's lock: the handler below may have run already, and found no
        // waiter.
        let waiter = unsafe WaitList.Waiter.task(continuation)
        guard waiters.add(waiter, as: ticket, unless: { Task.isCancelled }) else {
          return waiter.wake()
        }
        guard let sleep = sleep(as: ticket, past: cursor, until: deadline) else { return }
        timer = sleep.end.map { end in
          Task {
            // The sleep is cancelled if something else ends the wait first.
            guard (try? await SteppedSleep.sleep(until: end)) != nil else { return }
            waiters.wake(ticket)
          }
        }
      }
    } onCancel: {
      waiters.wake(ticket)
    }
    timer?.cancel()
  }

  /// How long a waiter sleeps if nothing wakes it.
  struct Sleep {
    /// Its end; nil for none.
    var end: ContinuousClock.Instant?
  }

  /// Asks the producers to wake a waiter that is on the list, or wakes it at once if there is news
  /// already: steps 2 to 4 of ``WaitList``.
  ///
  /// - Returns: How long to sleep; nil if the waiter has been woken.
  func sleep(
    as ticket: WaitList.Ticket, past cursor: Cursor, until deadline: ContinuousClock.Instant?
  ) -> Sleep? {
    let isPromised = waiters.requestWakeup()
    if hasNews(past: cursor) {
      waiters.wake(ticket)
      return nil
    }
    if isPromised { return Sleep(end: deadline) }
    // A producer may overlook the request, so the waiter looks again by itself.
    let soon = ContinuousClock.Instant.now + .milliseconds(1)
    return Sleep(end: deadline.map { min($0, soon) } ?? soon)
  }

  /// Returns whether a wait for news past a cursor is over: there is a chunk after the cursor; the
  /// cursor is ahead of the newest chunk, or from another session; the exit status is not the one
  /// that the cursor knows of; or there is nothing left to wait for.
  func hasNews(past cursor: Cursor) -> Bool {
    let status = reader.status
    return reader.lastSeq != cursor.seq || status != cursor.status
      || SessionStatus(word: status).isClosed || isForeign(cursor) || isForgotten
  }
}

// MARK: White-box testing

/// A wait for news that blocks no thread, for tests that do everything on one thread.
package struct PendingWait: Sendable {
  private let session: Session
  private let ticket: WaitList.Ticket

  /// Begins a wait: looks, asks to be woken, looks once more.
  package init(for session: Session, past cursor: Cursor) {
    self.session = session
    ticket = session.waiters.makeTicket()
    if session.hasNews(past: cursor) { return }
    _ = session.waiters.add(.thread(Parker()), as: ticket)
    _ = session.sleep(as: ticket, past: cursor, until: nil)
  }

  /// Whether the wait has come to an end: there was news, or the waiter has been woken.
  package var isOver: Bool { !session.waiters.contains(ticket) }
}
