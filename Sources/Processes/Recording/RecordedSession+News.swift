/// Waiting for a recording without looking again and again.
extension RecordedSession {
  /// Sets what promises to tell this object of news, so that waits sleep until then; nil for
  /// nothing, as in the beginning.
  ///
  /// Without it, a wait looks every 1 to 20 milliseconds. A program that has another connection to
  /// the recording program, such as a socket, knows better:
  ///
  /// ```swift
  /// recording.setNewsSource { [weak connection] cursor in
  ///   connection?.requestNotice(ofNewsPast: cursor) ?? false
  /// }
  /// connection.onNotice = { [weak recording] in recording?.noteNews() }
  /// connection.onLoss = { [weak recording] in recording?.setNewsSource(nil) }
  /// ```
  ///
  /// A wait that has found nothing new calls the closure before it sleeps. A result of true is a
  /// promise: ``noteNews()`` will be called after everything that the recording program does from
  /// then on and that is news past the cursor, as
  /// ``SessionReader/output(since:maxBytes:waitingUpTo:)`` defines it, at least for the first such
  /// news; and after the recording program's end. What the program did before the call need not be
  /// told of: the wait looks once more. The wait then sleeps until the call, its deadline or its
  /// cancellation. A result of false promises nothing, and the wait looks at intervals, and asks
  /// each time.
  ///
  /// The call may come at any time, also within the closure, and more often than it must: the wait
  /// looks, asks anew if there is nothing, and sleeps on. A source that can no longer keep its
  /// promises says so by a call of this method or of ``noteNews()``, after which waits ask anew.
  ///
  /// - Parameter request: The closure. It is called on any thread, by several at once, and while
  ///   this object holds no lock. It should not block: it may run on a thread of the concurrency
  ///   runtime. This object keeps it, so it should refer to the object weakly.
  /// - Complexity: as ``noteNews()``.
  public func setNewsSource(_ request: (@Sendable (_ past: Cursor) -> Bool)?) {
    newsSource.withLock { $0 = request }
    // They may have a promise of the source that was. A waiter that has yet to ask asks the new.
    waiters.wakeAll()
  }

  /// Lets all waits of this object look for news, and whether the recording program has ended.
  ///
  /// - Complexity: O(waiting threads), and two system calls at most; more than 8 tasks are woken by
  ///   another task.
  public func noteNews() {
    noteAbandonment()
    waiters.wakeAll()
  }
}
