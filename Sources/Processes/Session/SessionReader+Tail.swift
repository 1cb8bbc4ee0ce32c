import OutputRing

extension SessionReader {
  /// Behind the newest chunk: a read with this cursor finds only what comes from now on.
  ///
  /// The cursor knows nothing of the process: a wait with it ends at once if the process has
  /// exited.
  ///
  /// - Complexity: as ``lostBytes``.
  public var newestCursor: Cursor {
    Cursor(reader.read(since: RingCursor(seq: .max)).cursor, status: 0, epoch: epoch)
  }

  /// Reads the newest chunks, as many as have at most so many bytes together, and the session's
  /// state.
  ///
  /// ```swift
  /// let end = session.tail(bytes: 4_096)
  /// for await output in session.outputs(since: end.cursor) { show(output) }
  /// ```
  ///
  /// Nothing counts as missed: ``Output/lostBytes`` and the first chunk's offset say what came
  /// before.
  ///
  /// - Parameter maxBytes: The limit on the payload. The newest chunk is read in any case.
  /// - Precondition: `maxBytes` is not negative.
  /// - Complexity: O(payload returned, and what is appended meanwhile) plus O(log chunks).
  public func tail(bytes maxBytes: Int) -> Output {
    precondition(maxBytes >= 0, "a tail cannot have \(maxBytes) bytes")
    let endings = endings.load(ordering: .acquiring)
    return Output(batch: reader.readNewest(maxBytes), notes: endings, epoch: epoch)
  }

  /// Returns the newest lines, in the order in which they ended.
  ///
  /// ```swift
  /// for line in session.tail(lines: 20) { print(line.text) }
  /// ```
  ///
  /// The last line of each stream comes also if its newline has not been written yet
  /// (``Line/Ending/end``); of two, the one that began first comes first. Parts of lines longer
  /// than `maxLength` count as lines. Nothing counts as missed. If less is retained than was asked
  /// for, the first line may lack its beginning (``Line/followsLoss``).
  ///
  /// - Parameters:
  ///   - count: How many lines.
  ///   - stream: The only stream to return lines of; nil for both.
  ///   - maxLength: The longest line that comes as a whole, in bytes, without its newline.
  /// - Precondition: `count` is not negative, and `maxLength` is at least 4.
  /// - Complexity: O(bytes from the beginning of the first line returned to the newest).
  public func tail(
    lines count: Int, of stream: StandardStream? = nil, maxLength: Int = 65_536
  ) -> [Line] {
    precondition(count >= 0, "a tail cannot have \(count) lines")
    if count == 0 { return [] }
    // As `count` may be huge: a guess at the length of lines.
    var size = min(max(count, 16), 1_024) * 128
    while true {
      let output = tail(bytes: size)
      guard let first = output.chunks.first else { return [] }
      let hasAll = size == .max || isWhole(output)
      var assembler = LineAssembler(of: stream, maxLength: maxLength)
      assembler.take(output, since: Cursor(seq: first.seq - 1), of: self)
      if first.offset > 0 { assembler.noteEarlierOutput() }
      var lines: [Line] = []
      while let line = assembler.next() { lines.append(line) }
      lines += assembler.finish()
      // A line that may lack its beginning needs a look further back, as long as there is more.
      if hasAll || lines.beginnings(ofLast: count) { return lines.suffix(count) }
      size = size > .max / 4 ? .max : size * 4
    }
  }
}

extension SessionReader {
  /// Returns whether a tail that is not empty begins with the output, or right behind what is lost:
  /// a longer one would have nothing more.
  package func isWhole(_ tail: Output) -> Bool {
    let offset = tail.chunks[0].offset
    return offset == 0 || tail.lostBytes > 0 && offset <= tail.lostBytes + reader.headEnd
  }
}

extension [Line] {
  /// Returns whether there are so many lines, and each of the last ones was read from its
  /// beginning.
  fileprivate func beginnings(ofLast count: Int) -> Bool {
    if self.count < count { return false }
    var isBeginningKnown = PerStream(true)
    for (index, line) in enumerated() {
      if !line.isContinuation { isBeginningKnown[line.stream] = !line.followsLoss }
      if index >= self.count - count, !isBeginningKnown[line.stream] { return false }
    }
    return true
  }
}
