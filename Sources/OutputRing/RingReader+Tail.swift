extension RingReader {
  /// Reads the newest chunks, as many as have at most so many bytes together; at least one if there
  /// is one.
  ///
  /// Nothing counts as missed: the caller asks for what is there.
  ///
  /// - Complexity: O(payload returned) plus O(log chunks), and what is appended meanwhile.
  package func readNewest(_ maxBytes: Int) -> RingBatch {
    var batch = RingBatch()
    // Another attempt follows only if the producer fills the head meanwhile.
    for _ in 0..<16 {
      batch = read(since: RingCursor(seq: seqBefore(newest: maxBytes)))
      let headCount = batch.gapIndex
      if headCount == 0 { break }
      let isWhole = batch.missedChunks == 0 && batch.missedBytes == 0
      if isWhole, batch.count == 1 || batch.payload.count <= maxBytes { return batch }
      // What follows the head by now is newer.
      batch = read(since: RingCursor(seq: batch.seq(at: headCount - 1)))
      if !batch.isEmpty { break }
    }
    batch.keepNewest(maxBytes)
    return batch
  }

  /// Where the ring's head ends, as far as it has got; 0 without one.
  package var headEnd: Int { memory.head(upTo: lastSeq).end }

  /// Returns the seq before the newest chunks that have at most so many bytes together.
  private func seqBefore(newest maxBytes: Int) -> Int {
    var newestSeq = lastSeq
    // An attempt finds out nothing only if the producer reuses all descriptors during it.
    for _ in 0..<16 {
      if let seq = memory.seqBefore(newest: maxBytes, newestSeq: newestSeq) { return seq }
      newestSeq = lastSeq
    }
    return max(newestSeq - 1, 0)
  }
}

extension RingMemory {
  /// Returns the seq before the newest chunks that have at most so many bytes together, or nil if
  /// the producer reused a slot that the search needed.
  ///
  /// The answer is a seq of the window, whatever a found region says.
  fileprivate func seqBefore(newest maxBytes: Int, newestSeq: Int) -> Int? {
    guard let window = retainedWindow(newestSeq: newestSeq, probe: NoProbe()) else { return nil }
    let newest = window.newestSeq
    // As long as nothing is lost, the chunks of the head are followed by those of the window.
    let head = window.lostBytes == 0 ? head(upTo: newest) : HeadExtent()
    let oldestSeq = head.seq > 0 ? 1 : window.oldestSeq
    guard oldestSeq < newest else { return max(newest - 1, 0) }
    let bound = window.end &- maxBytes
    func end(of seq: Int) -> Int { seq < head.seq ? headEnd(seq) : descriptor(seq).end }
    // The first chunk is the oldest that begins at `bound` or behind it. Gallop back from the
    // newest, which is always among the chunks, then halve.
    var right = newest
    var left = newest
    var step = 1
    while left > oldestSeq {
      left = max(left - step, oldestSeq)
      step *= 2
      if end(of: left - 1) < bound { break }
      right = left
    }
    let oldest = left
    while left < right {
      let middle = (left + right) / 2
      if end(of: middle - 1) < bound { left = middle + 1 } else { right = middle }
    }
    guard max(oldest - 1, head.seq) + layout.slotCount > counters.announcedSeqAfterDescriptors()
    else {
      return nil
    }
    return right - 1
  }
}

extension RingBatch {
  /// Drops the oldest chunks until the rest have at most so many bytes, and leaves one at least.
  /// What was missed or dropped counts as never asked for.
  fileprivate mutating func keepNewest(_ maxBytes: Int) {
    summary.missedChunks = 0
    summary.missedBytes = 0
    guard chunkCount > 1, gapIndex == 0, let storage else { return }
    let (first, end) = (firstIndex, firstIndex + chunkCount)
    let kept = Swift.min(
      storage.firstChunk(beginningAt: storage.begin(end) - maxBytes, in: first..<end), end - 1)
    firstIndex = kept
    firstSeq += kept - first
    chunkCount = end - kept
  }
}
