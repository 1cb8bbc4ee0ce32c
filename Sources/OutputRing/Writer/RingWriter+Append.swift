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
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    let count = bytes.count
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    announce(seq: seq, end: end)
    let place = position &+ count
    if place < payloadSize {
      unsafe ring_copy_in(payload + position, source, count, copyMethod)
      position = place
    } else {
      unsafe copyAcrossWrap(source, count)
    }
    publish(seq: seq, end: end, tag: tag)
  }

  /// Steps 1 of the protocol: says what will be overwritten. Never takes an announcement back.
  @inline(__always)
  mutating func announce(seq: Int, end: Int) {
    if end > announcedOffset { announcedOffset = end }
    control.announce(seq: seq, offset: announcedOffset)
  }

  /// Step 3: stores the descriptor of a chunk whose payload is in place, and publishes it.
  @inline(__always)
  mutating func publish(seq: Int, end: Int, tag: Bool) {
    let descriptor = Descriptor(end: end, tag: tag)
    unsafe ring_store_relaxed(descriptors + (seq & slotMask), descriptor.word)
    control.publish(seq: seq)
    lastSeq = seq
    endOffset = end
  }

  /// Step 2 where the chunk reaches the end of the payload storage, or is larger than the capacity.
  @inline(never)
  private mutating func copyAcrossWrap(_ source: UnsafeRawPointer, _ count: Int) {
    let skipped = max(0, count - capacity)
    position = (position + skipped) % payloadSize
    let source = unsafe source + skipped
    let count = count - skipped
    let first = min(count, payloadSize - position)
    unsafe ring_copy_in(payload + position, source, first, copyMethod)
    unsafe ring_copy_in(payload, source + first, count - first, copyMethod)
    position += count
    if position >= payloadSize { position -= payloadSize }
  }
}
