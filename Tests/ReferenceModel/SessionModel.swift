// The contract (docs/contract.md) as plain arrays. Written from the contract's text, not from the
// sources, and kept so simple that reading it is enough to believe it.

/// One chunk, as the contract describes it.
package struct ModelChunk: Equatable, Sendable {
  package var seq: Int
  package var offset: Int
  package var isError: Bool
  package var bytes: [UInt8]
  package var timestamp: Int64

  package init(seq: Int, offset: Int, isError: Bool, bytes: [UInt8], timestamp: Int64) {
    self.timestamp = timestamp
    self.seq = seq
    self.offset = offset
    self.isError = isError
    self.bytes = bytes
  }
}

/// All that a read says besides chunks.
package struct ReadState: Equatable, Sendable {
  package var exitCode: Int32?
  package var isAlive: Bool
  package var isClosed: Bool
  package var lostBytes: Int
  package var missedChunks: Int
  package var missedBytes: Int?
  package var lastSeq: Int
  package var cursorSeq: Int
  package var cursorOffset: Int
  package var hasMore: Bool
  package var isCursorAhead: Bool
  package var isCursorForeign = false
}

/// Where a read starts: a bare seq, or a cursor with an offset as well, which may be another
/// session's.
package struct ReadStart: Equatable, Sendable {
  package var seq: Int
  package var offset: Int?
  package var isForeign: Bool

  package init(seq: Int, offset: Int? = nil, isForeign: Bool = false) {
    self.seq = seq
    self.offset = offset
    self.isForeign = isForeign
  }
}

/// The output of one process, in an array.
package struct SessionModel: Sendable {
  package let capacity: Int
  package let chunkLimit: Int
  /// How many descriptors a ring of this geometry has: all that the contract leaves open is from
  /// when on a bare seq is too old for its missed bytes to be known.
  package let slotCount: Int
  package let headCapacity: Int
  package let headChunkLimit: Int

  /// The head: the first chunks, which are never evicted.
  package private(set) var head: [ModelChunk] = []
  /// Whether no more chunks go to the head.
  package private(set) var isHeadComplete: Bool
  /// The chunks retained behind the head.
  package private(set) var retained: ArraySlice<ModelChunk> = []
  package private(set) var retainedBytes = 0
  package private(set) var lostBytes = 0
  package private(set) var exitCode: Int32?
  package private(set) var isClosed = false
  /// How often an exit was set, or the session closed.
  package private(set) var statusChanges = 0
  /// Where each seq ended, from seq 0 on.
  package private(set) var ends = [0]
  /// The timestamp of each seq.
  package private(set) var timestamps: [Int64] = [0]
  /// The newest seq whose descriptor's place was claimed, be it by a reservation without a chunk.
  private var claimedSeq = 0

  package init(
    capacity: Int, chunkLimit: Int, slotCount: Int, headCapacity: Int = 0, headChunkLimit: Int = 0
  ) {
    self.capacity = capacity
    self.chunkLimit = chunkLimit
    self.slotCount = slotCount
    self.headCapacity = headCapacity
    self.headChunkLimit = headChunkLimit
    isHeadComplete = headCapacity == 0
  }

  package var lastSeq: Int { ends.count - 1 }
  package var totalBytes: Int { ends[lastSeq] }
  /// The oldest seq retained behind the head.
  package var oldestSeq: Int { retained.first?.seq ?? lastSeq + 1 }
  /// The bytes that the head has room for; 0 once it is complete.
  package var headRoom: Int { isHeadComplete ? 0 : headCapacity - totalBytes }

  // MARK: Writing

  /// - Parameter time: What the clock shows; nil for what it shows for a chunk on its own.
  package mutating func append(_ bytes: [UInt8], isError: Bool, at time: Int64? = nil) {
    guard !bytes.isEmpty else { return }
    // The clock may go back; timestamps do not.
    timestamps.append(max(timestamps[lastSeq], time ?? Stamp.time(lastSeq + 1)))
    if !isHeadComplete {
      if bytes.count <= headRoom {
        head.append(
          ModelChunk(
            seq: lastSeq + 1, offset: totalBytes, isError: isError, bytes: bytes,
            timestamp: timestamps[lastSeq + 1]))
        ends.append(totalBytes + bytes.count)
        claimedSeq = max(claimedSeq, lastSeq)
        isHeadComplete = totalBytes == headCapacity || head.count == headChunkLimit
        return
      }
      isHeadComplete = true
    }
    // The last `capacity` bytes are kept under one seq; the prefix cut counts as lost.
    let kept = bytes.suffix(capacity)
    lostBytes += bytes.count - kept.count
    let end = totalBytes + bytes.count
    retained.append(
      ModelChunk(
        seq: lastSeq + 1, offset: end - kept.count, isError: isError, bytes: Array(kept),
        timestamp: timestamps[lastSeq + 1]))
    ends.append(end)
    claimedSeq = max(claimedSeq, lastSeq)
    retainedBytes += kept.count
    // Whole chunks leave, the oldest first.
    while retainedBytes > capacity || retained.count > chunkLimit {
      let dropped = retained.removeFirst()
      retainedBytes -= dropped.bytes.count
      lostBytes += dropped.bytes.count
    }
  }

  /// A reservation was opened; what it brings, if anything, is an append like any other.
  package mutating func reserve() { claimedSeq = max(claimedSeq, lastSeq + 1) }

  package mutating func setExit(_ code: Int32, closing: Bool) {
    exitCode = code
    if closing { isClosed = true }
    statusChanges += 1
  }

  package mutating func close() {
    isClosed = true
    statusChanges += 1
  }

  // MARK: Reading

  package func read(_ start: ReadStart, maxBytes: Int?) -> (ArraySlice<ModelChunk>, ReadState) {
    if start.isForeign {
      // As from the start, and told.
      var (chunks, state) = read(ReadStart(seq: 0, offset: 0), maxBytes: maxBytes)
      state.isCursorForeign = true
      return (chunks, state)
    }
    let since = max(start.seq, 0)
    // Seqs are consecutive, so those newer than `since` are that many at the end, or all there are.
    let headDue = head.suffix(max(0, head.count - min(since, head.count)))
    let due = headDue + retained.suffix(max(0, lastSeq - min(since, lastSeq)))
    var state = ReadState(
      exitCode: exitCode, isAlive: exitCode == nil, isClosed: isClosed, lostBytes: lostBytes,
      missedChunks: 0, missedBytes: 0, lastSeq: lastSeq, cursorSeq: lastSeq,
      cursorOffset: totalBytes, hasMore: false, isCursorAhead: start.seq > lastSeq)
    guard let first = due.first else { return (due, state) }

    var read = due.prefix(1)
    var payload = first.bytes.count
    for chunk in due.dropFirst() {
      payload += chunk.bytes.count
      if let maxBytes, payload > maxBytes { break }
      read = due[due.startIndex...read.endIndex]
    }
    let last = read[read.endIndex - 1]
    state.missedChunks = first.seq - since - 1
    if let headEnd = headDue.last {
      // What is missed lies between the head and the rest.
      if last.seq > headEnd.seq {
        let next = due[due.startIndex + headDue.count]
        state.missedChunks = next.seq - headEnd.seq - 1
        state.missedBytes = next.offset - ends[headEnd.seq]
      }
    } else if since == 0 {
      // Before the first chunk, a part of that may have been dealt with.
      let dealtWith = start.seq < 0 ? 0 : max(start.offset ?? 0, 0)
      state.missedBytes = max(0, first.offset - dealtWith)
    } else if let offset = start.offset, offset >= 0 {
      // A cursor is whatever a client sends; one that is beyond the chunk has missed nothing.
      state.missedBytes = max(0, first.offset - offset)
    } else if since + slotCount > claimedSeq || since == head.count {
      state.missedBytes = first.offset - ends[since]
    } else {
      state.missedBytes = nil
    }
    state.lastSeq = last.seq
    state.cursorSeq = last.seq
    state.cursorOffset = last.offset + last.bytes.count
    state.hasMore = read.count < due.count
    return (read, state)
  }

  /// Whether a wait from there ends: so many changes of the status are known to the cursor, none to
  /// a bare seq.
  package func hasNews(past start: ReadStart, knownChanges: Int) -> Bool {
    start.isForeign || max(start.seq, 0) != lastSeq || isClosed || statusChanges != knownChanges
  }
}
