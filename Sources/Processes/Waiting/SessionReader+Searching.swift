extension SessionReader {
  /// Waits until a stream's output contains some bytes, and returns how the wait ended.
  ///
  /// ```swift
  /// let ready = await session.wait(for: "listening on port", upTo: .seconds(30))
  /// switch ready.outcome {
  /// case .matched: print("the server is up")
  /// case .exited(let code): print("it ended with \(code) instead")
  /// default: print("it is not up yet")
  /// }
  /// ```
  ///
  /// Chunks, reads and waits may divide the bytes anywhere. Each stream is searched on its own: a
  /// match never joins stdout to stderr. Nor does it span output that was missed. Of several
  /// matches, the one that ends first is returned.
  ///
  /// An exit ends the wait when all output before it has been searched, also if late output may
  /// still come. To wait for that, pass the result's cursor.
  ///
  /// The wait blocks no thread, and looks at each byte once, or twice near a match or what may
  /// become one. Long runs of one stream's output are searched where they lie, and not copied.
  /// However fast the process writes, other tasks have their turn after 1 or 2 MiB, or some
  /// thousand tiny chunks.
  ///
  /// - Parameters:
  ///   - pattern: The bytes to wait for.
  ///   - stream: The only stream to search; nil for both.
  ///   - cursor: Where to begin. A cursor from another session begins at the start.
  ///   - limit: The longest time to wait; nil for as long as it takes. What is retained is searched
  ///     in any case, also if this is zero or less.
  /// - Returns: The match, or why there is none, and what was missed. Cancelling the task ends the
  ///   wait promptly, as if the time was up.
  /// - Precondition: `pattern` is not empty.
  /// - Complexity: O(bytes searched, and of `pattern`).
  public func wait(
    for pattern: some Collection<UInt8> & Sendable, of stream: StandardStream? = nil,
    since cursor: Cursor = .start, upTo limit: Duration? = nil
  ) async -> WaitResult {
    var search = LiteralSearch(Array(pattern), of: stream)
    return await wait(
      since: cursor, upTo: limit, isolation: nil, turn: 1 << 20,
      skipping: { search.skip(past: &$0, maxWork: 1 << 20, of: self) },
      searching: { output, cursor, missed in
        let match = search.search(output, since: cursor, of: self)
        missed = search.allMissed
        return match.map { Found(range: $0.range, cursor: $0.cursor) }
      },
      restart: { search.cursor(from: $0) })
  }

  /// Waits until a stream's output contains a text, as the method that takes bytes waits for the
  /// text's bytes in UTF-8.
  ///
  /// - Precondition: `text` is not empty.
  public func wait(
    for text: String, of stream: StandardStream? = nil, since cursor: Cursor = .start,
    upTo limit: Duration? = nil
  ) async -> WaitResult {
    await wait(for: Array(text.utf8), of: stream, since: cursor, upTo: limit)
  }

  /// Waits until a line fulfils a predicate, and returns how the wait ended.
  ///
  /// ```swift
  /// let ready = await session.wait(forLineOf: .stderr, upTo: .seconds(30)) { line in
  ///   line.text.contains(/listening on port (\d+)/)
  /// }
  /// print(ready.line?.text ?? "not ready: \(ready.outcome)")
  /// ```
  ///
  /// The predicate gets lines as ``lines(of:since:maxLength:)`` returns them: a line without its
  /// newline only at the end of the output, or where a loss interrupts it. A prompt that waits for
  /// an answer has no newline: wait for its bytes.
  ///
  /// An exit ends the wait when all lines that were complete before it have been looked at.
  ///
  /// - Parameters:
  ///   - stream: The only stream to look at; nil for both.
  ///   - cursor: Where to begin, such as behind an earlier line. A cursor from another session
  ///     begins at the start.
  ///   - limit: The longest time to wait; nil for as long as it takes. What is retained is looked
  ///     at in any case, also if this is zero or less.
  ///   - maxLength: The longest line that comes as a whole, in bytes, without its newline.
  ///   - isolation: The caller's actor.
  ///   - isMatch: Whether a line is the one to wait for. It is called on the caller's actor.
  /// - Returns: The match, or why there is none, and what was missed. Cancelling the task ends the
  ///   wait promptly, as if the time was up.
  /// - Throws: What the predicate throws.
  /// - Precondition: `maxLength` is at least 4.
  /// - Complexity: O(bytes read), besides `isMatch`.
  public func wait<Failure: Error>(
    forLineOf stream: StandardStream?, since cursor: Cursor = .start, upTo limit: Duration?,
    maxLength: Int = 65_536, isolation: isolated (any Actor)? = #isolation,
    where isMatch: (Line) throws(Failure) -> Bool
  ) async throws(Failure) -> WaitResult {
    var assembler = LineAssembler(of: stream, maxLength: maxLength)
    var told = Missed()
    return try await wait(
      since: cursor, upTo: limit, isolation: isolation,
      searching: { output, cursor, missed throws(Failure) in
        assembler.take(output, since: cursor, of: self)
        while let line = assembler.next() {
          told += Missed(line)
          missed = told
          if line.range.isEmpty && !line.isComplete { continue }
          if try isMatch(line) {
            return Found(range: line.range, line: line, cursor: line.cursor)
          }
        }
        missed = assembler.allMissed
        return nil
      },
      restart: { _ in assembler.cursor })
  }
}

// MARK: The loop

/// What a search found in a read.
private struct Found {
  var range: Range<Int>
  var line: Line?
  /// Where to go on.
  var cursor: Cursor
}

extension SessionReader {
  /// Reads and waits until a search finds something, or nothing more can be found.
  ///
  /// - Parameters:
  ///   - turn: After how much work other tasks have their turn: the bytes of a read, and as much as
  ///     256 for each chunk.
  ///   - skip: Moves the cursor past output that need not be read, and returns its work.
  ///   - search: Searches what a read with a cursor returned, and says what was missed so far.
  ///   - restart: Returns where a search that goes on must begin, if the last read ended at a
  ///     place.
  private func wait<Failure: Error>(
    since start: Cursor, upTo limit: Duration?, isolation: isolated (any Actor)?, turn: Int = 0,
    skipping skip: (inout Cursor) -> Int = { _ in 0 },
    searching search: (Output, Cursor, inout Missed) throws(Failure) -> Found?,
    restart: (Place) -> Cursor
  ) async throws(Failure) -> WaitResult {
    let deadline = deadline(limit)
    /// The seq up to which output is searched although the time is up.
    var lastSeqInTime: Int?
    var known = isForeign(start) ? 0 : start.knownStatus
    var cursor = start
    var missed = Missed()
    var output = Output()
    // Tiny chunks cost more than their bytes, so a read takes fewer bytes of them; and of what may
    // turn out to be such.
    let leastBytes = 4_096
    var maxBytes = leastBytes

    func result(_ outcome: WaitResult.Outcome, _ cursor: Cursor, line: Line? = nil) -> WaitResult {
      WaitResult(
        outcome: outcome, missedBytes: missed.bytes, cursor: cursor.knowing(known), line: line)
    }

    // Another task's turn costs more than a short search: another thread may go on with this one.
    var work = 0
    while true {
      work += skip(&cursor)
      readStretch(since: cursor, maxBytes: maxBytes, into: &output)
      work += output.chunks.payload.count + 256 * output.chunks.count
      if let found = try search(output, cursor, &missed) {
        return result(.matched(found.range), found.cursor, line: found.line)
      }
      cursor = output.cursor
      let next = cursor.offset.map { restart(Place(seq: cursor.seq, offset: $0)) } ?? cursor
      if !output.hasMore {
        if let code = output.exitCode, code != SessionStatus(word: known).exitCode {
          known = cursor.status
          return result(.exited(code), next)
        }
        if output.isComplete { return result(ending(of: output), next) }
      }
      if !output.hasMore && !hasNews(past: cursor) {
        // Many may wait, each for long: none keeps what it has read.
        output = Output()
        maxBytes = leastBytes
        await waitForNews(past: cursor, until: deadline)
        work = 0
      } else {
        // However fast the process writes, other tasks have their turn.
        maxBytes = output.chunks.count < leastBytes / 4 ? LineSequence.readSize : leastBytes
        if work >= turn {
          await Task.yield()
          work = 0
        }
      }
      if Task.isCancelled { return result(.timedOut, next) }
      guard let deadline, deadline <= .now else { continue }
      // News that came in time is looked at, however late this task goes on.
      if let lastSeqInTime {
        if cursor.seq >= lastSeqInTime { return result(.timedOut, next) }
      } else if hasNews(past: cursor) {
        lastSeqInTime = lastSeq
      } else {
        return result(.timedOut, next)
      }
    }
  }

  /// Returns why no more output can come.
  private func ending(of output: Output) -> WaitResult.Outcome {
    if output.isClosed { return .closed }
    if output.isAbandoned { return .abandoned }
    return output.isForgotten ? .forgotten : .damaged
  }
}
