extension RingReader {
  /// Reads the newest chunks, as many as have at most so many bytes together; at least one if there
  /// is one.
  ///
  /// Nothing counts as missed: the caller asks for what is there.
  ///
  /// - Complexity: O(payload returned) plus O(log chunks), and what is appended meanwhile.
  package func readNewest(_ maxBytes: Int) -> RingBatch {
    var batch = read(since: RingCursor(seq: seqBefore(newest: maxBytes)))
    batch.keepNewest(maxBytes)
    return batch
  }

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
    guard window.oldestSeq < newest else { return max(newest - 1, 0) }
    let bound = window.end &- maxBytes
    // The first chunk is the oldest that begins at `bound` or behind it. Gallop back from the
    // newest, which is always among the chunks, then halve.
    var right = newest
    var left = newest
    var step = 1
    while left > window.oldestSeq {
      left = max(left - step, window.oldestSeq)
      step *= 2
      if descriptor(left - 1).end < bound { break }
      right = left
    }
    let oldest = left
    while left < right {
      let middle = (left + right) / 2
      if descriptor(middle - 1).end < bound { left = middle + 1 } else { right = middle }
    }
    guard oldest - 1 + layout.slotCount > counters.announcedSeqAfterDescriptors() else {
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
    guard chunkCount > 1, let storage else { return }
    let (first, end) = (firstIndex, firstIndex + chunkCount)
    let kept = Swift.min(
      storage.firstChunk(beginningAt: storage.begin(end) - maxBytes, in: first..<end), end - 1)
    firstIndex = kept
    firstSeq += kept - first
    chunkCount = end - kept
  }
}
