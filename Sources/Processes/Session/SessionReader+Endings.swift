import Synchronization

// MARK: Managers

extension SessionReader {
  /// Whether a manager that knew this session dropped it: forgot it, swept it, or gave its id to
  /// another session; or ``noteForgotten()`` was called.
  ///
  /// A reader of such a session might wait for ever, so waits for news end: those under way are
  /// woken, and later ones return at once. ``Output/isForgotten`` gives the reason. Reads and
  /// appends work as before. Registering the session with a manager makes this false again, and
  /// waits wait again. Where several managers know a session, the last one that registered or
  /// dropped it decides. The end of a ``SessionManager`` itself drops no session.
  ///
  /// - Complexity: O(1); one load.
  public internal(set) var isForgotten: Bool {
    get { endings.load(ordering: .relaxed).contains(.forgotten) }
    set { note(.forgotten, holds: newValue) }
  }

  /// Makes this session ``isForgotten``, and ends the waits under way, as a ``SessionManager`` does
  /// that drops it.
  ///
  /// This is for programs that have another way to keep their sessions, such as recordings, which
  /// no ``SessionManager`` registers. It changes what this object tells its readers, and nothing in
  /// a recording's file.
  ///
  /// - Complexity: O(waiting threads) for the caller; see ``Session/append(_:to:)-(RawSpan,_)``.
  public func noteForgotten() {
    isForgotten = true
    // A waiter that is not on the list yet takes the list's lock later, and looks again after that.
    waiters.wakeAll()
  }

  /// Notes whether one of the endings holds, and leaves the others as they are.
  func note(_ ending: ReadNotes, holds: Bool = true) {
    var before = endings.load(ordering: .relaxed)
    while true {
      let after = holds ? before.union(ending) : before.subtracting(ending)
      // Releases what came before: a reader that finds a recording abandoned has all of it.
      let (isDone, found) = endings.compareExchange(
        expected: before, desired: after, ordering: .releasing)
      if isDone { return }
      before = found
    }
  }
}
