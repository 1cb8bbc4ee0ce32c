/// A session's output as it arrives, to its end; see ``SessionReader/outputs(since:maxBytes:)``.
public struct OutputSequence: AsyncSequence, Sendable {
  /// One read's chunks and state.
  public typealias Element = Output
  /// Reading cannot fail.
  public typealias Failure = Never

  package let session: SessionReader
  let start: Cursor
  let maxBytes: Int?

  /// Begins where the sequence does; every iterator is a reader of its own.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(session: session, cursor: start, maxBytes: maxBytes)
  }

  /// One reader. It keeps nothing but its position.
  public struct AsyncIterator: AsyncIteratorProtocol, Sendable {
    let session: SessionReader
    var cursor: Cursor
    let maxBytes: Int?
    var isAtEnd = false

    /// Waits for news, and returns it; nil after the end, or if the task is cancelled.
    public mutating func next() async -> Output? {
      await next(isolation: #isolation)
    }

    /// Waits for news, and returns it; nil after the end, or if the task is cancelled.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> Output? {
      if isAtEnd { return nil }
      let output = await session.output(since: cursor, maxBytes: maxBytes, waitingUpTo: nil)
      if Task.isCancelled { return nil }
      cursor = output.cursor
      isAtEnd = output.isComplete
      return output
    }
  }
}

extension SessionReader {
  /// Returns the session's output as it arrives: one element for each read that finds news, until
  /// the session is closed, dropped by its manager or abandoned by its producer, and all of its
  /// output has been read.
  ///
  /// ```swift
  /// for await output in session.outputs() {
  ///   if output.missedChunks > 0 { print("missed \(output.missedBytes ?? 0) bytes") }
  ///   for chunk in output.chunks { show(chunk) }
  /// }
  /// ```
  ///
  /// The sequence buffers nothing. A consumer that falls behind finds the gap in the next element,
  /// exactly counted. Neither the process nor other consumers wait for it; there can be any number
  /// of consumers. The last element is the one that ``Output/isComplete``. It always comes, with or
  /// without chunks, and holds the exit code if there is one by then. A session that its manager
  /// dropped (``Output/isForgotten``) may have none, and neither has one that was abandoned
  /// (``Output/isAbandoned``).
  ///
  /// - Parameters:
  ///   - cursor: Where to begin, such as where an earlier sequence ended. A cursor from another
  ///     session begins at the start: the first element then comes at once, and
  ///     ``Output/isCursorForeign`` is true.
  ///   - maxBytes: A limit on the payload of one element, or nil for none.
  public func outputs(since cursor: Cursor = .start, maxBytes: Int? = nil) -> OutputSequence {
    OutputSequence(session: self, start: cursor, maxBytes: maxBytes)
  }
}
