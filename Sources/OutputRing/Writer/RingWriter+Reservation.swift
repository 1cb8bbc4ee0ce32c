extension RingWriter {
  /// Lets a closure write a chunk's payload straight into the ring, and publishes what it wrote.
  ///
  /// Made for `readv(2)`: the reservation is up to `count` bytes in one piece, or two where the
  /// payload storage wraps. The closure fills the first piece before the second and returns how
  /// many bytes it wrote. If it returns 0 or throws, nothing is published: no chunk, no seq.
  /// Whatever it wrote past the count that it returned is never seen by anyone.
  ///
  /// ```swift
  /// let read = writer.append(reserving: 65_536) { first, second in
  ///   var pieces = [
  ///     iovec(iov_base: first.baseAddress, iov_len: first.count),
  ///     iovec(iov_base: second.baseAddress, iov_len: second.count),
  ///   ]
  ///   return max(0, readv(descriptor, &pieces, 2))
  /// }
  /// ```
  ///
  /// Readers of the oldest bytes are not disturbed by a reservation, however long it is held, but
  /// the producer can do nothing else meanwhile: read from descriptors that do not block.
  ///
  /// - Parameters:
  ///   - count: The most bytes wanted; at most the layout's `reservationLimit` are reserved.
  ///   - tag: One bit for the ring's owner, returned with the chunk.
  ///   - fill: Receives the two pieces, the second of which is empty unless the reservation wraps.
  ///     They must not be used after it returns.
  /// - Returns: The number of bytes published, as `fill` returned it.
  /// - Throws: What `fill` throws.
  /// - Precondition: `count` is positive; `fill` returns from 0 to the bytes reserved.
  /// - Complexity: O(1) besides `fill`; wait-free, no allocation.
  @discardableResult
  @inline(__always)
  public mutating func append<Failure: Error>(
    reserving count: Int, tag: Bool = false,
    filling fill: (
      _ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int
  ) throws(Failure) -> Int {
    let reservation = reserve(count)
    let written = try unsafe fill(reservation.first, reservation.second)
    commit(written, of: reservation, tag: tag)
    return written
  }

  /// The places announced for a chunk that is not there yet.
  @safe
  @usableFromInline
  struct Reservation {
    @usableFromInline let first: UnsafeMutableRawBufferPointer
    @usableFromInline let second: UnsafeMutableRawBufferPointer
    var count: Int { unsafe first.count + second.count }
  }

  @usableFromInline
  mutating func reserve(_ count: Int) -> Reservation {
    precondition(count > 0, "a reservation must be of at least 1 byte, not \(count)")
    let count = min(count, memory.layout.reservationLimit)
    reservedOffset = max(reservedOffset, endOffset &+ count)
    control.announce(seq: lastSeq &+ 1, offset: reservedOffset)
    let first = min(count, payloadSize - position)
    return unsafe Reservation(
      first: UnsafeMutableRawBufferPointer(start: payload + position, count: first),
      second: UnsafeMutableRawBufferPointer(start: payload, count: count - first))
  }

  @usableFromInline
  mutating func commit(_ written: Int, of reservation: Reservation, tag: Bool) {
    precondition(
      0...reservation.count ~= written,
      "a reservation of \(reservation.count) bytes cannot have been filled with \(written)")
    guard written > 0 else { return }
    let place = position &+ written
    position = place >= payloadSize ? place &- payloadSize : place
    publish(seq: lastSeq &+ 1, end: endOffset &+ written, tag: tag)
  }
}
