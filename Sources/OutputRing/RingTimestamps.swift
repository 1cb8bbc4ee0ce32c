import CRingShims

// Timestamps of chunks, in a ring that has them. A timestamp lies in the slot of its chunk's
// descriptor, is stored with that, and is copied and confirmed together with it (R4).

extension RingMemory {
  /// R4: Copies the timestamps of chunks of the window, before their descriptors are confirmed.
  @inline(never)
  func copyTimestamps(from seq: Int, count: Int, to storage: BatchStorage) {
    let slot = seq & slotMask
    let beforeWrap = min(count, layout.slotCount - slot)
    let words = unsafe storage.timestamps
    unsafe ring_copy_out(words, timestamps + slot, beforeWrap * 8, copyMethod)
    unsafe ring_copy_out(words + beforeWrap, timestamps, (count - beforeWrap) * 8, copyMethod)
  }

  /// Copies the timestamps of chunks of the head, which are as final as the chunks.
  func copyHeadTimestamps(of part: HeadPart, to storage: BatchStorage) {
    let words = unsafe storage.timestamps + storage.headTimestampIndex
    unsafe ring_copy_out(words, headTimestamps + (part.first - 1), part.room.count * 8, copyMethod)
  }
}

extension BatchStorage {
  /// The timestamps: of the chunks behind the head, then of the head's.
  ///
  /// - Safety: valid while the storage is referenced; see `extendLifetime`.
  @unsafe
  var timestamps: UnsafeMutablePointer<UInt64> {
    unsafe buffer.withUnsafeMutablePointers { header, elements in
      unsafe elements + (header.pointee.descriptors - header.pointee.timestamps)
    }
  }

  /// The number of timestamps: that of the chunks, or 0.
  @inline(__always)
  private var timestampCount: Int {
    unsafe buffer.withUnsafeMutablePointerToHeader { unsafe $0.pointee.timestamps }
  }

  /// The index among the timestamps of the head's first.
  var headTimestampIndex: Int { timestampCount - head.count }

  /// The timestamp of the chunk at an index behind the head; -1 without timestamps.
  @inline(__always)
  func timestamp(_ index: Int) -> Int64 {
    timestampCount == 0 ? -1 : unsafe Int64(bitPattern: timestamps[index])
  }

  /// The timestamp of the chunk at an index in the head; -1 without timestamps.
  func headTimestamp(_ index: Int) -> Int64 {
    timestampCount == 0 ? -1 : unsafe Int64(bitPattern: timestamps[headTimestampIndex + index])
  }

  /// Gives each chunk whose timestamp no producer stores, such as one that is less than that of the
  /// chunk before, the timestamp of that chunk, or 0.
  ///
  /// - Parameter index: The first chunk behind the head that the batch keeps.
  /// - Returns: Whether all timestamps were as a producer stores them.
  /// - Complexity: O(chunks).
  func mendTimestamps(from index: Int) -> Bool {
    let count = timestampCount
    guard count > 0 else { return true }
    var last: UInt64 = 0
    let isHeadGood = mendTimestamps(headTimestampIndex..<count, after: &last)
    return mendTimestamps(index..<headTimestampIndex, after: &last) && isHeadGood
  }

  private func mendTimestamps(_ range: Range<Int>, after last: inout UInt64) -> Bool {
    let words = unsafe timestamps
    var isGood = true
    for index in range {
      let word = unsafe words[index]
      if word >= last, word <= Int64.max {
        last = word
      } else {
        unsafe words[index] = last
        isGood = false
      }
    }
    return isGood
  }
}
