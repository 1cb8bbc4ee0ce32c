import CRingShims

// A ring's head: its first chunks, which are never evicted. Each byte of it is written once, before
// the chunk is published, so a reader that observes the chunk copies it without confirming
// anything.

/// The head, as of one published seq.
struct HeadExtent {
  /// The newest chunk of the head; 0 if there is none.
  var seq = 0
  /// Where that chunk ends.
  var end = 0
  /// Whether a found region says of its head what no producer stores. There is none then.
  var isDamaged = false
}

/// The chunks of the head that a read is to return.
struct HeadPart {
  /// The first chunk's seq.
  let first: Int
  /// The last chunk's seq.
  let last: Int
  /// Where the first chunk begins.
  let begin: Int
  /// Where the last chunk ends.
  let end: Int

  var room: BatchStorage.Head { BatchStorage.Head(count: last - first + 1, byteCount: end - begin) }
}

extension RingMemory {
  /// R2: Returns the head as of a published seq, which this thread has observed.
  @inline(__always)
  func head(upTo newestSeq: Int) -> HeadExtent {
    layout.headCapacity == 0 ? HeadExtent() : observedHead(upTo: newestSeq)
  }

  @inline(never)
  private func observedHead(upTo newestSeq: Int) -> HeadExtent {
    let seq = min(counters.headSeqAfterObserving(), newestSeq)
    if seq == 0 { return HeadExtent() }
    guard isTrusted || 1...layout.headChunkLimit ~= seq else { return HeadExtent(isDamaged: true) }
    let end = headEnd(seq)
    guard isTrusted || seq...layout.headCapacity ~= end else { return HeadExtent(isDamaged: true) }
    return HeadExtent(seq: seq, end: end)
  }

  /// Returns where a chunk of the head ends; 0 for seq 0.
  func headEnd(_ seq: Int) -> Int {
    seq == 0 ? 0 : headDescriptor(seq).end
  }

  /// The descriptor of a chunk of the head.
  func headDescriptor(_ seq: Int) -> Descriptor {
    unsafe Descriptor(word: ring_load_relaxed(headDescriptors + (seq - 1)))
  }

  /// Returns the chunks of the head that a read after a cursor includes, of which there is one at
  /// least; nil if a found region holds what no producer stores.
  ///
  /// - Complexity: O(1) if all fit, else O(log chunks); O(chunks) in a found region.
  func headPart(of head: HeadExtent, since seq: Int, maxBytes: Int) -> HeadPart? {
    let first = seq + 1
    let begin = headEnd(seq)
    var last = head.seq
    if head.end - begin > maxBytes {
      var left = first
      var right = head.seq
      // `left` fits, or is the first; `right` does not.
      while left + 1 < right {
        let middle = (left + right) / 2
        if headEnd(middle) - begin <= maxBytes { left = middle } else { right = middle }
      }
      last = left
    }
    let part = HeadPart(
      first: first, last: last, begin: begin, end: last == head.seq ? head.end : headEnd(last))
    return isTrusted || isPlausible(part) ? part : nil
  }

  /// Whether the chunks of a part of the head follow each other, within the head's capacity.
  private func isPlausible(_ part: HeadPart) -> Bool {
    guard 0...layout.headCapacity ~= part.begin, 0...layout.headCapacity ~= part.end else {
      return false
    }
    var end = part.begin
    for seq in part.first...part.last {
      let next = seq == part.last ? part.end : headEnd(seq)
      guard end < next else { return false }
      end = next
    }
    return true
  }

  /// Copies the chunks of a part of the head to their places in a batch's storage.
  ///
  /// - Parameters:
  ///   - part: The chunks for which the storage has been made.
  ///   - index: The first chunk behind the head that the batch keeps.
  /// - Returns: Whether the copy is good. It is not if a found region changed meanwhile.
  func copyHead(_ part: HeadPart, to storage: BatchStorage, before index: Int) -> Bool {
    let words = unsafe storage.descriptors + storage.headStart
    unsafe words[0] = Descriptor(end: part.begin, tag: false).word
    let count = part.last - part.first + 1
    unsafe ring_copy_out(words + 1, headDescriptors + (part.first - 1), count * 8, copyMethod)
    if layout.hasTimestamps { copyHeadTimestamps(of: part, to: storage) }
    let place = unsafe storage.payload + (storage.begin(index) - storage.begin(0))
    unsafe ring_copy_out(place, headPayload + part.begin, part.end - part.begin, copyMethod)
    guard !isTrusted else { return true }
    let chunks = storage.headStart..<storage.headStart + count
    return storage.isInOrder(chunks) && storage.begin(chunks.upperBound) == part.end
  }
}
