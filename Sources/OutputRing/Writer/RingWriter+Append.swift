import CRingShims

extension RingWriter {
  /// Appends one chunk and publishes it; the oldest chunks beyond the ring's limits are dropped.
  ///
  /// A chunk larger than the capacity is stored as its last `capacity` bytes; the prefix counts as
  /// lost. No bytes, no chunk.
  ///
  /// - Parameters:
  ///   - bytes: The chunk's payload.
  ///   - tag: One bit for the ring's owner, returned with the chunk.
  /// - Complexity: O(`bytes.byteCount`), at most O(capacity); wait-free, no allocation.
  @inline(__always)
  public mutating func append(_ bytes: RawSpan, tag: Bool = false) {
    unsafe bytes.withUnsafeBytes { unsafe append($0, tag: tag) }
  }

  /// Appends one chunk, from a buffer; see ``append(_:tag:)-(RawSpan,_)``.
  ///
  /// - Safety: the buffer must be valid for the call, and must not be part of the ring.
  @unsafe
  public mutating func append(_ bytes: UnsafeRawBufferPointer, tag: Bool = false) {
    // Steps 1 to 3 of the protocol, three times: for chunks copied inline, by a call, and in
    // pieces.
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    let count = bytes.count
    let place = position &+ count
    guard place < inlineLimit else {
      unsafe appendInPieces(source, count, tag, probe: NoProbe())
      return
    }
    guard count <= RING_COPY_SMALL else {
      unsafe appendLarge(source, count, tag, probe: NoProbe())
      return
    }
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    control.announce(seq: seq, offset: max(end, reservedOffset))
    unsafe ring_copy_in_small(payload + position, source, count)
    position = place
    publish(seq: seq, end: end, tag: tag)
  }

  /// Appends one chunk, from any collection of bytes, such as `[UInt8]` or `"text".utf8`; see
  /// ``append(_:tag:)-(RawSpan,_)``.
  ///
  /// - Complexity: as there, plus a copy of `bytes` if they are not contiguous in memory.
  @inlinable
  public mutating func append(_ bytes: some Collection<UInt8>, tag: Bool = false) {
    let done: Void? = bytes.withContiguousStorageIfAvailable { buffer in
      unsafe append(UnsafeRawBufferPointer(buffer), tag: tag)
    }
    if done == nil {
      unsafe Array(bytes).withUnsafeBytes { unsafe append($0, tag: tag) }
    }
  }

  /// A chunk whose copy is worth a call.
  @inline(never)
  private mutating func appendLarge<Probe: WriteProbe>(
    _ source: UnsafeRawPointer, _ count: Int, _ tag: Bool, probe: Probe
  ) {
    guard count <= memory.layout.reservationLimit else {
      return unsafe appendInPieces(source, count, tag, probe: probe)
    }
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    control.announce(seq: seq, offset: max(end, reservedOffset))
    probe.announcedPiece()
    unsafe ring_copy_in_large(payload + position, source, count, copyMethod)
    position &+= count
    publish(seq: seq, end: end, tag: tag)
  }

  /// Any chunk: one that reaches the end of the payload storage, is larger than the slack or than
  /// the capacity, or must not be copied by assembly.
  ///
  /// Announces and copies pieces of no more than the slack, one after the other, so that readers
  /// lose what is overwritten little by little: a chunk that was announced as a whole would take
  /// all that it is about to overwrite from them before its copy begins.
  @inline(never)
  private mutating func appendInPieces<Probe: WriteProbe>(
    _ source: UnsafeRawPointer, _ count: Int, _ tag: Bool, probe: Probe
  ) {
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    // Of a chunk larger than the capacity, the last bytes.
    let skipped = max(0, count - memory.layout.capacity)
    var offset = endOffset &+ skipped
    var from = unsafe source + skipped
    position = (position + skipped) % payloadSize
    while offset < end {
      let piece = min(end &- offset, memory.layout.reservationLimit)
      offset &+= piece
      control.announce(seq: seq, offset: max(offset, reservedOffset))
      probe.announcedPiece()
      let beforeWrap = min(piece, payloadSize - position)
      unsafe ring_copy_in(payload + position, from, beforeWrap, copyMethod)
      unsafe ring_copy_in(payload, from + beforeWrap, piece - beforeWrap, copyMethod)
      unsafe from += piece
      position &+= piece
      if position >= payloadSize { position &-= payloadSize }
    }
    publish(seq: seq, end: end, tag: tag)
  }

  /// Appends one chunk as if it were not small, for a test that reads between its pieces.
  package mutating func append<Probe: WriteProbe>(
    _ bytes: UnsafeRawBufferPointer, tag: Bool, probe: Probe
  ) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    if bytes.count > RING_COPY_SMALL, position &+ bytes.count < inlineLimit {
      unsafe appendLarge(source, bytes.count, tag, probe: probe)
    } else {
      unsafe appendInPieces(source, bytes.count, tag, probe: probe)
    }
  }

  /// Step 3 of the protocol: stores the descriptor of a chunk whose payload is in place, and
  /// publishes it.
  @inline(__always)
  mutating func publish(seq: Int, end: Int, tag: Bool) {
    let descriptor = Descriptor(end: end, tag: tag)
    unsafe ring_store_relaxed(descriptors + (seq & slotMask), descriptor.word)
    control.publish(seq: seq)
    lastSeq = seq
    endOffset = end
  }
}

// MARK: White-box testing

/// Something that is called in the middle of an append, where a test may let readers read.
package protocol WriteProbe {
  /// A piece has been announced and not been copied yet.
  func announcedPiece()
}

extension NoProbe: WriteProbe {
  @inline(__always) func announcedPiece() {}
}
