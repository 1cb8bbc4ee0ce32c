/// How far a reader is behind the producer.
public struct RingLag: Sendable, Hashable {
  /// The number of chunks behind the reader's cursor, whether they are retained or not.
  public let chunks: Int
  /// Their bytes; nil if the cursor has no offset, and is so old that its chunk's descriptor is
  /// gone.
  public let bytes: Int?
  /// How many of the chunks the reader can no longer have.
  public let missedChunks: Int
  /// The bytes of those; nil where ``bytes`` is.
  public let missedBytes: Int?

  /// Creates the lag of a reader; by default of one that has everything.
  public init(
    chunks: Int = 0, bytes: Int? = 0, missedChunks: Int = 0, missedBytes: Int? = 0
  ) {
    self.chunks = chunks
    self.bytes = bytes
    self.missedChunks = missedChunks
    self.missedBytes = missedBytes
  }
}

/// What a ring tells of a chunk besides its payload.
public struct RingChunkInfo: Sendable, Hashable {
  /// As ``RingChunk/seq``.
  public let seq: Int
  /// As ``RingChunk/offset``.
  public let offset: Int
  /// The number of bytes of payload.
  public let count: Int
  /// As ``RingChunk/tag``.
  public let tag: Bool
}

extension RingReader {
  /// Returns how far a reader with a cursor is behind the newest chunk, and how much of that is no
  /// longer retained. Copies no payload.
  ///
  /// A reader whose lag comes close to ``RingLayout/capacity``, or to ``RingLayout/chunkLimit``, is
  /// about to miss output.
  ///
  /// - Parameter cursor: The reader's position. One beyond the newest chunk has no lag.
  /// - Returns: The lag, as of one instant. If the producer reuses descriptors during each of many
  ///   attempts, or if a file holds what no producer stores, all of the chunks count as missed.
  /// - Complexity: O(1) if nothing was appended since any reader last read, else O(log chunks); no
  ///   allocation.
  public func lag(since cursor: RingCursor = .start) -> RingLag {
    for _ in 0..<Self.attemptLimit {
      if let lag = memory.lag(since: cursor) { return lag }
    }
    let chunks = max(0, lastSeq - cursor.seq)
    return RingLag(chunks: chunks, bytes: nil, missedChunks: chunks, missedBytes: nil)
  }

  /// Returns what the next read with a cursor would return as its first chunk, without its payload;
  /// nil if there is none. Copies no payload.
  ///
  /// The chunk may be gone before it is read.
  ///
  /// - Parameter cursor: The reader's position.
  /// - Complexity: O(log chunks); no allocation.
  public func peek(since cursor: RingCursor = .start) -> RingChunkInfo? {
    for _ in 0..<Self.attemptLimit {
      switch memory.select(since: cursor, maxBytes: 0) {
      case .selected(let selection):
        if selection.range.isEmpty { return nil }
        return RingChunkInfo(
          seq: selection.first, offset: selection.range.lowerBound, count: selection.range.count,
          tag: selection.tag)
      case .nothing, .damaged: return nil
      case .stale: continue
      }
    }
    return nil
  }
}

extension RingMemory {
  /// Returns the lag of a reader; nil if the producer reused a slot that was needed, or the region
  /// holds what no producer stores.
  fileprivate func lag(since cursor: RingCursor) -> RingLag? {
    let newestSeq = counters.observe()
    guard isTrusted || Self.plausibleCounts ~= newestSeq else { return nil }
    guard let window = retainedWindow(newestSeq: newestSeq, probe: NoProbe()) else { return nil }
    guard cursor.seq < newestSeq else { return RingLag() }
    guard isTrusted || Self.plausibleCounts ~= window.end else { return nil }
    let head = head(upTo: newestSeq)
    let seq = max(cursor.seq, 0)
    // Where the reader is behind the head, and where it would find the gap.
    let known = seq < head.seq ? headEnd(seq) : end(of: cursor)
    let offset = known ?? (seq == head.seq ? head.end : nil)
    let gapSeq = max(seq, head.seq)
    let gapEnd = head.end + window.lostBytes
    return RingLag(
      chunks: newestSeq - seq, bytes: offset.map { max(0, window.end - $0) },
      missedChunks: max(0, window.oldestSeq - 1 - gapSeq),
      missedBytes: offset.map { max(0, gapEnd - max($0, head.end)) })
  }
}
