package import CRingShims

/// The producer's end of a ring: appends chunks, overwriting the oldest.
///
/// Every operation is wait-free: it takes no lock, has no loop but the copy, and takes no account
/// of readers, which cannot hold the producer up. A ring has exactly one writer, created with it.
/// The writer cannot be copied, so the compiler checks that there is one producer at a time.
///
/// ```swift
/// var writer = RingWriter(RingLayout(capacity: 1 << 20))
/// let reader = writer.reader
/// writer.append("hello".utf8)
/// for chunk in reader.read() { print(chunk.seq, chunk.data.count) }
/// ```
@safe
public struct RingWriter: ~Copyable, @unchecked Sendable {
  let memory: RingMemory

  // The producer's private view. It is here and not in the shared region, so that writing it takes
  // no cache line from a reader. With more than 15 words, the compiler would call a function to see
  // whether an optional writer is nil, which costs each append of a session's producer 2 ns.
  let counters: RingCounters
  private let descriptors: UnsafeMutablePointer<UInt64>
  let payload: UnsafeMutableRawPointer
  private let copyMethod: RingCopyMethod
  private let slotMask: Int
  private let payloadSize: Int
  /// Up to this place in the payload, chunks are copied in one piece by assembly: the payload's
  /// size, or 0 if the copy must not be assembly, or as long as the head has room.
  private var inlineLimit: Int
  /// The bytes that the head has room for; 0 once a chunk did not fit, and without a head.
  private(set) var headRoom: Int

  /// The newest published seq. Before the first append it is 0, or, in a ring that continues
  /// another one, the seq of the chunk after which it begins.
  public internal(set) var lastSeq: Int
  /// The bytes appended so far: the offset at which the next chunk begins.
  public internal(set) var endOffset: Int
  /// How far reservations have announced; what is announced is never taken back, so it may be more
  /// than `endOffset`.
  private var reservedOffset: Int
  /// Where `endOffset` lies in the payload: `endOffset mod payloadSize`.
  var position: Int

  /// The timestamp of the chunks that are appended from now on, in a unit of the owner's; 0 at
  /// first.
  ///
  /// Kept in a ring that has them (``RingLayout/hasTimestamps``). No chunk gets an earlier one than
  /// the chunk before it, nor one below 0: it then gets that chunk's, or 0.
  public var timestamp: Int64 = 0
  /// The timestamp of the newest chunk; -1 in a ring without timestamps.
  private var lastTimestamp: Int64

  /// Creates a ring and its writer.
  ///
  /// - Parameter layout: The ring's capacity and limits.
  /// - Precondition: the system has memory for it; see ``init(allocating:)``.
  /// - Complexity: O(1); memory is mapped but not touched, except for one page.
  public init(_ layout: RingLayout) { self.init(layout, copyMethod: .current) }

  /// Creates a ring and its writer, if the system has memory for it.
  ///
  /// - Parameter layout: The ring's capacity and limits.
  /// - Throws: ``RingAllocationError`` if there is no memory or no room for another mapping.
  /// - Complexity: O(1); memory is mapped but not touched, except for one page.
  public init(allocating layout: RingLayout) throws(RingAllocationError) {
    self.init(memory: try RingMemory(layout))
  }

  /// Creates a ring that continues another one, and its writer: the first chunk that it gets is the
  /// one after a cursor of that ring.
  ///
  /// To a reader, all chunks up to there are lost: exactly so many chunks, and so many bytes.
  ///
  /// - Parameters:
  ///   - layout: The ring's capacity and limits, without a head.
  ///   - cursor: The last chunk that the other ring got, and where that ended.
  /// - Throws: ``RingAllocationError`` if there is no memory or no room for another mapping.
  /// - Precondition: the cursor has an offset, which is at least its seq and at most 2⁶⁰; the
  ///   layout has no head.
  /// - Complexity: O(1).
  public init(
    allocating layout: RingLayout, continuing cursor: RingCursor
  ) throws(RingAllocationError) {
    precondition(layout.headCapacity == 0, "a ring that continues another one has no head")
    guard let end = cursor.offset, end >= cursor.seq, RingMemory.plausibleCounts ~= end else {
      preconditionFailure(
        "a ring can continue at a chunk's end, which a read tells, and not at \(cursor)")
    }
    precondition(cursor.seq > 0 || end == 0, "nothing comes before the first chunk")
    self.init(memory: try RingMemory(layout, origin: (cursor.seq, end)))
  }

  /// Creates a ring in a file, which other programs can read while it is written and afterwards,
  /// and its writer; see ``RingReader/init(attachingTo:)``.
  ///
  /// What was published survives the end of the program, by whatever signal. The file has the mode
  /// 0600 and all of its room from the beginning, about as much as the capacity and 8 bytes for
  /// each slot: ``RingLayout/regionSize`` and a page. It appears under its name when it is
  /// complete.
  ///
  /// A ring has one producer for its whole life: it cannot be opened again to be written.
  ///
  /// - Parameters:
  ///   - path: The name of the file, which must not exist.
  ///   - layout: The ring's capacity and limits.
  ///   - metadata: Up to 4,000 bytes of the owner's, for readers.
  /// - Throws: ``RingFileError`` if the file exists or cannot be made, as on a full disk.
  /// - Complexity: O(size of the file).
  public init(
    recordingTo path: String, _ layout: RingLayout, metadata: [UInt8] = []
  ) throws(RingFileError) {
    self.init(memory: try RingFile.create(at: path, layout, metadata: metadata))
  }

  /// Creates a ring that copies in the way given, for tests and benchmarks.
  package init(_ layout: RingLayout, copyMethod: RingCopyMethod) {
    do throws(RingAllocationError) {
      self.init(memory: try RingMemory(layout, copyMethod: copyMethod))
    } catch {
      fatalError(error.description)
    }
  }

  private init(memory: RingMemory) {
    self.memory = memory
    counters = memory.counters
    unsafe descriptors = memory.descriptors
    unsafe payload = memory.payload
    copyMethod = memory.copyMethod
    slotMask = memory.slotMask
    payloadSize = memory.layout.payloadSize
    (lastSeq, endOffset, reservedOffset) = (memory.origin.seq, memory.origin.end, memory.origin.end)
    position = memory.origin.end % payloadSize
    lastTimestamp = memory.layout.hasTimestamps ? 0 : -1
    headRoom = memory.layout.headCapacity
    inlineLimit = headRoom > 0 || copyMethod == .atomicWords ? 0 : payloadSize
  }

  /// Returns a reader of this ring. Readers are values: copy them, send them anywhere.
  public var reader: RingReader { RingReader(memory) }

  /// The ring's geometry.
  public var layout: RingLayout { memory.layout }

  /// A word that belongs to the ring's owner, 0 at first.
  ///
  /// A read returns it together with the chunks, as of one instant: a reader that sees a status
  /// also gets, in that read or before it, every chunk appended before that status was set.
  public var status: UInt64 {
    get { memory.status }
    set { memory.status = newValue }
  }

  /// Stores the status of a writer that cannot be mutated, in a `deinit`.
  package func storeStatus(_ status: UInt64) { memory.status = status }
}

// MARK: Appending

extension RingWriter {
  /// Appends one chunk and publishes it. The oldest chunks beyond the ring's limits are evicted.
  ///
  /// A chunk larger than the capacity is stored as its last `capacity` bytes; the prefix counts as
  /// lost. Without bytes, no chunk is appended.
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
    guard bytes.count <= RING_COPY_SMALL else {
      return unsafe appendLarge(source, bytes.count, tag, probe: NoProbe())
    }
    guard fitsInOnePiece(bytes.count) else {
      return unsafe appendInPieces(source, bytes.count, tag, probe: NoProbe())
    }
    unsafe appendInOnePiece(bytes.count, tag, probe: NoProbe()) { place in
      unsafe ring_copy_in_small(place, source, bytes.count)
    }
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

  /// Appends one chunk as if it were not small, for a test that reads between its pieces.
  package mutating func append<Probe: WriteProbe>(
    _ bytes: UnsafeRawBufferPointer, tag: Bool, probe: Probe
  ) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    if bytes.count > RING_COPY_SMALL {
      unsafe appendLarge(source, bytes.count, tag, probe: probe)
    } else {
      unsafe appendInPieces(source, bytes.count, tag, probe: probe)
    }
  }

  /// Whether the next chunk's place does not wrap, and the copy may be assembly.
  @inline(__always)
  func fitsInOnePiece(_ count: Int) -> Bool { position &+ count < inlineLimit }

  /// Appends a chunk of more than RING_COPY_SMALL bytes, whose copy is worth a call.
  @inline(never)
  private mutating func appendLarge<Probe: WriteProbe>(
    _ source: UnsafeRawPointer, _ count: Int, _ tag: Bool, probe: Probe
  ) {
    guard fitsInOnePiece(count), count <= memory.layout.reservationLimit else {
      return unsafe appendInPieces(source, count, tag, probe: probe)
    }
    let method = copyMethod
    unsafe appendInOnePiece(count, tag, probe: probe) { place in
      unsafe ring_copy_in_large(place, source, count, method)
    }
  }

  /// W1 to W4 of a chunk in one piece.
  @inline(__always)
  private mutating func appendInOnePiece<Probe: WriteProbe>(
    _ count: Int, _ tag: Bool, probe: Probe, copy: (UnsafeMutableRawPointer) -> Void
  ) {
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    let next = position &+ count
    announce(seq: seq, offset: end)
    probe.announcedPiece()
    unsafe copy(payload + position)  // W2
    position = next
    publish(seq: seq, end: end, tag: tag)
  }

  /// W1 to W4 of any chunk: one that reaches the end of the payload storage, is larger than the
  /// slack or than the capacity, or must not be copied by assembly.
  ///
  /// W1 and W2 are repeated for pieces of no more than the slack, so that readers lose little by
  /// little what is overwritten. Announced as a whole, the chunk would take all that it is about to
  /// overwrite from them before its copy begins.
  @inline(never)
  private mutating func appendInPieces<Probe: WriteProbe>(
    _ source: UnsafeRawPointer, _ count: Int, _ tag: Bool, probe: Probe
  ) {
    if headRoom > 0, unsafe appendToHead(source, count, tag, probe: probe) { return }
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    // Of a chunk larger than the capacity, the last bytes are stored.
    let skipped = max(0, count - memory.layout.capacity)
    var offset = endOffset &+ skipped
    var from = unsafe source + skipped
    position = (position + skipped) % payloadSize
    while offset < end {
      let piece = min(end &- offset, memory.layout.reservationLimit)
      offset &+= piece
      announce(seq: seq, offset: offset)
      probe.announcedPiece()
      unsafe copyPayload(from, piece)
      unsafe from += piece
    }
    publish(seq: seq, end: end, tag: tag)
  }

  /// W1: Announces a seq, and payload up to an offset or as far as a reservation has announced it.
  @inline(__always)
  func announce(seq: Int, offset: Int) {
    counters.announce(seq: seq, offset: max(offset, reservedOffset))
  }

  /// W2: Copies payload to its place, in two pieces where the payload storage wraps.
  @inline(__always)
  mutating func copyPayload(_ source: UnsafeRawPointer, _ count: Int) {
    let beforeWrap = min(count, payloadSize - position)
    unsafe ring_copy_in(payload + position, source, beforeWrap, copyMethod)
    unsafe ring_copy_in(payload, source + beforeWrap, count - beforeWrap, copyMethod)
    position &+= count
    if position >= payloadSize { position &-= payloadSize }
  }

  /// W3: Stores the descriptor and the timestamp of a chunk whose payload is in place.
  @inline(__always)
  mutating func describe(seq: Int, end: Int, tag: Bool) {
    let descriptor = Descriptor(end: end, tag: tag)
    unsafe ring_store_relaxed(descriptors + (seq & slotMask), descriptor.word)
    if lastTimestamp >= 0 { storeTimestamp(seq) }
  }

  /// W3 and W4: Stores the descriptor of a chunk whose payload is in place, and publishes it.
  @inline(__always)
  private mutating func publish(seq: Int, end: Int, tag: Bool) {
    describe(seq: seq, end: end, tag: tag)
    counters.publish(seq: seq)
    lastSeq = seq
    endOffset = end
  }

  /// W3: Stores the timestamp of a chunk that is about to be published.
  @inline(__always)
  private mutating func storeTimestamp(_ seq: Int) {
    lastTimestamp = max(lastTimestamp, timestamp)
    // The timestamps follow the descriptors, of which there are as many.
    let place = unsafe descriptors + (slotMask &+ 1) + (seq & slotMask)
    unsafe ring_store_relaxed(place, UInt64(bitPattern: lastTimestamp))
  }
}

// MARK: Head

extension RingWriter {
  /// W1 to W4 of a chunk that fits in the head, or nothing: then the head is complete, and the
  /// chunk goes behind it.
  @inline(never)
  private mutating func appendToHead<Probe: WriteProbe>(
    _ source: UnsafeRawPointer, _ count: Int, _ tag: Bool, probe: Probe
  ) -> Bool {
    guard count <= headRoom else {
      completeHead()
      return false
    }
    announce(seq: lastSeq &+ 1, offset: endOffset &+ count)
    probe.announcedPiece()
    // W2. No reader knows of the place yet, so this copy races with none.
    unsafe (memory.headPayload + endOffset).copyMemory(from: source, byteCount: count)
    publishInHead(count, tag: tag)
    return true
  }

  /// W3 and W4 of a chunk whose payload is in the head.
  private mutating func publishInHead(_ count: Int, tag: Bool) {
    let seq = lastSeq &+ 1
    let end = endOffset &+ count
    unsafe ring_store_relaxed(memory.headDescriptors + lastSeq, Descriptor(end: end, tag: tag).word)
    if lastTimestamp >= 0 {
      let word = UInt64(max(lastTimestamp, timestamp))
      unsafe ring_store_relaxed(memory.headTimestamps + lastSeq, word)
    }
    counters.storeHeadSeq(seq)
    position = end % payloadSize
    publish(seq: seq, end: end, tag: tag)
    headRoom &-= count
    if headRoom == 0 || seq == memory.layout.headChunkLimit { completeHead() }
  }

  /// Has all further chunks go behind the head.
  private mutating func completeHead() {
    headRoom = 0
    inlineLimit = copyMethod == .atomicWords ? 0 : payloadSize
  }
}

// MARK: Reserving

extension RingWriter {
  /// Lets a closure write a chunk's payload straight into the ring, and publishes what it wrote.
  ///
  /// Made for `readv(2)`: the reservation is up to `count` bytes in one piece, or two where the
  /// payload storage wraps; it ends where the head does (``RingLayout/headCapacity``). The closure
  /// fills the first piece before the second and returns how many bytes it wrote. If it returns 0
  /// or throws, nothing is published: no chunk, no seq. Readers never see what it wrote beyond the
  /// count that it returned.
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
  /// A reservation does not disturb the readers of the oldest bytes, however long it is held. But
  /// the producer can do nothing else meanwhile: read from descriptors that do not block.
  ///
  /// - Parameters:
  ///   - count: The most bytes wanted; at most the layout's `reservationLimit` are reserved.
  ///   - tag: One bit for the ring's owner, returned with the chunk.
  ///   - initializer: Receives the two pieces, the second of which is empty unless the reservation
  ///     wraps. They must not be used after it returns.
  /// - Returns: The number of bytes published, as `initializer` returned it.
  /// - Throws: What `initializer` throws.
  /// - Precondition: `count` is positive; `initializer` returns from 0 to the bytes reserved.
  /// - Complexity: O(1) besides `initializer`; wait-free, no allocation.
  @discardableResult
  @inline(__always)
  public mutating func append<Failure: Error>(
    reserving count: Int, tag: Bool = false,
    initializingWith initializer: (
      _ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int
  ) throws(Failure) -> Int {
    let reservation = reserve(count)
    let written = try unsafe initializer(reservation.first, reservation.second)  // W2
    commit(written, of: reservation, tag: tag)
    return written
  }

  /// Lets a closure write a chunk's payload straight into the ring, through a span that cannot be
  /// misused.
  ///
  /// As the form for two buffers, in one piece: where the payload storage wraps, the span is
  /// shorter than `count`, of one byte at least.
  ///
  /// - Parameters:
  ///   - count: The most bytes wanted; at most the layout's `reservationLimit` are reserved.
  ///   - tag: One bit for the ring's owner, returned with the chunk.
  ///   - initializer: Appends bytes to the span. If it appends none or throws, nothing is
  ///     published.
  /// - Returns: The number of bytes published.
  /// - Throws: What `initializer` throws.
  /// - Precondition: `count` is positive.
  /// - Complexity: O(1) besides `initializer`; wait-free, no allocation.
  @discardableResult
  @inline(__always)
  public mutating func append<Failure: Error>(
    reserving count: Int, tag: Bool = false,
    initializingWith initializer: (inout OutputRawSpan) throws(Failure) -> Void
  ) throws(Failure) -> Int {
    try unsafe append(reserving: count, tag: tag) { first, _ throws(Failure) in
      var span = unsafe OutputRawSpan(buffer: first, initializedCount: 0)
      try initializer(&span)
      return unsafe span.finalize(for: first)
    }
  }

  /// The places announced for a chunk that is not there yet.
  @safe
  @usableFromInline
  struct Reservation {
    @usableFromInline let first: UnsafeMutableRawBufferPointer
    @usableFromInline let second: UnsafeMutableRawBufferPointer
    var count: Int { unsafe first.count + second.count }
  }

  /// W1 of a reservation.
  @usableFromInline
  mutating func reserve(_ count: Int) -> Reservation {
    precondition(count > 0, "a reservation must be of at least 1 byte, not \(count)")
    var count = min(count, memory.layout.reservationLimit)
    // A reservation fills the head to its last byte: a read may stop there and go on behind it.
    if headRoom > 0 { count = min(count, headRoom) }
    reservedOffset = max(reservedOffset, endOffset &+ count)
    announce(seq: lastSeq &+ 1, offset: reservedOffset)
    if headRoom > 0 {
      return unsafe Reservation(
        first: UnsafeMutableRawBufferPointer(start: memory.headPayload + endOffset, count: count),
        second: UnsafeMutableRawBufferPointer(start: payload, count: 0))
    }
    let first = min(count, payloadSize - position)
    return unsafe Reservation(
      first: UnsafeMutableRawBufferPointer(start: payload + position, count: first),
      second: UnsafeMutableRawBufferPointer(start: payload, count: count - first))
  }

  /// W3 and W4 of a reservation, if anything was written.
  @usableFromInline
  mutating func commit(_ written: Int, of reservation: Reservation, tag: Bool) {
    precondition(
      0...reservation.count ~= written,
      "a reservation of \(reservation.count) bytes cannot have been filled with \(written)")
    guard written > 0 else { return }
    if headRoom > 0 { return publishInHead(written, tag: tag) }
    let place = position &+ written
    position = place >= payloadSize ? place &- payloadSize : place
    publish(seq: lastSeq &+ 1, end: endOffset &+ written, tag: tag)
  }
}

// MARK: White-box testing

/// Something that is called in the middle of an append, where a test may let readers read.
package protocol WriteProbe {
  /// Called after W1, before W2: a piece has been announced and not been copied yet.
  func announcedPiece()
}

extension NoProbe: WriteProbe {
  @inline(__always) func announcedPiece() {}
}
