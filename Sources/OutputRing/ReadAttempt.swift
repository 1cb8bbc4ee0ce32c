import CRingShims

/// What one attempt to read is asked for.
///
/// `RingMemory.read(_:into:probe:)` makes the attempt: steps R1 to R6 of the protocol, in order.
/// That is the mechanism alone. What follows from the outcome, such as another attempt, is up to
/// ``RingReader``.
///
/// The attempt is the memory's own method, and not this type's, so that no read counts references.
struct ReadAttempt {
  /// The position from which to read.
  let cursor: RingCursor
  /// The most payload to read; a read has at least one chunk if any is due.
  let maxBytes: Int
  let order: PayloadOrder

  /// Which payload an attempt copies first.
  enum PayloadOrder {
    /// Oldest first until the attempt was lapped twice, then newest first.
    case oldestFirst
    case newestFirst
  }

  /// How an attempt ended. The summary is in the batch, because an enum that carried it would be
  /// copied twice by each read.
  enum Outcome {
    /// The batch has all that is due, or of that the newest chunks.
    case complete
    /// The producer overwrote all that was due before it was copied. The batch's summary counts
    /// that as missed, for a caller that settles for it.
    case lapped
    /// The producer reused a descriptor slot that the attempt needed, which says nothing yet. The
    /// batch's summary is unchanged.
    case stale
    /// The region holds what no producer stores, so that nothing can be read. The batch's summary
    /// is unchanged.
    case damaged
  }
}

extension RingMemory {
  /// Makes the attempt. The batch must have no chunks; it gets some only if the outcome is
  /// complete.
  @inline(__always)
  func read<Probe: ReadProbe>(
    _ attempt: ReadAttempt, into batch: inout RingBatch, probe: Probe
  ) -> ReadAttempt.Outcome {
    let cursor = attempt.cursor
    // R1 observe.
    let (status, newestSeq) = observe(probe: probe)
    probe.reached(.observed)
    guard isTrusted || Self.plausibleCounts ~= newestSeq else { return .damaged }

    // R2 window.
    guard let window = retainedWindow(newestSeq: newestSeq, probe: probe) else {
      return .stale
    }
    guard isTrusted || Self.plausibleCounts ~= window.end else { return .damaged }
    guard cursor.seq < newestSeq else {
      batch.summary = ReadSummary(status: status, window: window, since: cursor.seq)
      return .complete
    }
    return readChunks(attempt, in: window, status: status, into: &batch, probe: probe)
  }

  /// R3 to R6: Reads the chunks that are due: of the head first, then of the window. At least one
  /// is due, unless an append in flight overwrites the whole window.
  @inline(never)
  private func readChunks<Probe: ReadProbe>(
    _ attempt: ReadAttempt, in window: RetainedWindow, status: UInt64,
    into batch: inout RingBatch, probe: Probe
  ) -> ReadAttempt.Outcome {
    var cursor = attempt.cursor
    var maxBytes = attempt.maxBytes
    probe.reached(.located)

    let head = head(upTo: window.newestSeq)
    var isDamaged = head.isDamaged
    var headPart: HeadPart?
    if cursor.seq < head.seq {
      headPart = self.headPart(of: head, since: cursor.seq, maxBytes: maxBytes)
      if let headPart {
        cursor = RingCursor(publishedSeq: headPart.last, end: headPart.end)
        maxBytes = max(0, maxBytes - (headPart.end - headPart.begin))
      } else {
        // Counted as missed, like all damage.
        isDamaged = true
      }
    }
    if let headPart, cursor.seq < head.seq || window.isEmpty {
      return readHead(headPart, in: window, status: status, into: &batch)
    }
    if window.isEmpty {
      batch.summary = account(
        status, window, head, since: cursor.seq, end(of: cursor), kept: window.newestSeq + 1,
        at: window.end, isLapped: true, last: window.newestSeq, end: window.end)
      if isDamaged { batch.summary.isDamaged = true }
      // If the append in flight is complete by now, there is something newer to read.
      return counters.observe() == window.newestSeq ? .complete : .lapped
    }

    // R3 select. All values loaded here are confirmed together before they are used.
    var first = max(cursor.seq + 1, window.oldestSeq)
    let predecessorEnd = descriptor(first - 1).end
    var begin = begin(predecessorEnd: predecessorEnd, end: descriptor(first).end)
    var last = lastChunk(from: first, begin: begin, in: window, maxBytes: maxBytes)
    var end = last == window.newestSeq ? window.end : descriptor(last).end
    let cursorEnd = descriptor(cursor.seq).end
    probe.reached(.searched)
    let announced = counters.announcedSeqAfterDescriptors()
    guard first - 1 + layout.slotCount > announced else { return .stale }
    let since =
      cursor.offset ?? (cursor.seq == head.seq ? head.end : nil)
      ?? (hasDescriptor(of: cursor.seq, announced: announced) ? cursorEnd : nil)
    if !isTrusted, !isPlausible(begin: begin, end: end, in: window, behind: head) {
      isDamaged = true
      first = intactSuffix(from: first, to: window.newestSeq, end: window.end, behind: head)
      guard first <= window.newestSeq else {
        return readDamaged(headPart, in: window, status: status, into: &batch)
      }
      begin = descriptor(first - 1).end
      last = lastChunk(from: first, begin: begin, in: window, maxBytes: maxBytes)
      end = last == window.newestSeq ? window.end : descriptor(last).end
      guard isPlausible(begin: begin, end: end, in: window, behind: head) else {
        return readDamaged(headPart, in: window, status: status, into: &batch)
      }
    }
    probe.reached(.confirmed)
    // A read has one chunk at least, whatever the limit; with a part of the head it has one.
    if let headPart, end - begin > maxBytes {
      return readHead(headPart, in: window, status: status, into: &batch)
    }

    // R4 describe. The number of descriptors and the payload's length are confirmed by now.
    let count = last - first + 1
    let storage = batch.makeRoom(
      bytes: end - begin, chunks: count, head: headPart?.room ?? BatchStorage.Head(),
      hasTimestamps: layout.hasTimestamps)
    copyDescriptors(from: first - 1, count: count + 1, to: storage)
    if layout.hasTimestamps { copyTimestamps(from: first, count: count, to: storage) }
    probe.reached(.copiedDescriptors)
    let firstIntactSlot = counters.announcedSeqAfterDescriptors() &- layout.slotCount &+ 1
    var reused = max(0, firstIntactSlot &- (first - 1))
    guard reused < count else { return .stale }
    storage.setBegin(begin)
    if !isTrusted {
      let intact = storage.intactSuffix(of: reused..<count, end: end)
      // Where the chunks behind these are not read yet, they may be intact.
      guard intact < count || last < window.newestSeq else {
        return readDamaged(headPart, in: window, status: status, into: &batch)
      }
      isDamaged = isDamaged || intact > reused
      reused = max(reused, intact)
    }

    // R5 copy.
    let kept = copyPayload(
      to: storage, count: count, from: reused, order: attempt.order, probe: probe)

    // R6 account.
    if let headPart {
      guard kept < count else {
        return readHead(headPart, in: window, status: status, into: &batch)
      }
      guard copyHead(headPart, to: storage, before: kept) else { return .stale }
    }
    batch.summary = account(
      status, window, head, since: cursor.seq, since, kept: first + kept,
      at: kept < count ? storage.begin(kept) : end, isLapped: kept > 0 || isDamaged, last: last,
      end: end)
    batch.summary.isDamaged = isDamaged
    guard kept < count else { return .lapped }
    batch.setChunks(kept..<count, firstSeq: first + kept)
    if !isTrusted, !storage.mendTimestamps(from: kept) { batch.summary.isDamaged = true }
    return .complete
  }

  /// Reads chunks of the head alone, and leaves what is due behind them for the next read.
  @inline(never)
  private func readHead(
    _ part: HeadPart, in window: RetainedWindow, status: UInt64, into batch: inout RingBatch
  ) -> ReadAttempt.Outcome {
    let storage = batch.makeRoom(
      bytes: 0, chunks: 0, head: part.room, hasTimestamps: layout.hasTimestamps)
    storage.setBegin(part.end)
    guard copyHead(part, to: storage, before: 0) else { return .stale }
    batch.summary = account(
      status, window, HeadExtent(seq: part.last, end: part.end), since: part.last, part.end,
      kept: part.last + 1, at: part.end, isLapped: false, last: part.last, end: part.end)
    batch.summary.lostBytes = window.lostBytes
    batch.setChunks(0..<0, firstSeq: part.last + 1)
    if !isTrusted, !storage.mendTimestamps(from: 0) { batch.summary.isDamaged = true }
    return .complete
  }

  /// Reads chunks of the head, if any are due, before a part of a found region that cannot be read.
  private func readDamaged(
    _ part: HeadPart?, in window: RetainedWindow, status: UInt64, into batch: inout RingBatch
  ) -> ReadAttempt.Outcome {
    guard let part else { return .damaged }
    let outcome = readHead(part, in: window, status: status, into: &batch)
    batch.summary.isDamaged = true
    return outcome
  }

  /// R6: Returns the account of a read after the chunk `seq`, which ended at `since`. The read has
  /// dealt with all chunks up to `last`, which ends at `end`, and has missed those before `kept`,
  /// which begins at `keptBegin`.
  private func account(
    _ status: UInt64, _ window: RetainedWindow, _ head: HeadExtent, since seq: Int, _ since: Int?,
    kept: Int, at keptBegin: Int, isLapped: Bool, last: Int, end: Int
  ) -> ReadSummary {
    var summary = ReadSummary()
    summary.status = status
    // What was overwritten during the read is lost by now, whatever the window said.
    summary.lostBytes =
      isLapped ? max(window.lostBytes, keptBegin - head.end) : window.lostBytes
    // What is kept is not lost, whatever a found region says.
    if !isTrusted { summary.lostBytes = min(summary.lostBytes, max(0, keptBegin - head.end)) }
    summary.missedChunks = kept - seq - 1
    summary.missedBytes = since.map { max(0, keptBegin - $0) }
    summary.cursor = RingCursor(publishedSeq: last, end: end)
    summary.hasMore = last < window.newestSeq
    return summary
  }
}

// MARK: R1, observe

extension RingMemory {
  /// R1: Returns the owner's status and the newest published seq, as of one instant.
  ///
  /// The status is loaded before and after the seq: if it did not change, the seq belongs to it.
  /// The first load acquires, so a status comes with every chunk appended before it was set.
  @inline(__always)
  func observe<Probe: ReadProbe>(probe: Probe) -> (status: UInt64, newestSeq: Int) {
    var status = status
    // Statuses change a few times in a session's life. Should one change this often during one
    // read, the last is returned with the chunks before it, though perhaps with later ones too.
    for _ in 0..<64 {
      let newestSeq = counters.observe()
      probe.reached(.observing)
      let again = self.status
      if again == status { return (status, newestSeq) }
      status = again
    }
    return (status, counters.observe())
  }
}

// MARK: R3, select

extension RingMemory {
  /// Returns where a cursor's chunk ended, if the cursor or its descriptor still says so.
  func end(of cursor: RingCursor) -> Int? {
    if let offset = cursor.offset { return offset }
    let end = descriptor(cursor.seq).end
    let announced = counters.announcedSeqAfterDescriptors()
    return hasDescriptor(of: cursor.seq, announced: announced) ? end : nil
  }

  /// Whether a value that was loaded from a chunk's slot is that chunk's descriptor.
  @inline(__always)
  private func hasDescriptor(of seq: Int, announced: Int) -> Bool {
    seq + layout.slotCount > announced && seq >= origin.seq
  }

  /// Returns the last chunk that a read of at most `maxBytes` includes; at least the first.
  func lastChunk(
    from first: Int, begin: Int, in window: RetainedWindow, maxBytes: Int
  ) -> Int {
    if window.end - begin <= maxBytes { return window.newestSeq }
    var left = first
    var right = first + 1
    var step = 1
    while right < window.newestSeq, descriptor(right).end - begin <= maxBytes {
      left = right
      right = min(right + step, window.newestSeq)
      step *= 2
    }
    // `left` fits, or is the first; `right` does not.
    while left + 1 < right {
      let middle = (left + right) / 2
      if descriptor(middle).end - begin <= maxBytes { left = middle } else { right = middle }
    }
    return left
  }
}

// MARK: Found regions

/// What a reader checks in a region that this process has not written: any bytes may be there, and
/// they may change at any time. A region whose producer follows the protocol passes every check.
///
/// Seqs select slots by a mask, so they lead nowhere else. Ends of chunks become lengths and
/// addresses, and are checked before they do: as loaded for the size of the batch, and as copied
/// into the batch, where they cannot change any more, for the rest.
extension RingMemory {
  /// The seqs that can be published, and the ends of chunks. The sum of one and any geometry does
  /// not overflow.
  static var plausibleCounts: ClosedRange<Int> { 0...(1 << 60) }

  /// Returns the plausible count that is nearest to a number from the region.
  @inline(__always)
  func plausibleCount(_ count: Int) -> Int {
    min(max(count, Self.plausibleCounts.lowerBound), Self.plausibleCounts.upperBound)
  }

  /// Whether chunks can begin and end at these offsets: they have some bytes, within the cap, begin
  /// behind the head, and do not end behind the newest chunk.
  @inline(__always)
  func isPlausible(
    begin: Int, end: Int, in window: RetainedWindow, behind head: HeadExtent
  ) -> Bool {
    1...layout.capacity ~= end - begin && begin >= head.end && end <= window.end
  }

  /// Returns the first of the chunks up to `last`, which ends at `end`, that follow each other in
  /// the payload behind the head and are within the cap together; `last + 1` if there is none.
  ///
  /// Where two ends contradict each other, either may be the wrong one: the chunk that begins at
  /// the second is left out as well.
  private func intactSuffix(
    from first: Int, to last: Int, end: Int, behind head: HeadExtent
  ) -> Int {
    var seq = last + 1
    var nextEnd = end
    while seq > first {
      let begin = descriptor(seq - 2).end
      guard begin < nextEnd, begin >= head.end, end - begin <= layout.capacity else {
        return min(seq, last) + 1
      }
      nextEnd = begin
      seq -= 1
    }
    return seq
  }
}

extension BatchStorage {
  /// Returns the first of a range of chunks from which on each ends after its predecessor, and the
  /// last at `end`; the range's upper bound if there is none. Like the ring's own check, this
  /// leaves out a chunk that begins at an end in doubt.
  fileprivate func intactSuffix(of chunks: Range<Int>, end: Int) -> Int {
    guard begin(chunks.upperBound) == end else { return chunks.upperBound }
    if isInOrder(chunks), begin(chunks.lowerBound) >= begin(0) { return chunks.lowerBound }
    var index = chunks.upperBound
    while index > chunks.lowerBound {
      guard begin(index - 1) < begin(index), begin(index - 1) >= begin(0) else {
        return min(index + 1, chunks.upperBound)
      }
      index -= 1
    }
    return index
  }
}

extension BatchStorage {
  /// Returns whether each of a range of chunks ends after its predecessor.
  func isInOrder(_ chunks: Range<Int>) -> Bool {
    // Without branches, and so by vectors: the sign of each difference must be that of a negative.
    let words = unsafe descriptors
    var differences = -1
    for index in chunks {
      let (begin, end) = unsafe (words[index] >> 1, words[index + 1] >> 1)
      differences &= Int(bitPattern: UInt(begin &- end))
    }
    return differences < 0
  }
}

// MARK: R4, describe

extension RingMemory {
  private func copyDescriptors(from seq: Int, count: Int, to storage: BatchStorage) {
    let slot = seq & slotMask
    let beforeWrap = min(count, layout.slotCount - slot)
    let words = unsafe storage.descriptors
    unsafe ring_copy_out(words, descriptors + slot, beforeWrap * 8, copyMethod)
    unsafe ring_copy_out(
      words + beforeWrap, descriptors, (count - beforeWrap) * 8, copyMethod)
  }
}

// MARK: R5, copy

extension RingMemory {
  /// Copies the payload of the chunks from `start` on. Returns the first chunk that was intact
  /// throughout, as are all after it; the number of chunks if there is none.
  ///
  /// The producer overwrites in the order of offsets, so what it laps is always a prefix of what is
  /// left. Copying oldest first, confirming piece by piece, loses nothing to a producer that is
  /// slower than the copy. A faster one would stay ahead for good: after being lapped twice, or if
  /// an earlier attempt got nothing, this copies the rest newest first.
  private func copyPayload<Probe: ReadProbe>(
    to storage: BatchStorage, count: Int, from start: Int, order: ReadAttempt.PayloadOrder,
    probe: Probe
  ) -> Int {
    let end = storage.begin(count)
    var kept = start
    var laps = order == .newestFirst ? 2 : 0
    var from = storage.begin(start)
    while from < end, laps < 2 {
      let to = min(from + probe.pieceSize, end)
      let edge = copyPiece(from, to, to: storage, probe: probe)
      if edge > from {
        kept = storage.firstChunk(beginningAt: edge, in: kept..<count)
        laps += 1
      }
      from = max(to, storage.begin(kept))
    }
    return copyNewestFirst(to: storage, in: kept..<count, confirmedUpTo: from, probe: probe)
  }

  /// Copies the payload of chunks newest first, down to an offset below which all is copied, or
  /// until the producer laps it. Returns the first chunk that is intact.
  ///
  /// This copies as many whole chunks at a time as a piece has room for. It copies a larger chunk
  /// oldest byte first, since the producer reaches its beginning first. What was confirmed stays
  /// good, however far the producer gets meanwhile.
  private func copyNewestFirst<Probe: ReadProbe>(
    to storage: BatchStorage, in chunks: Range<Int>, confirmedUpTo confirmed: Int, probe: Probe
  ) -> Int {
    var next = chunks.upperBound
    var end = storage.begin(next)
    while confirmed < end {
      let first = min(
        storage.firstChunk(beginningAt: end - probe.pieceSize, in: chunks), next - 1)
      var from = max(storage.begin(first), confirmed)
      while from < end {
        let to = min(from + probe.pieceSize, end)
        let edge = copyPiece(from, to, to: storage, probe: probe)
        if edge > from {
          return storage.firstChunk(beginningAt: min(edge, end), in: first..<chunks.upperBound)
        }
        from = to
      }
      next = first
      end = storage.begin(first)
    }
    return chunks.lowerBound
  }

  /// Copies a range of payload to its place. Returns the offset up to which it was overwritten
  /// before it was copied; the rest is intact.
  @inline(__always)
  private func copyPiece<Probe: ReadProbe>(
    _ from: Int, _ to: Int, to storage: BatchStorage, probe: Probe
  ) -> Int {
    let position = from % layout.payloadSize
    let beforeWrap = min(to - from, layout.payloadSize - position)
    let destination = unsafe storage.payload + (storage.head.byteCount + from - storage.begin(0))
    unsafe ring_copy_out(destination, payload + position, beforeWrap, copyMethod)
    unsafe ring_copy_out(
      destination + beforeWrap, payload, to - from - beforeWrap, copyMethod)
    probe.reached(.copiedPayload)
    return counters.announcedOffsetAfterPayload() &- layout.payloadSize
  }
}

// MARK: White-box testing

/// A place in a read at which a test may let the producer go on.
package enum ReadStep {
  /// In R1, after the newest seq was loaded, before the status is loaded again.
  case observing
  /// After R1, before descriptors are loaded.
  case observed
  /// After R2, before descriptors are loaded once more.
  case located
  /// In R2 and R3, after descriptors were loaded, before they are confirmed.
  case searched
  /// After R3, before descriptors are copied.
  case confirmed
  /// In R4, after descriptors were copied, before they are confirmed.
  case copiedDescriptors
  /// In R5, after a piece of payload was copied, before it is confirmed.
  case copiedPayload
}

/// Something that is called between the steps of a read.
package protocol ReadProbe {
  /// Payload is copied and confirmed in pieces of this many bytes.
  var pieceSize: Int { get }

  func reached(_ step: ReadStep)
}

/// The probe of every read and append but a test's; compiles to nothing.
struct NoProbe: ReadProbe {
  @inline(__always) var pieceSize: Int { 32_768 }
  @inline(__always) func reached(_ step: ReadStep) {}
}
