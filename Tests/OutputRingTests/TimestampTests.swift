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

/// Rings whose chunks have timestamps.
@Suite struct TimestampTests {
  @Test("A chunk has the timestamp that stood when it was appended")
  func appends() {
    var writer = RingWriter(RingLayout(capacity: 100, timestamps: true))
    writer.timestamp = 5
    writer.append([1])
    writer.timestamp = 1 << 60
    writer.append([2, 3])
    writer.append(Array(repeating: 4, count: 50))
    #expect(writer.reader.read().map(\.timestamp) == [5, 1 << 60, 1 << 60])
  }

  @Test("Without timestamps, a chunk has none")
  func none() {
    var writer = RingWriter(RingLayout(capacity: 100, headCapacity: 1))
    writer.timestamp = 5
    for byte in 1...3 as ClosedRange<UInt8> { writer.append([byte]) }
    #expect(writer.reader.read().map(\.timestamp) == [nil, nil, nil])
  }

  @Test("A timestamp that is less than the one before becomes that one, and below 0 becomes 0")
  func neverBack() {
    var writer = RingWriter(RingLayout(capacity: 100, timestamps: true))
    for timestamp: Int64 in [.min, -1, 7, 6, -7, .min, 7, 8, .max, 9] {
      writer.timestamp = timestamp
      writer.append([1])
    }
    #expect(writer.reader.read().map(\.timestamp) == [0, 0, 7, 7, 7, 7, 7, 8, .max, .max])
  }

  @Test("A reservation's chunk has the timestamp that stood when it was opened")
  func reservations() {
    var writer = RingWriter(RingLayout(capacity: 100, timestamps: true))
    for timestamp: Int64 in [3, 4] {
      writer.timestamp = timestamp
      writer.append(reserving: 10) { span in span.append(1) }
    }
    #expect(writer.reader.read().map(\.timestamp) == [3, 4])
  }

  @Test("Timestamps follow their chunks around the ring", arguments: [0, 6])
  func wraps(headCapacity: Int) {
    let harness = RingHarness(
      capacity: 8, chunkLimit: 3, headCapacity: headCapacity, timestamps: true)
    for _ in 0..<40 {
      harness.append(1)
      harness.expectExact()
      harness.expectExact(since: ReadStart(seq: harness.model.lastSeq - 1))
    }
  }

  @Test("Timestamps of a head are not evicted")
  func head() {
    let harness = RingHarness(capacity: 8, headCapacity: 6, timestamps: true)
    for _ in 0..<30 { harness.append(1) }
    let batch = harness.expectExact()
    #expect(batch.prefix(6).map(\.timestamp) == (1...6).map { Stamp.timestamp($0) })
    // Alone, and by a read that begins within it.
    #expect(harness.compare(since: ReadStart(seq: 0), maxBytes: 4) == nil)
    #expect(harness.compare(since: ReadStart(seq: 3)) == nil)
    #expect(harness.compare(since: ReadStart(seq: 3), maxBytes: 2) == nil)
  }

  @Test("A file keeps timestamps, and another reader finds them", arguments: [0, 6])
  func inAFile(headCapacity: Int) {
    let harness = RingHarness(
      capacity: 8, headCapacity: headCapacity, timestamps: true, isAttached: true)
    for _ in 0..<30 { harness.append(1) }
    harness.expectExact()
    #expect(harness.reader.layout.hasTimestamps)
  }

  @Test("A batch with room for timestamps is read into without another allocation")
  func reuse() {
    var writer = RingWriter(RingLayout(capacity: 1_000, timestamps: true))
    for _ in 0..<100 { writer.append([1, 2, 3]) }
    var batch = RingBatch(reservingBytes: 300, chunks: 100, timestamps: true)
    let buffer = ObjectIdentifier(batch.storage!.buffer)
    writer.reader.read(into: &batch)
    #expect(batch.count == 100)
    #expect(ObjectIdentifier(batch.storage!.buffer) == buffer)
  }

  @Test("The newest chunks keep their timestamps when a read drops older ones")
  func newest() {
    let harness = RingHarness(capacity: 64, headCapacity: 4, timestamps: true)
    for _ in 0..<30 { harness.append(2) }
    for bytes in [1, 2, 7, 40, 100] {
      for chunk in harness.reader.readNewest(bytes) {
        #expect(chunk.timestamp == Stamp.timestamp(chunk.seq))
      }
    }
  }

  @Test(
    "A timestamp that no producer stores is damage, and the chunk gets that of the one before",
    arguments: [(1, 1 << 63), (2, .max), (3, 19), (5, 0)])
  func damage(seq: Int, word: UInt64) throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/a.ring"
    let layout = RingLayout(capacity: 100, headCapacity: 2, timestamps: true)
    var writer = try RingWriter(recordingTo: path, layout)
    for seq in 1...6 {
      writer.timestamp = Int64(10 * seq)
      writer.append([1])
    }
    let reader = try RingReader(attachingTo: path)
    #expect(!reader.read().isDamaged)
    let file = unsafe open(path, O_RDWR)
    defer { close(file) }
    let place = reader.layout
    let byte = seq < 3 ? place.headTimestampStart + (seq - 1) * 8 : place.timestampStart + seq * 8
    let count = unsafe withUnsafeBytes(of: word) {
      unsafe pwrite(file, $0.baseAddress, 8, off_t(byte))
    }
    #expect(count == 8)
    let batch = reader.read()
    #expect(batch.isDamaged)
    #expect(
      batch.map(\.timestamp) == (1...6).map { Int64(10 * ($0 == seq ? seq - 1 : $0)) })
    #expect(batch.missedChunks == 0)
    #expect(reader.read(since: RingCursor(seq: seq)).isDamaged == false)
    #expect(reader.read(maxBytes: 2).isDamaged == (seq < 3))
  }

  @Test("The timestamps lie behind the descriptors, without overlap", arguments: [0, 100, 5_000])
  func layout(headCapacity: Int) {
    let layout = RingLayout(capacity: 1_000, headCapacity: headCapacity, timestamps: true)
    let without = RingLayout(capacity: 1_000, headCapacity: headCapacity)
    #expect(layout.timestampStart == layout.descriptorStart + 8 * layout.slotCount)
    #expect(layout.payloadStart == layout.timestampStart + 8 * layout.slotCount)
    #expect(without.payloadStart == without.timestampStart)
    guard headCapacity > 0 else { return }
    #expect(layout.headTimestampStart == layout.headStart + 8 * layout.headChunkLimit)
    #expect(layout.headPayloadStart == layout.headTimestampStart + 8 * layout.headChunkLimit)
    #expect(without.headPayloadStart == without.headTimestampStart)
  }
}

extension RingHarness {
  fileprivate func compare(since start: ReadStart, maxBytes: Int? = nil) -> String? {
    var batch = RingBatch()
    return compare(since: start, maxBytes: maxBytes, into: &batch)
  }
}
