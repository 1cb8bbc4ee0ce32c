/// How readers sleep until they are woken: by a producer in the program that captures the output,
/// and by ``RecordedSession/noteNews()`` in others; see ``WaitList``.
extension SessionReader {
  /// Sleeps until there may be news, the deadline has passed or the task is cancelled.
  ///
  /// - Parameter look: When to wake at the latest if nothing promises to wake the task.
  func sleepUntilWoken(
    past cursor: Cursor, until deadline: ContinuousClock.Instant?,
    unpromised look: ContinuousClock.Instant
  ) async {
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
        guard
          let sleep = sleep(as: ticket, past: cursor, until: deadline, unpromised: look)
        else { return }
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

  /// Blocks the calling thread until there may be news, or the deadline has passed.
  ///
  /// - Parameter look: When to wake at the latest if nothing promises to wake the thread.
  func parkUntilWoken(
    past cursor: Cursor, until deadline: ContinuousClock.Instant?,
    unpromised look: ContinuousClock.Instant
  ) {
    let parker = Parker()
    let ticket = waiters.makeTicket()
    _ = waiters.add(.thread(parker), as: ticket)
    if let sleep = sleep(as: ticket, past: cursor, until: deadline, unpromised: look) {
      parker.park(for: sleep.end.map { $0 - .now })
    }
    waiters.wake(ticket)
  }

  /// How long a waiter sleeps if nothing wakes it.
  struct Sleep {
    /// Its end; nil for none.
    var end: ContinuousClock.Instant?
  }

  /// Asks for a waiter that is on the list to be woken, or wakes it at once if there is news
  /// already: steps 2 to 4 of ``WaitList``.
  ///
  /// - Returns: How long to sleep; nil if the waiter has been woken.
  func sleep(
    as ticket: WaitList.Ticket, past cursor: Cursor, until deadline: ContinuousClock.Instant?,
    unpromised look: ContinuousClock.Instant
  ) -> Sleep? {
    let isPromised = requestWakeup(past: cursor)
    if hasNews(past: cursor) {
      waiters.wake(ticket)
      return nil
    }
    if isPromised { return Sleep(end: deadline) }
    // Nothing may have heard the request, so the waiter looks again by itself.
    return Sleep(end: deadline.map { min($0, look) } ?? look)
  }
}

// MARK: White-box testing

/// A wait for news that blocks no thread, for tests that do everything on one thread.
package struct PendingWait: Sendable {
  private let session: SessionReader
  private let ticket: WaitList.Ticket

  /// Begins a wait: looks, asks to be woken, looks once more.
  package init(for session: SessionReader, past cursor: Cursor) {
    self.session = session
    ticket = session.waiters.makeTicket()
    if session.hasNews(past: cursor) { return }
    _ = session.waiters.add(.thread(Parker()), as: ticket)
    _ = session.sleep(as: ticket, past: cursor, until: nil, unpromised: .now)
  }

  /// Whether the wait has come to an end: there was news, or the waiter has been woken.
  package var isOver: Bool { !session.waiters.contains(ticket) }
}
