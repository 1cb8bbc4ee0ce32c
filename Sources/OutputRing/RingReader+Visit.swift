/// What a visit of a ring's payload came to; see ``RingReader/visit(since:maxBytes:_:)``.
public struct RingVisit: Sendable, Hashable {
  /// The offsets of the bytes that the closure was given.
  public let range: Range<Int>
  /// Those of them that were intact all the time. The producer overwrote what lies before.
  public let intactRange: Range<Int>
  /// How many chunks before ``range`` this reader asked for and can no longer have.
  public let missedChunks: Int
  /// How many bytes before ``range`` this reader asked for and can no longer have; nil where
  /// ``RingBatch/missedBytes`` would be.
  public let missedBytes: Int?
  /// Where the next visit or read continues.
  public let cursor: RingCursor
  /// Whether chunks are due that this visit left for the next one.
  public let hasMore: Bool
  /// Whether the ring's file holds what no producer stores; see ``RingBatch/isDamaged``.
  public let isDamaged: Bool

  /// Whether everything that the closure has seen is what the producer appended.
  public var isIntact: Bool { intactRange == range }
}

extension RingReader {
  /// Lets a closure look at the payload of the chunks after a cursor where it lies in the ring, and
  /// tells afterwards which of it stayed intact.
  ///
  /// Nothing is copied. But the producer does not wait: it may overwrite bytes, from the oldest on,
  /// while the closure looks at them. So the closure draws conclusions only, such as a checksum or
  /// a count of newlines, and the caller uses them only if the result says that the bytes were
  /// intact.
  ///
  /// ```swift
  /// var newlines = 0
  /// let visit = unsafe reader.visit(since: cursor) { bytes, _ in
  ///   newlines += unsafe bytes.count { $0 == 10 }
  /// }
  /// if visit.isIntact { total += newlines }
  /// cursor = visit.cursor
  /// ```
  ///
  /// A visit ends where the ring's head does, so the bytes of one visit always follow each other.
  ///
  /// - Parameters:
  ///   - cursor: The last chunk that the caller has dealt with.
  ///   - maxBytes: A limit on the payload, in bytes, or nil for none. At least one chunk is visited
  ///     if any is due; ``RingVisit/hasMore`` tells whether chunks were left.
  ///   - body: Receives the payload in one piece, or in two where the payload storage wraps, and
  ///     the offset of the piece's first byte. It is not called if nothing is new.
  /// - Returns: What was visited, and which of it was intact until the closure had returned.
  /// - Throws: What `body` throws.
  /// - Safety: the bytes are valid during the call of `body` only, and may change under it at any
  ///   time: `body` must be safe for any bytes, and must not load one twice and expect the same
  ///   value. To the language this is a data race, whatever the loads compile to. ThreadSanitizer
  ///   reports it.
  /// - Complexity: O(log chunks), besides `body`; no allocation.
  @unsafe
  public func visit<Failure: Error>(
    since cursor: RingCursor = .start, maxBytes: Int? = nil,
    _ body: (_ bytes: UnsafeRawBufferPointer, _ offset: Int) throws(Failure) -> Void
  ) throws(Failure) -> RingVisit {
    try unsafe visit(since: cursor, maxBytes: maxBytes, isOneTag: false) {
      bytes, offset, _ throws(Failure) in try unsafe body(bytes, offset)
    }
  }

  /// Visits as ``visit(since:maxBytes:_:)`` does, and ends where the tag changes. The closure also
  /// receives the tag.
  @unsafe
  package func visitRun<Failure: Error>(
    since cursor: RingCursor, maxBytes: Int?,
    _ body: (UnsafeRawBufferPointer, _ tag: Bool) throws(Failure) -> Void
  ) throws(Failure) -> RingVisit {
    try unsafe visit(since: cursor, maxBytes: maxBytes, isOneTag: true) {
      bytes, _, tag throws(Failure) in try unsafe body(bytes, tag)
    }
  }

  private func visit<Failure: Error>(
    since cursor: RingCursor, maxBytes: Int?, isOneTag: Bool,
    _ body: (UnsafeRawBufferPointer, Int, Bool) throws(Failure) -> Void
  ) throws(Failure) -> RingVisit {
    let maxBytes = max(maxBytes ?? .max, 0)
    let publishedBefore = memory.isTrusted ? 0 : memory.counters.observe()
    for _ in 0..<Self.attemptLimit {
      switch memory.select(since: cursor, maxBytes: maxBytes, isOneTag: isOneTag) {
      case .selected(let selection): return try unsafe visit(selection, body)
      case .nothing(let newest): return RingVisit(nothingAfter: newest)
      case .damaged: return RingVisit(nothingAfter: cursor, isDamaged: true)
      case .stale: continue
      }
    }
    // As for a read: a producer that goes round the descriptors publishes.
    let isDamaged = !memory.isTrusted && memory.counters.observe() == publishedBefore
    return RingVisit(nothingAfter: cursor, hasMore: !isDamaged, isDamaged: isDamaged)
  }

  private func visit<Failure: Error>(
    _ selection: Selection, _ body: (UnsafeRawBufferPointer, Int, Bool) throws(Failure) -> Void
  ) throws(Failure) -> RingVisit {
    let range = selection.range
    var intactStart = range.lowerBound
    if range.isEmpty {
      // All that was due is missed.
    } else if selection.isInHead {
      let place = unsafe memory.headPayload + range.lowerBound
      try unsafe body(
        UnsafeRawBufferPointer(start: place, count: range.count), range.lowerBound, selection.tag)
    } else {
      let size = layout.payloadSize
      let position = range.lowerBound % size
      let beforeWrap = min(range.count, size - position)
      try unsafe body(
        UnsafeRawBufferPointer(start: memory.payload + position, count: beforeWrap),
        range.lowerBound, selection.tag)
      if beforeWrap < range.count {
        try unsafe body(
          UnsafeRawBufferPointer(start: memory.payload, count: range.count - beforeWrap),
          range.lowerBound + beforeWrap, selection.tag)
      }
      let overwritten = memory.counters.announcedOffsetAfterPayload() &- size
      intactStart = min(max(overwritten, range.lowerBound), range.upperBound)
    }
    return RingVisit(
      range: range, intactRange: intactStart..<range.upperBound,
      missedChunks: selection.missedChunks, missedBytes: selection.missedBytes,
      cursor: RingCursor(publishedSeq: selection.last, end: range.upperBound),
      hasMore: selection.hasMore, isDamaged: selection.isDamaged)
  }
}

extension RingVisit {
  fileprivate init(
    nothingAfter cursor: RingCursor, hasMore: Bool = false, isDamaged: Bool = false
  ) {
    let end = cursor.offset ?? 0
    self.init(
      range: end..<end, intactRange: end..<end, missedChunks: 0, missedBytes: 0, cursor: cursor,
      hasMore: hasMore, isDamaged: isDamaged)
  }
}

// MARK: Selecting chunks without copying them

/// Chunks that are due for a reader, and lie next to each other: of the head, or behind it. None if
/// an append in flight overwrites all of them.
struct Selection {
  var first: Int
  var last: Int
  /// The offsets of their bytes.
  var range: Range<Int>
  /// The first chunk's tag.
  var tag: Bool
  var isInHead = false
  var missedChunks = 0
  var missedBytes: Int? = 0
  var hasMore: Bool
  /// Whether a found region holds, besides these chunks, what no producer stores.
  var isDamaged = false

  enum Outcome {
    case selected(Selection)
    /// Nothing is newer than the reader's cursor; with the newest chunk's.
    case nothing(RingCursor)
    /// The producer reused a slot that was needed.
    case stale
    case damaged
  }
}

extension RingMemory {
  /// R1 to R3: Returns the chunks after a cursor, at most so many bytes of them or one chunk, and
  /// those of the head alone if any are due.
  ///
  /// - Parameter isOneTag: Whether the chunks end where the tag changes.
  func select(
    since cursor: RingCursor, maxBytes: Int, isOneTag: Bool = false
  ) -> Selection.Outcome {
    let newestSeq = counters.observe()
    guard isTrusted || Self.plausibleCounts ~= newestSeq else { return .damaged }
    guard let window = retainedWindow(newestSeq: newestSeq, probe: NoProbe()) else {
      return .stale
    }
    guard isTrusted || Self.plausibleCounts ~= window.end else { return .damaged }
    guard cursor.seq < newestSeq else {
      return .nothing(RingCursor(publishedSeq: newestSeq, end: window.end))
    }
    let head = head(upTo: newestSeq)
    // Chunks of a damaged head count as missed.
    var isDamaged = head.isDamaged
    if cursor.seq < head.seq {
      if let selection = selectInHead(
        head, window, since: cursor, maxBytes, isOneTag: isOneTag)
      {
        return .selected(selection)
      }
      isDamaged = true
    }
    if window.isEmpty {
      // Something newer may have been published since.
      if counters.observe() != newestSeq { return .stale }
      let known = cursor.seq == head.seq ? cursor.offset ?? head.end : end(of: cursor)
      return .selected(
        Selection(
          first: newestSeq + 1, last: newestSeq, range: window.end..<window.end, tag: false,
          missedChunks: newestSeq - cursor.seq, missedBytes: known.map { max(0, window.end - $0) },
          hasMore: false, isDamaged: isDamaged))
    }

    let first = max(cursor.seq + 1, window.oldestSeq)
    let descriptor = descriptor(first)
    let begin = begin(predecessorEnd: self.descriptor(first - 1).end, end: descriptor.end)
    var last = lastChunk(from: first, begin: begin, in: window, maxBytes: maxBytes)
    if isOneTag {
      last = lastOfRun(from: first, through: last) { self.descriptor($0).tag == descriptor.tag }
    }
    let end = last == window.newestSeq ? window.end : self.descriptor(last).end
    let since = cursor.seq == head.seq ? cursor.offset ?? head.end : self.end(of: cursor)
    guard first - 1 + layout.slotCount > counters.announcedSeqAfterDescriptors() else {
      return .stale
    }
    guard isTrusted || isPlausible(begin: begin, end: end, in: window, behind: head) else {
      return .damaged
    }
    return .selected(
      Selection(
        first: first, last: last, range: begin..<end, tag: descriptor.tag,
        missedChunks: first - cursor.seq - 1, missedBytes: since.map { max(0, begin - $0) },
        hasMore: last < window.newestSeq, isDamaged: isDamaged))
  }

  /// Returns chunks of the head; nil if a found region's is damaged.
  private func selectInHead(
    _ head: HeadExtent, _ window: RetainedWindow, since cursor: RingCursor, _ maxBytes: Int,
    isOneTag: Bool
  ) -> Selection? {
    guard let part = headPart(of: head, since: cursor.seq, maxBytes: maxBytes) else { return nil }
    let tag = headDescriptor(part.first).tag
    var (last, end) = (part.last, part.end)
    if isOneTag {
      last = lastOfRun(from: part.first, through: last) { headDescriptor($0).tag == tag }
      if last < part.last { end = headDescriptor(last).end }
      guard part.begin...part.end ~= end else { return nil }
    }
    return Selection(
      first: part.first, last: last, range: part.begin..<end, tag: tag, isInHead: true,
      hasMore: last < window.newestSeq)
  }

  /// Returns the last chunk of those next to each other that fulfil a condition, as the first does.
  private func lastOfRun(
    from first: Int, through last: Int, where isOfRun: (Int) -> Bool
  ) -> Int {
    var end = first
    while end < last, isOfRun(end + 1) { end += 1 }
    return end
  }
}
