import CRingShims

extension RingReader {
  /// How often a read that was overtaken by the producer starts over before it settles for telling
  /// what it missed.
  private static let attempts = 16

  /// Every read: steps 1 to 5 of the protocol.
  ///
  /// Each attempt ends in one of three ways: the chunks are read, or the newest of them; a
  /// descriptor slot was reused under the search, which says nothing yet; or all chunks asked for
  /// were overwritten while being copied, and then later attempts copy the newest first.
  @inline(__always)
  package func read<Probe: ReadProbe>(
    from position: Position, maxBytes: Int?, into batch: inout RingBatch, probe: Probe
  ) {
    batch.removeAll()
    var newest = 0
    let budget = max(maxBytes ?? .max, 0)
    for attempt in 1...Self.attempts {
      let status: UInt64
      (status, newest) = observe(probe: probe)
      batch.findings.status = status
      batch.findings.isCursorAhead = position.seq > newest
      probe.reached(.observed)
      guard let window = window(newest: newest, probe: probe) else { continue }
      batch.findings.lostBytes = window.lost
      if position.seq >= newest {
        batch.findings.cursor = RingCursor(seq: newest, offset: window.end)
        batch.findings.missedBytes = 0
        memory.windowCache.tell(lost: batch.lostBytes)
        return
      }
      if copyChunks(
        from: position, in: window, budget: budget, attempt: attempt, into: &batch, probe: probe)
      {
        memory.windowCache.tell(lost: batch.lostBytes)
        return
      }
    }
    // The producer went round the descriptors under each attempt: nothing is new but the status,
    // nothing is missed yet as far as this reader is concerned, and there is more to read. A bare
    // seq's offset may be out of reach for good.
    memory.windowCache.tell(lost: batch.lostBytes)
    batch.findings.lostBytes = memory.windowCache.lostTold
    batch.findings.cursor =
      if position.seq <= 0 {
        .start
      } else if batch.isCursorAhead {
        RingCursor(seq: newest, offset: -1)
      } else {
        RingCursor(seq: position.seq, offset: position.offset ?? -1)
      }
    batch.findings.missedBytes = 0
    batch.findings.hasMore = true
  }

  /// Reads chunks that are due, or returns false to be called again with a newer window.
  @inline(never)
  private func copyChunks<Probe: ReadProbe>(
    from position: Position, in window: Window, budget: Int, attempt: Int,
    into batch: inout RingBatch, probe: Probe
  ) -> Bool {
    let isLastAttempt = attempt == Self.attempts
    let since = max(position.seq, 0)
    let sinceOffset = since == 0 ? 0 : position.offset
    let newest = window.newest
    probe.reached(.located)

    // An append in flight is overwriting everything that is retained.
    if window.head > newest {
      // Or it was one that is complete by now: then there is something newer to read.
      if !isLastAttempt, memory.control.observe() != newest { return false }
      let known = sinceOffset ?? end(of: since)
      batch.miss(since: since, known, through: newest, endingAt: window.end, newest: newest)
      return true
    }

    // Step 2: which chunks. All values loaded here are confirmed together before they are used.
    let first = max(since + 1, window.head)
    let base = memory.descriptor(first - 1).end
    let begin = memory.begin(predecessorEnd: base, end: memory.descriptor(first).end)
    let last = lastChunk(from: first, begin: begin, window: window, budget: budget)
    let end = last == newest ? window.end : memory.descriptor(last).end
    let sinceEnd = memory.descriptor(since).end
    probe.reached(.searched)
    let announced = memory.control.announcedSeqAfterDescriptors()
    guard first - 1 + layout.slotCount > announced else { return false }
    let known = sinceOffset ?? (since + layout.slotCount > announced ? sinceEnd : nil)
    probe.reached(.confirmed)

    // Step 3: descriptors. Their number and the payload's length are confirmed by now.
    let count = last - first + 1
    let storage = batch.makeRoom(bytes: end - begin, chunks: count)
    copyDescriptors(first - 1, count + 1, to: storage)
    probe.reached(.copiedDescriptors)
    let firstIntactSlot = memory.control.announcedSeqAfterDescriptors() - layout.slotCount + 1
    let local = LocalChunks(storage: storage, firstSeq: first, count: count, begin: begin)
    let dropped = max(0, firstIntactSlot - (first - 1))
    guard dropped < count else { return false }

    // Step 4: payload.
    let kept = copyPayload(
      of: local, from: dropped, newestFirst: attempt > 1, probe: probe)
    if kept == count {
      if !isLastAttempt { return false }
      batch.miss(since: since, known, through: last, endingAt: end, newest: newest)
      return true
    }
    let keptBegin = local.begin(kept)
    batch.fill(local, from: kept)
    // What was overtaken meanwhile is lost by now, whatever the window said.
    if kept > 0 { batch.findings.lostBytes = max(batch.lostBytes, keptBegin) }
    batch.findings.missedChunks = first + kept - since - 1
    batch.findings.missedBytes = known.map { max(0, keptBegin - $0) }
    batch.findings.cursor = RingCursor(seq: last, offset: end)
    batch.findings.hasMore = last < newest
    return true
  }

  /// Where a seq ended, if its slot still says so.
  private func end(of seq: Int) -> Int? {
    let end = memory.descriptor(seq).end
    return seq + layout.slotCount > memory.control.announcedSeqAfterDescriptors() ? end : nil
  }

  /// The last chunk that a read of at most `budget` bytes includes; at least the first.
  private func lastChunk(from first: Int, begin: Int, window: Window, budget: Int) -> Int {
    if window.end - begin <= budget { return window.newest }
    var left = first
    var right = first + 1
    var step = 1
    while right < window.newest, memory.descriptor(right).end - begin <= budget {
      left = right
      right = min(right + step, window.newest)
      step *= 2
    }
    // `left` fits, or is the first; `right` does not.
    while left + 1 < right {
      let middle = (left + right) / 2
      if memory.descriptor(middle).end - begin <= budget { left = middle } else { right = middle }
    }
    return left
  }

  private func copyDescriptors(_ seq: Int, _ count: Int, to storage: BatchStorage) {
    let slot = seq & memory.slotMask
    let beforeWrap = min(count, layout.slotCount - slot)
    let words = unsafe storage.descriptors
    unsafe ring_copy_out(words, memory.descriptors + slot, beforeWrap * 8, memory.copyMethod)
    unsafe ring_copy_out(
      words + beforeWrap, memory.descriptors, (count - beforeWrap) * 8, memory.copyMethod)
  }

  /// Copies the payload of the chunks from `start` on, and returns the first that was intact
  /// throughout, with all after it; the number of chunks if there is none.
  ///
  /// The producer overwrites in the order of offsets, so what is overtaken is always a prefix of
  /// what is left. Copying forward, confirming piece by piece, loses nothing to a producer slower
  /// than the copy. A faster one would stay ahead for good: overtaken twice, or where an earlier
  /// attempt lost everything, this copies the rest from the newest chunk back.
  private func copyPayload<Probe: ReadProbe>(
    of chunks: LocalChunks, from start: Int, newestFirst: Bool, probe: Probe
  ) -> Int {
    let end = chunks.end
    var kept = start
    var overtaken = newestFirst ? 2 : 0
    var from = chunks.begin(start)
    while from < end, overtaken < 2 {
      let to = min(from + pieceSize, end)
      let edge = copyPiece(from, to, of: chunks, probe: probe)
      if edge > from {
        kept = chunks.firstBeginning(at: edge, from: kept)
        overtaken += 1
      }
      from = max(to, chunks.begin(kept))
    }
    return copyNewestFirst(of: chunks, from: kept, after: from, probe: probe)
  }

  /// Copies the payload of the chunks from `start` on, the newest first, down to an offset below
  /// which all is copied, or until it meets the producer; returns the first chunk that is intact.
  ///
  /// It copies as many whole chunks at a time as a piece has room for. A larger chunk is copied
  /// forward, since the producer reaches its beginning first. What was confirmed stays good,
  /// however far the producer gets meanwhile.
  private func copyNewestFirst<Probe: ReadProbe>(
    of chunks: LocalChunks, from start: Int, after confirmed: Int, probe: Probe
  ) -> Int {
    var next = chunks.count
    var end = chunks.end
    while confirmed < end {
      let first = min(chunks.firstBeginning(at: end - pieceSize, from: start), next - 1)
      var from = max(chunks.begin(first), confirmed)
      while from < end {
        let to = min(from + pieceSize, end)
        let edge = copyPiece(from, to, of: chunks, probe: probe)
        if edge > from { return chunks.firstBeginning(at: min(edge, end), from: first) }
        from = to
      }
      next = first
      end = chunks.begin(first)
    }
    return start
  }

  /// Copies a range of payload to its place; what lies below the offset returned was overtaken.
  @inline(__always)
  private func copyPiece<Probe: ReadProbe>(
    _ from: Int, _ to: Int, of chunks: LocalChunks, probe: Probe
  ) -> Int {
    let position = from % layout.payloadSize
    let beforeWrap = min(to - from, layout.payloadSize - position)
    let destination = unsafe chunks.storage.payload + (from - chunks.begin)
    unsafe ring_copy_out(destination, memory.payload + position, beforeWrap, memory.copyMethod)
    unsafe ring_copy_out(
      destination + beforeWrap, memory.payload, to - from - beforeWrap, memory.copyMethod)
    probe.reached(.copiedPayload)
    return memory.control.announcedOffsetAfterPayload() - layout.payloadSize
  }
}
