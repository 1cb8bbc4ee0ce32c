import OutputRing

extension Session {
  /// Records that the process has an exit status. The last one set stands.
  ///
  /// A reader that sees it has every chunk appended before. Appending afterwards is still possible:
  /// late output, such as a grandchild's; the process does not come back to life by it.
  ///
  /// - Parameters:
  ///   - code: The status; by convention 128 + n for a process ended by signal n.
  ///   - closing: Whether no more output can come, which is the rule. Pass false if the pipes are still
  ///     open, and call ``close()`` when they are not.
  public func setExit(_ code: Int32, closing: Bool = true) {
    changeStatus { status in
      touch()
      status.exit(code)
      if closing { status.close() }
    }
  }

  /// Records that no more output can ever come. Cannot be undone.
  public func close() { changeStatus { $0.close() } }

  /// The exit status; nil while there is none.
  public var exitCode: Int32? { SessionStatus(word: reader.status).exitCode }

  /// Whether the process has no exit status yet.
  public var isAlive: Bool { exitCode == nil }

  /// Whether no more output can ever come.
  public var isClosed: Bool { SessionStatus(word: reader.status).isClosed }

  /// The status changes in turn with appends: readers must be able to say which came first.
  private func changeStatus(_ change: (inout SessionStatus) -> Void) {
    let isCalled = producer.withLock { producer in
      var status = SessionStatus(word: producer.writer.status)
      change(&status)
      producer.writer.status = status.word
      return producer.takesCall(thereIsNews: true)
    }
    if isCalled { waiters.wakeAll() }
  }
}
