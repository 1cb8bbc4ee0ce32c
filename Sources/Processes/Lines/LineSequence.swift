/// A session's output as lines, as it arrives; see ``SessionReader/lines(of:since:maxLength:)``.
public struct LineSequence: AsyncSequence, Sendable {
  /// One line, or a part of one.
  public typealias Element = Line
  /// Reading cannot fail.
  public typealias Failure = Never

  let session: SessionReader
  let stream: StandardStream?
  let start: Cursor
  let maxLength: Int

  /// The payload that one read takes from the session, unless a chunk is larger: small enough for a
  /// processor's cache, large enough that a read's own cost does not show.
  static let readSize = 65_536

  /// Begins where the sequence does; every iterator is a reader of its own.
  public func makeAsyncIterator() -> AsyncIterator {
    AsyncIterator(
      session: session, cursor: start, assembler: LineAssembler(of: stream, maxLength: maxLength))
  }

  /// One reader. It keeps one read, and the lines of which the end has not been read.
  public struct AsyncIterator: AsyncIteratorProtocol, Sendable {
    let session: SessionReader
    var cursor: Cursor
    var assembler: LineAssembler
    var output = Output()
    var isAtEnd = false

    /// Waits for a line, and returns it; nil after the end, or if the task is cancelled.
    public mutating func next() async -> Line? {
      await next(isolation: #isolation)
    }

    /// Waits for a line, and returns it; nil after the end, or if the task is cancelled.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> Line? {
      while true {
        if let line = assembler.next() { return line }
        if isAtEnd { return nil }
        if !session.hasNews(past: cursor) { await session.waitForNews(past: cursor, until: nil) }
        if Task.isCancelled { return nil }
        session.readStretch(since: cursor, maxBytes: LineSequence.readSize, into: &output)
        assembler.take(output, since: cursor, of: session)
        cursor = output.cursor
        isAtEnd = output.isComplete
      }
    }
  }
}

extension SessionReader {
  /// Returns the session's output as lines, as they are completed, until the session is closed,
  /// dropped by its manager or abandoned by its producer, and all of its output has been read.
  ///
  /// ```swift
  /// for await line in session.lines(of: .stderr) {
  ///   if line.missedChunks > 0 { print("missed \(line.missedBytes ?? 0) bytes") }
  ///   print(line.text)
  /// }
  /// ```
  ///
  /// Each stream has lines of its own, in the order in which they end. A last line without a
  /// newline comes at the end. A line longer than `maxLength` comes in parts, as soon as they are
  /// read; none of them ends within a character of UTF-8.
  ///
  /// A consumer that falls behind is told what it missed, exactly, by the next line. The line that
  /// the loss interrupted comes before it, as it was read (``Line/Ending/loss``); the first line
  /// behind the loss may lack its beginning (``Line/followsLoss``). The sum of ``Line/missedBytes``
  /// is all that was missed: if something was, and no line follows, a last element without bytes
  /// says so.
  ///
  /// A reader holds one read of up to 64 KiB, or one chunk that is larger, and at most `maxLength`
  /// bytes of each stream.
  ///
  /// - Parameters:
  ///   - stream: The only stream to return lines of; nil for both. Losses are counted for both in
  ///     any case, since what is lost has no stream.
  ///   - cursor: Where to begin, such as behind an earlier line (``Line/cursor``), or with what
  ///     comes from now on (``newestCursor``). A cursor within a line begins with the rest of it. A
  ///     cursor from another session begins at the start.
  ///   - maxLength: The longest line that comes as a whole, in bytes, without its newline.
  /// - Precondition: `maxLength` is at least 4.
  /// - Complexity: O(payload read) for all lines together.
  public func lines(
    of stream: StandardStream? = nil, since cursor: Cursor = .start, maxLength: Int = 65_536
  ) -> LineSequence {
    precondition(maxLength >= 4, "the limit on a line, \(maxLength), must be 4 bytes or more")
    return LineSequence(session: self, stream: stream, start: cursor, maxLength: maxLength)
  }
}
