import CRingShims

extension RingWriter {
  /// Appends several chunks and publishes them in groups: a reader sees all chunks of a group, or
  /// none yet.
  ///
  /// Made for a producer that has many small chunks at a time, such as lines: one announcement and
  /// one publication serve them all.
  ///
  /// A group that overwrote many slots or many bytes at once would take them from the readers that
  /// are about to read them. So a group has at most half of the spare slots
  /// (``RingLayout/slotCount`` − ``RingLayout/chunkLimit``), which is 512 chunks in a ring of the
  /// default chunk limit, and at most ``RingLayout/reservationLimit`` bytes. More chunks are
  /// published in several groups, one after the other. A chunk of more bytes is published on its
  /// own, and so is each chunk as long as the head has room. Elements without bytes make no chunk.
  ///
  /// ```swift
  /// writer.append(contentsOf: ["one\n".utf8, "two\n".utf8])
  /// ```
  ///
  /// - Parameters:
  ///   - chunks: The chunks' payloads, in order. The collection is iterated twice.
  ///   - tag: One bit for the ring's owner, returned with each of the chunks.
  /// - Precondition: the collections do not change during the call.
  /// - Complexity: O(bytes + chunks), and a copy of each payload that is not contiguous in memory;
  ///   wait-free.
  @inlinable
  public mutating func append<Bytes: Collection<UInt8>>(
    contentsOf chunks: some Collection<Bytes>, tag: Bool = false
  ) {
    var index = chunks.startIndex
    while index < chunks.endIndex { appendGroup(of: chunks, from: &index, tag: tag) }
  }

  /// Appends one group of chunks, as ``append(contentsOf:tag:)`` does.
  ///
  /// For a caller that has something to do after each group, such as to wake readers.
  ///
  /// - Parameters:
  ///   - chunks: The chunks' payloads, in order.
  ///   - index: The first chunk of the group; then the one behind the group.
  ///   - tag: One bit for the ring's owner, returned with each of the chunks.
  /// - Precondition: `index` is less than the collection's end.
  @inlinable
  public mutating func appendGroup<Chunks: Collection>(
    of chunks: Chunks, from index: inout Chunks.Index, tag: Bool = false
  ) where Chunks.Element: Collection<UInt8> {
    let start = index
    var group = emptyGroup
    while index < chunks.endIndex, group.takes(chunks[index].count) {
      index = chunks.index(after: index)
    }
    if index == start {
      append(chunks[start], tag: tag)
      index = chunks.index(after: start)
      return
    }
    announce(group)
    for bytes in chunks[start..<index] {
      let done: Void? = bytes.withContiguousStorageIfAvailable { buffer in
        unsafe place(UnsafeRawBufferPointer(buffer), group.seq, group.end, tag)
      }
      if done == nil {
        unsafe Array(bytes).withUnsafeBytes { unsafe place($0, group.seq, group.end, tag) }
      }
    }
    publish(group)
  }

  /// Chunks that are published at once.
  @usableFromInline
  struct Group {
    /// The last chunk's seq.
    @usableFromInline var seq: Int
    /// Where the last chunk ends.
    @usableFromInline var end: Int
    /// How many more chunks and bytes the group may have.
    @usableFromInline var chunkRoom: Int
    @usableFromInline var byteRoom: Int

    /// Adds a chunk of so many bytes, if there is room.
    @inlinable
    mutating func takes(_ count: Int) -> Bool {
      if count == 0 { return true }
      guard chunkRoom > 0, count <= byteRoom else { return false }
      seq &+= 1
      end &+= count
      chunkRoom &-= 1
      byteRoom &-= count
      return true
    }
  }

  /// The group of no chunks, behind the newest. It has no room as long as the head has some.
  @usableFromInline
  var emptyGroup: Group {
    // The other half of the spare slots is the head start of readers.
    let chunkRoom = max(1, (layout.slotCount - layout.chunkLimit) / 2)
    return Group(
      seq: lastSeq, end: endOffset, chunkRoom: headRoom > 0 ? 0 : chunkRoom,
      byteRoom: min(layout.reservationLimit, layout.capacity))
  }

  /// W1 of a group.
  @usableFromInline
  func announce(_ group: Group) {
    if group.seq > lastSeq { announce(seq: group.seq, offset: group.end) }
  }

  /// W2 and W3 of a chunk of a group, which ends with a seq and an offset.
  @usableFromInline
  mutating func place(_ bytes: UnsafeRawBufferPointer, _ groupSeq: Int, _ end: Int, _ tag: Bool) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    precondition(
      lastSeq < groupSeq && bytes.count <= end &- endOffset,
      "the chunks changed while they were being appended")
    if bytes.count <= RING_COPY_SMALL, fitsInOnePiece(bytes.count) {
      unsafe ring_copy_in_small(payload + position, source, bytes.count)
      position &+= bytes.count
    } else {
      unsafe copyPayload(source, bytes.count)
    }
    lastSeq &+= 1
    endOffset &+= bytes.count
    describe(seq: lastSeq, end: endOffset, tag: tag)
  }

  /// W4 of a group.
  @usableFromInline
  func publish(_ group: Group) {
    precondition(
      lastSeq == group.seq && endOffset == group.end,
      "the chunks changed while they were being appended")
    counters.publish(seq: group.seq)
  }
}
