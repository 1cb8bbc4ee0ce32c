import OutputRing
import ReferenceModel
import Testing

/// The public API of OutputRing, used as callers use it: nothing internal is visible here.
@Suite struct PublicAPITests {
  private func text(_ batch: RingBatch) -> [String] { batch.map { $0.data.description } }

  @Test("A layout has the sizes asked for and a power of two of slots")
  func layout() {
    let layout = RingLayout(capacity: 1_000, chunkLimit: 100, reservationLimit: 50)
    #expect(layout.capacity == 1_000)
    #expect(layout.chunkLimit == 100)
    #expect(layout.reservationLimit == 50)
    #expect(layout.payloadSize == 1_050)
    #expect(layout.slotCount == 128)
    #expect(layout.regionSize == 384 + 128 * 8 + 1_050)
    // No chunk is empty, so that more chunks than bytes are of no use.
    #expect(RingLayout(capacity: 10).chunkLimit == 10)
    #expect(RingLayout(capacity: 10) == RingLayout(capacity: 10, chunkLimit: 11))
    let full = RingLayout(capacity: 1 << 20)
    #expect(full.chunkLimit == 64_512)
    #expect(full.reservationLimit == 65_536)
    #expect(full.slotCount == 65_536)
    #expect(RingLayout(capacity: RingLayout.maxCapacity).capacity == 1 << 30)
    // One chunk more or less can need twice the slots: chunks, one before, one being written,
    // slack.
    for limit in 1...300 {
      let layout = RingLayout(capacity: 1_000, chunkLimit: limit)
      #expect(layout.slotCount & (layout.slotCount - 1) == 0)
      #expect(layout.slotCount >= limit + 2)
    }
  }

  @Test("A reader gets what the writer appended, from any position")
  func writerAndReader() {
    var writer = RingWriter(RingLayout(capacity: 100))
    let reader = writer.reader
    #expect(writer.lastSeq == 0)
    #expect(writer.endOffset == 0)
    #expect(reader.lastSeq == 0)
    unsafe writer.append("hello".utf8Span.span.bytes)
    unsafe writer.append("world".utf8Span.span.bytes, tag: true)
    #expect(writer.lastSeq == 2)
    #expect(writer.endOffset == 10)
    #expect(reader.lastSeq == 2)
    #expect(writer.layout == reader.layout)
    let batch = reader.read()
    #expect(text(batch) == ["hello", "world"])
    #expect(batch.map(\.tag) == [false, true])
    #expect(batch.map(\.seq) == [1, 2])
    #expect(batch.map(\.offset) == [0, 5])
    #expect(batch.payload.description == "helloworld")
    #expect(text(reader.read(since: 1)) == ["world"])
    #expect(text(reader.read(since: RingCursor(seq: 1, offset: 5))) == ["world"])
    #expect(text(reader.read(since: .start)) == ["hello", "world"])
    #expect(text(reader.read(maxBytes: 9)) == ["hello"])
    #expect(reader.read(maxBytes: 9).hasMore)
    #expect(batch.lastSeq == 2)
    #expect(batch.cursor == RingCursor(seq: 2, offset: 10))
    #expect(reader.read(since: 3).isCursorAhead)
    #expect(!reader.read(since: 2).isCursorAhead)
  }

  @Test("A read returns the status that the writer set")
  func status() {
    var writer = RingWriter(RingLayout(capacity: 100))
    #expect(writer.status == 0)
    #expect(writer.reader.status == 0)
    #expect(writer.reader.read().status == 0)
    writer.status = .max
    #expect(writer.status == .max)
    #expect(writer.reader.status == .max)
    #expect(writer.reader.read().status == .max)
  }

  @Test("A buffer makes a chunk, and no bytes make none")
  func buffersAndNothing() {
    var writer = RingWriter(RingLayout(capacity: 100))
    unsafe writer.append(UnsafeRawBufferPointer(start: nil, count: 0))
    unsafe [UInt8]().withUnsafeBytes { unsafe writer.append($0) }
    writer.append(RawSpan())
    #expect(writer.lastSeq == 0)
    unsafe [1, 2, 3 as UInt8].withUnsafeBytes { unsafe writer.append($0, tag: true) }
    #expect(writer.reader.read().first.map { Array($0.data) } == [1, 2, 3])
  }

  @Test("a reservation's span is one piece, and what it holds is the chunk")
  func reservationThroughSpan() {
    var writer = RingWriter(RingLayout(capacity: 8, chunkLimit: 100, reservationLimit: 8))
    let reader = writer.reader
    func append(_ bytes: [UInt8]) -> Int {
      writer.append(reserving: 8) { span in
        for byte in bytes.prefix(span.freeCapacity) { span.append(byte) }
      }
    }
    #expect(append([]) == 0)
    #expect(writer.lastSeq == 0)
    #expect(append([1, 2, 3, 4, 5, 6]) == 6)
    #expect(append([7, 8, 9, 10, 11, 12]) == 6)
    // 16 bytes of storage: 4 are left before the wrap.
    #expect(append([13, 14, 15, 16, 17, 18]) == 4)
    #expect(reader.read().map { Array($0.data) } == [[13, 14, 15, 16]])
    #expect(reader.lostBytes == 12)
  }

  @Test("A reservation publishes what its closure wrote, and nothing if it wrote nothing")
  func reservations() throws {
    struct Failure: Error {}
    var writer = RingWriter(RingLayout(capacity: 10, reservationLimit: 6))
    let reader = writer.reader
    var pieces: [Int] = []
    func fill(_ byte: UInt8, _ count: Int) -> (
      UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer
    ) -> Int {
      { first, second in
        pieces = [first.count, second.count]
        for index in 0..<count {
          if index < first.count {
            unsafe first[index] = byte
          } else {
            unsafe second[index - first.count] = byte
          }
        }
        return count
      }
    }
    #expect(unsafe writer.append(reserving: 4, initializingWith: fill(1, 3)) == 3)
    #expect(pieces == [4, 0])
    #expect(unsafe writer.append(reserving: 100, tag: true, initializingWith: fill(2, 6)) == 6)
    #expect(pieces == [6, 0])
    #expect(unsafe writer.append(reserving: 6, initializingWith: fill(3, 0)) == 0)
    #expect(throws: Failure.self) {
      try unsafe writer.append(reserving: 6) { (_, _) throws(Failure) in throw Failure() }
    }
    #expect(writer.lastSeq == 2)
    #expect(writer.endOffset == 9)
    // 16 bytes of storage: 9 to 15, then the wrap.
    #expect(unsafe writer.append(reserving: 6, initializingWith: fill(4, 5)) == 5)
    #expect(unsafe writer.append(reserving: 6, initializingWith: fill(5, 6)) == 6)
    #expect(pieces == [2, 4])
    let batch = reader.read()
    #expect(batch.map { Array($0.data) } == [[5, 5, 5, 5, 5, 5]])
    #expect(batch.lostBytes == 14)
    #expect(batch.missedChunks == 3)
    #expect(batch.missedBytes == 14)
  }

  @Test("Bytes that are not contiguous in memory make a chunk")
  func bytesThatAreNotContiguous() {
    var writer = RingWriter(RingLayout(capacity: 100))
    writer.append("abc".utf8.reversed())
    writer.append(["de", "fg"].lazy.flatMap(\.utf8).filter { $0 != UInt8(ascii: "e") }, tag: true)
    writer.append("".utf8.reversed())
    #expect(text(writer.reader.read()) == ["cba", "dfg"])
    #expect(writer.reader.read().map(\.tag) == [false, true])
  }

  @Test("A chunk's bytes are a collection that is shared and not decoded")
  func chunkBytes() throws {
    var writer = RingWriter(RingLayout(capacity: 100))
    unsafe writer.append("abc".utf8Span.span.bytes)
    unsafe writer.append("defgh".utf8Span.span.bytes)
    let batch = writer.reader.read()
    let data = batch[1].data
    #expect(data.startIndex == 0)
    #expect(data.endIndex == 5)
    #expect(data.count == 5)
    #expect(data[0] == UInt8(ascii: "d"))
    #expect(data[4] == UInt8(ascii: "h"))
    let slice = data[1..<4]
    #expect(slice.startIndex == 1)
    #expect(slice.endIndex == 4)
    #expect(slice[1] == UInt8(ascii: "e"))
    #expect(slice.description == "efg")
    #expect(slice[2..<2].isEmpty)
    #expect(slice == batch.payload[4..<7])
    #expect(slice != data)
    #expect(data[1..<4] == slice)
    #expect(unsafe slice.withUnsafeBytes { unsafe Array($0) } == Array("efg".utf8))
    #expect(unsafe slice.withContiguousStorageIfAvailable { unsafe Array($0) } == Array("efg".utf8))
    #expect(slice.bytes.byteCount == 3)
    #expect(unsafe slice.bytes.unsafeLoad(fromByteOffset: 2, as: UInt8.self) == UInt8(ascii: "g"))
    #expect(Array(data.reversed()) == Array("hgfed".utf8))
    // Without chunks there is no memory, and that is no special case for callers.
    let nothing = RingBatch().payload
    #expect(nothing.isEmpty)
    #expect(nothing.bytes.byteCount == 0)
    #expect(nothing.description == "")
    #expect(unsafe nothing.withUnsafeBytes { $0.count } == 0)
    // Not UTF-8: shown with replacements, kept as it is.
    let bytes: [UInt8] = [0xff, 0x41]
    unsafe writer.append(bytes.span.bytes)
    #expect(writer.reader.read(since: 2)[0].data.description == "\u{fffd}A")
    #expect(Array(writer.reader.read(since: 2)[0].data) == bytes)
  }

  @Test("An error passes through the closure of a chunk's bytes")
  func errorsPassThroughByteClosures() {
    struct Failure: Error {}
    var writer = RingWriter(RingLayout(capacity: 100))
    unsafe writer.append("abc".utf8Span.span.bytes)
    let data = writer.reader.read()[0].data
    #expect(throws: Failure.self) {
      try unsafe data.withUnsafeBytes { (_) throws(Failure) in throw Failure() }
    }
  }

  @Test("Cursors are equal if seq and offset are")
  func cursorsAreValues() {
    let cursor = RingCursor(seq: 3, offset: 70)
    #expect(cursor == RingCursor(seq: 3, offset: 70))
    #expect(cursor != .start)
    #expect(Set([cursor, cursor, .start]).count == 2)
  }

  /// Reads into memory with room take that memory; what somebody holds on to is left alone.
  @Test("A negative offset counts as unknown")
  func cursorsWithoutOffset() {
    #expect(RingCursor(seq: 3, offset: -5).offset == nil)
    #expect(RingCursor(seq: 3, offset: .min) == RingCursor(seq: 3))
    #expect(RingCursor(seq: 3, offset: 0).offset == 0)
  }

  @Test("A seq of 0 or less is the beginning, whose offset is known")
  func cursorsAtTheBeginning() {
    #expect(RingCursor(seq: 0) == .start)
    #expect(RingCursor(seq: .min, offset: 70) == .start)
    #expect(RingCursor.start.offset == 0)
  }

  @Test("An integer literal is a cursor of that seq")
  func cursorsFromLiterals() {
    let cursor: RingCursor = 3
    #expect(cursor == RingCursor(seq: 3))
  }

  @Test("A read reuses the memory of a batch unless something else refers to it")
  func reusedMemory() {
    var writer = RingWriter(RingLayout(capacity: 64, reservationLimit: 8))
    let reader = writer.reader
    var batch = RingBatch(reservingBytes: 64, chunks: 64)
    func place(_ batch: RingBatch) -> UInt {
      unsafe batch.payload.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
    func append(_ count: Int) {
      let bytes = Stamp.bytes(count, at: writer.endOffset)
      unsafe writer.append(bytes.span.bytes)
    }
    for _ in 0..<64 { append(1) }
    reader.read(into: &batch)
    let first = place(batch)
    for _ in 0..<10 {
      append(30)
      reader.read(into: &batch)
    }
    append(64)
    reader.read(into: &batch)
    for _ in 0..<64 { append(1) }
    reader.read(into: &batch)
    #expect(batch.count == 64)
    #expect(place(batch) == first)

    let held = batch[10]
    let kept = Array(held.data)
    append(64)
    reader.read(into: &batch)
    #expect(place(batch) != first)
    #expect(Array(held.data) == kept)
    let copy = batch
    let before = place(batch)
    append(64)
    reader.read(into: &batch)
    #expect(place(batch) != before)
    #expect(place(copy) == before)
    #expect(Array(copy.payload) == Stamp.bytes(64, at: copy[0].offset))
  }

  @Test("A batch is a random-access collection of its chunks")
  func batchesAreCollections() {
    var writer = RingWriter(RingLayout(capacity: 100))
    for size in 1...9 {
      let bytes = Stamp.bytes(size, at: writer.endOffset)
      unsafe writer.append(bytes.span.bytes)
    }
    let batch = writer.reader.read()
    #expect(batch.startIndex == 0)
    #expect(batch.endIndex == 9)
    #expect(batch.count == 9)
    #expect(batch.reversed().map(\.seq) == (1...9).reversed())
    #expect(batch.dropFirst(3).map(\.data.count) == [4, 5, 6, 7, 8, 9])
    #expect(batch.index(batch.startIndex, offsetBy: 4) == 4)
  }
}
