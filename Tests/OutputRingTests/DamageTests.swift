import ReferenceModel
import Testing

@testable import OutputRing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What readers make of a ring in a file in which there is what no producer stores.
@Suite final class DamageTests {
  private let directory = TemporaryDirectory()
  private let reader: RingReader
  private let file: Int32

  /// 20 chunks of 8 bytes each, in a ring that retains all of them.
  private static let size = 8
  private static let count = 20

  init() throws {
    let path = directory.path + "/a.ring"
    var writer = try RingWriter(
      recordingTo: path, RingLayout(capacity: 1_000, chunkLimit: 40, reservationLimit: 500))
    for index in 1...Self.count {
      writer.append([UInt8](repeating: UInt8(index), count: Self.size))
    }
    reader = try RingReader(attachingTo: path)
    file = unsafe open(path, O_RDWR)
    try #require(file >= 0)
  }

  deinit { close(file) }

  /// Stores a word in the file.
  private func put(_ word: UInt64, at byte: Int) {
    let count = unsafe withUnsafeBytes(of: word) {
      unsafe pwrite(file, $0.baseAddress, 8, off_t(byte))
    }
    #expect(count == 8)
  }

  /// Stores where a seq's chunk ends.
  private func putEnd(_ end: Int, of seq: Int) {
    let layout = reader.layout
    put(
      UInt64(end) << 1, at: layout.descriptorStart + (seq & (layout.slotCount - 1)) * 8)
  }

  private func putAnnouncedSeq(_ seq: Int) { put(word(seq), at: RingLayout.controlStart) }
  private func putAnnouncedOffset(_ end: Int) { put(word(end), at: RingLayout.controlStart + 8) }
  private func putPublishedSeq(_ seq: Int) { put(word(seq), at: RingLayout.controlStart + 16) }
  private func word(_ value: Int) -> UInt64 { UInt64(bitPattern: Int64(value)) }

  /// Reads from the beginning until there is no more, or reads make no progress.
  private func follow(maxBytes: Int) -> (batches: [RingBatch], ends: Bool) {
    var batches: [RingBatch] = []
    var cursor = RingCursor.start
    for _ in 0...Self.count {
      let batch = reader.read(since: cursor, maxBytes: maxBytes)
      batches.append(batch)
      cursor = batch.cursor
      if !batch.hasMore { return (batches, true) }
    }
    return (batches, false)
  }

  @Test("What is undamaged is read as it is")
  func undamaged() {
    let batch = reader.read()
    #expect(batch.map(\.seq) == Array(1...20))
    #expect(!batch.isDamaged)
  }

  // MARK: Seqs

  @Test(
    "A published seq that cannot be is damage, and the newest seq is the nearest that can be",
    arguments: [(-1, 0), (.min, 0), (1 << 60 + 1, 1 << 60), (.max, 1 << 60)] as [(Int, Int)])
  func publishedSeq(seq: Int, nearest: Int) {
    putPublishedSeq(seq)
    #expect(reader.lastSeq == nearest)
    let batch = reader.read(since: RingCursor(seq: 0))
    #expect(batch.isDamaged)
    #expect(batch.isEmpty)
    #expect(!batch.hasMore)
    #expect(!batch.isCursorAhead)
    #expect(reader.lostBytes == 0)
    #expect(reader.totalBytes == 0)
  }

  @Test("The greatest seq that can be is no damage by itself")
  func greatestSeq() {
    let newest = 1 << 60
    putPublishedSeq(newest)
    putAnnouncedSeq(newest)
    putEnd(160, of: newest)
    for seq in 0..<3 { putEnd(160 - 8 * seq, of: newest - seq) }
    let batch = reader.read(since: RingCursor(seq: newest - 2))
    #expect(batch.map(\.seq) == [newest - 1, newest])
    #expect(!batch.isDamaged)
  }

  @Test(
    "An announced seq that no producer comes to is damage, and following it ends",
    arguments: [1 << 40, 1 << 60, Int.max, 20 + 46])
  func announcedSeq(seq: Int) {
    putAnnouncedSeq(seq)
    let (batches, ends) = follow(maxBytes: 8)
    #expect(ends)
    #expect(batches.count == 1)
    #expect(batches[0].isDamaged)
    #expect(batches[0].isEmpty)
    #expect(batches[0].cursor == .start)
  }

  @Test("An announced offset beyond everything is no error: all has been overwritten")
  func announcedOffset() {
    putAnnouncedOffset(.max)
    let batch = reader.read()
    #expect(batch.isEmpty)
    #expect(batch.missedChunks == 20)
    #expect(!batch.hasMore)
  }

  // MARK: Heads

  /// A ring with a head of 12 chunks of 8 bytes, and 8 more behind it.
  private func withHead(
    _ body: (_ reader: RingReader, _ put: (_ end: Int, _ byte: Int) -> Void) -> Void
  ) throws {
    let path = directory.path + "/headed.ring"
    var writer = try RingWriter(
      recordingTo: path, RingLayout(capacity: 1_000, headCapacity: 100))
    for index in 1...20 { writer.append([UInt8](repeating: UInt8(index), count: 8)) }
    let reader = try RingReader(attachingTo: path)
    let file = unsafe open(path, O_RDWR)
    defer { close(file) }
    body(reader) { end, byte in
      let count = unsafe withUnsafeBytes(of: UInt64(end) << 1) {
        unsafe pwrite(file, $0.baseAddress, 8, off_t(byte))
      }
      #expect(count == 8)
    }
  }

  private func place(of seq: Int, in layout: RingLayout) -> Int {
    layout.descriptorStart + (seq & (layout.slotCount - 1)) * 8
  }

  @Test("A head that ends where none can is damage, also to a read from behind it")
  func headEnd() throws {
    try withHead { reader, put in
      for (end, isDamaged) in [(96, false), (100, false), (101, true), (150, true), (11, true)] {
        put(end, reader.layout.headStart + 11 * 8)
        let batch = reader.read(since: RingCursor(seq: 15, offset: 120))
        #expect(batch.isDamaged == isDamaged, "\(end)")
        #expect(batch.map(\.seq) == Array(16...20), "\(end)")
      }
    }
  }

  @Test("A chunk that begins within the head is damage, and those behind it are read")
  func beforeTheHead() throws {
    try withHead { reader, put in
      put(90, place(of: 15, in: reader.layout))
      let batch = reader.read(since: RingCursor(seq: 15))
      #expect(batch.isDamaged)
      // Either end of chunk 16 may be the wrong one, so chunk 17 may begin elsewhere as well.
      #expect(batch.map(\.seq) == Array(18...20))
    }
  }

  @Test("The head is read although nothing behind it can be")
  func headAlone() throws {
    try withHead { reader, put in
      put(200, place(of: 19, in: reader.layout))
      let batch = reader.read()
      #expect(batch.isDamaged)
      #expect(batch.map(\.seq) == Array(1...12))
      #expect(batch.map { Array($0.data) } == (1...12).map { Array(repeating: $0, count: 8) })
    }
  }

  // MARK: Ends

  @Test(
    "A newest end that cannot be is damage, also where the ends before fit it",
    arguments: [1 << 60 + 1, 1 << 62, Int.max])
  func newestEnd(end: Int) {
    for seq in 0...20 { putEnd(end - (20 - seq) * 8, of: seq) }
    putAnnouncedOffset(end)
    for batch in [reader.read(), reader.read(since: RingCursor(seq: 25))] {
      #expect(batch.isDamaged)
      #expect(batch.isEmpty)
      #expect(!batch.hasMore)
      #expect(batch.lostBytes == 0)
    }
    #expect(reader.totalBytes == 0)
  }

  @Test("The greatest end that can be is no damage by itself")
  func greatestEnd() {
    let end = 1 << 60
    for seq in 0...20 { putEnd(end - (20 - seq) * 8, of: seq) }
    putAnnouncedOffset(end)
    let batch = reader.read()
    #expect(batch.map(\.seq) == Array(1...20))
    #expect(batch.cursor.offset == end)
    #expect(!batch.isDamaged)
    #expect(reader.totalBytes == end)
  }

  @Test("Chunks that fit each other, but end behind the newest, are damage")
  func behindTheNewest() {
    putEnd(1 << 62, of: 5)
    putEnd(1 << 62 + 8, of: 6)
    let batch = reader.read(since: RingCursor(seq: 5), maxBytes: 8)
    #expect(batch.isDamaged)
    #expect(batch.allSatisfy { $0.seq > 6 })
    #expect(batch.missedChunks > 0)
  }

  @Test("A chunk that ends behind the newest, within the capacity, is damage")
  func littleBehindTheNewest() {
    putEnd(500, of: 6)
    let batch = reader.read(since: RingCursor(seq: 5), maxBytes: 8)
    #expect(batch.isDamaged)
    #expect(batch.map(\.seq) == [9])
    #expect(batch.missedChunks == 3)
  }

  @Test(
    "As many bytes as the capacity are no damage, and one more is",
    arguments: [(1_000, 16...20), (1_001, 18...20)])
  func capacity(bytes: Int, seqs: ClosedRange<Int>) {
    for seq in 0...20 { putEnd(5_000 - (20 - seq) * 8, of: seq) }
    putAnnouncedOffset(5_000)
    putEnd(5_000 - bytes, of: 15)
    let batch = reader.read(since: RingCursor(seq: 15))
    #expect(batch.map(\.seq) == Array(seqs))
    #expect(batch.isDamaged == (bytes > 1_000))
    if batch.isDamaged { #expect(batch.lostBytes == 5_000 - 3 * 8) }
  }

  @Test("Lost bytes are within the cap before the end, whatever a descriptor says")
  func lostBytes() {
    putEnd(1 << 50, of: 0)
    #expect(reader.lostBytes <= 160)
    #expect(reader.totalBytes == 160)
    let batch = reader.read()
    #expect(batch.lostBytes == batch.first?.offset ?? 160)
    #expect(batch.lastSeq == 20)
  }

  // MARK: Reads with a limit

  @Test(
    "Readers with a limit get past a damaged descriptor, to the newest chunk",
    arguments: [8, 16, 50, 100], [0, 1 << 30])
  func limited(maxBytes: Int, end: Int) {
    putEnd(end, of: 10)
    let (batches, ends) = follow(maxBytes: maxBytes)
    #expect(ends)
    #expect(batches.contains { $0.isDamaged })
    let seqs = batches.flatMap { $0.map(\.seq) }
    // The chunks that begin or end at the damaged end may be missing, and their neighbours.
    #expect(Set(13...20).isSubset(of: seqs))
    #expect(seqs == seqs.sorted())
    #expect(seqs.count + batches.reduce(0) { $0 + $1.missedChunks } == 20)
    for chunk in batches.flatMap({ Array($0) }) where !(9...12 ~= chunk.seq) {
      #expect(Array(chunk.data) == [UInt8](repeating: UInt8(chunk.seq), count: 8))
    }
  }

  @Test("A damaged last descriptor of a limited read makes a gap, and the rest follows")
  func lastOfALimitedRead() {
    // Between the begin of the first chunk and the end of the second.
    putEnd(12, of: 3)
    let batch = reader.read(since: .start, maxBytes: 20)
    #expect(batch.isDamaged)
    #expect(batch.isEmpty)
    #expect(batch.hasMore)
    #expect(batch.lastSeq >= 3)
    #expect(batch.missedChunks == batch.lastSeq)
    #expect(batch.lostBytes == batch.cursor.offset)
    let next = reader.read(since: batch.cursor)
    #expect(next.lastSeq == 20)
    #expect(!next.isEmpty)
  }

  @Test("A chunk that does not end where the window does is damage")
  func windowOfOtherTimes() {
    // The window is cached now.
    #expect(reader.read().count == 20)
    putEnd(152, of: 20)
    let batch = reader.read()
    #expect(batch.isDamaged)
    #expect(batch.isEmpty)
  }

  @Test("Empty chunks are damage")
  func emptyChunks() {
    putEnd(80, of: 9)
    putEnd(80, of: 10)
    let batch = reader.read()
    #expect(batch.isDamaged)
    // The end of both is in doubt, and so is the chunk that begins there.
    #expect(batch.map(\.seq) == Array(12...20))
    #expect(batch.allSatisfy { $0.data.count == 8 })
  }

  @Test("A chunk without bytes that a limited read begins with is damage, and the next are read")
  func emptyFirst() {
    putEnd(80, of: 9)
    let batch = reader.read(since: RingCursor(seq: 9), maxBytes: 0)
    #expect(batch.isDamaged)
    #expect(batch.map(\.seq) == [12])
    #expect(batch.missedChunks == 2)
  }

  @Test("An end before the first chunk is damage, also where descriptors were reused before it")
  func beforeTheFirst() {
    putEnd(8, of: 8)
    struct Probe: ReadProbe {
      var pieceSize: Int { 32_768 }
      let body: () -> Void
      func reached(_ step: ReadStep) { if step == .copiedDescriptors { body() } }
    }
    var batch = RingBatch()
    // The slots of seqs 5 to 7 are being reused.
    let seq = 7 + reader.layout.slotCount
    reader.read(
      since: RingCursor(seq: 5), maxBytes: nil, into: &batch,
      probe: Probe { self.putAnnouncedSeq(seq) })
    #expect(batch.isDamaged)
    #expect(batch.map(\.seq) == Array(11...20))
    #expect(batch.allSatisfy { Array($0.data) == [UInt8](repeating: UInt8($0.seq), count: 8) })
  }

  // MARK: What the owner left

  @Test(
    "A count of metadata that is too large is that of their room", arguments: [4_097, UInt64.max])
  func metadata(count: UInt64) {
    put(count, at: RingLayout.metadataCountByte)
    #expect(reader.metadata == [UInt8](repeating: 0, count: 4_096))
  }

  @Test("A ring of another boot of the machine is told by its header", arguments: [0, 8])
  func boot(byte: Int) {
    #expect(reader.isOfThisBoot)
    put(1, at: RingLayout.bootByte + byte)
    #expect(!reader.isOfThisBoot)
  }

  // MARK: Anything

  @Test("Whatever the bytes are, reads end and are consistent", arguments: 0..<8)
  func random(part: Int) {
    for seed in 0..<60 {
      let seed = UInt64(part * 1_000 + seed)
      let fault = HostileRegion.run(seed: seed)
      #expect(fault == nil, "seed \(seed)")
    }
  }

  @Test("Reads of what a liar stores at the same time end and are consistent", arguments: 0..<4)
  func liar(seed: Int) {
    #expect(HostileRegion.runWithLiar(seed: UInt64(seed), readsEach: 100) == nil)
  }
}
