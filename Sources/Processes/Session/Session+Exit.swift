import OutputRing

extension Session {
  /// Records that the process has an exit status. The last one set stands.
  ///
  /// A reader that sees the status has every chunk appended before it. Appending is still possible
  /// afterwards: late output, such as a grandchild's. ``SessionReader/isAlive`` stays false.
  ///
  /// - Parameters:
  ///   - code: The status; by convention 128 + n for a process ended by signal n.
  ///   - closing: Whether no more output can come. Pass false if the pipes are still open, and call
  ///     ``close()`` once they are closed.
  /// - Precondition: the session has no ``Producer`` of its own.
  public func setExit(_ code: Int32, closing: Bool = true) {
    changeStatus { $0.setExit(code, closing: closing) }
    noteActivity()
  }

  /// Records that no more output can ever come. Cannot be undone.
  ///
  /// - Precondition: the session has no ``Producer`` of its own.
  public func close() { changeStatus { $0.close() } }

  /// Changes the status under the producers' lock: readers must be able to tell whether an append
  /// or the change came first.
  private func changeStatus(_ change: (inout RingWriter) -> Void) {
    producers.withLock { $0.withWriter(of: id, change) }
    waiters.wakeIfAwaited()
  }
}

extension SessionReader {
  /// The exit status; nil while there is none.
  public var exitCode: Int32? { SessionStatus(word: reader.status).exitCode }

  /// Whether the process has no exit status yet.
  public var isAlive: Bool { exitCode == nil }

  /// Whether no more output can ever come.
  public var isClosed: Bool { SessionStatus(word: reader.status).isClosed }
}

extension RingWriter {
  /// Stores an exit status in the status word.
  mutating func setExit(_ code: Int32, closing: Bool) {
    var status = SessionStatus(word: status)
    status.exit(code)
    if closing { status.close() }
    self.status = status.word
  }

  /// Stores in the status word that no more output can come.
  mutating func close() {
    var status = SessionStatus(word: status)
    status.close()
    self.status = status.word
  }
}
