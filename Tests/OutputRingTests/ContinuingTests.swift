import OutputRing
import ReferenceModel
import Testing

/// Rings that continue another one.
struct ContinuingTests {
  private static let layout = RingLayout(capacity: 64, chunkLimit: 8, reservationLimit: 16)

  /// Appends chunks of these sizes; each byte is that of its offset.
  private func append(_ sizes: some Sequence<Int>, to writer: inout RingWriter) {
    for size in sizes {
      let start = writer.endOffset
      writer.append((start..<start + size).map { UInt8(truncatingIfNeeded: $0) })
    }
  }

  private func continued(at cursor: RingCursor) throws -> RingWriter {
    try RingWriter(allocating: Self.layout, continuing: cursor)
  }

  @Test("A ring that continues another one has lost all of that, and has nothing to read")
  func empty() throws {
    let writer = try continued(at: RingCursor(seq: 5, offset: 100))
    let reader = writer.reader
    #expect(writer.lastSeq == 5)
    #expect(writer.endOffset == 100)
    #expect(reader.lastSeq == 5)
    #expect(reader.lostBytes == 100)
    #expect(reader.totalBytes == 100)
    for seq in 0...6 {
      for offset in [nil, seq * 20] {
        let batch = reader.read(since: RingCursor(seq: seq, offset: offset))
        #expect(batch.isEmpty)
        #expect(batch.lostBytes == 100)
        #expect(batch.cursor == RingCursor(seq: 5, offset: 100))
        #expect(batch.missedChunks == max(0, 5 - seq))
        #expect(batch.isCursorAhead == (seq > 5))
        #expect(!batch.hasMore)
        // A seq alone does not say where its chunk ended, unless it is the last or none.
        let isKnown = offset != nil || seq == 0 || seq >= 5
        #expect(batch.missedBytes == (isKnown ? max(0, 100 - min(seq, 5) * 20) : nil))
        #expect(reader.lag(since: RingCursor(seq: seq, offset: offset)).chunks == max(0, 5 - seq))
      }
    }
    #expect(reader.peek() == nil)
  }

  @Test("A ring that begins at the beginning is one like any other")
  func atTheBeginning() throws {
    var writer = try continued(at: .start)
    append([3, 4], to: &writer)
    let batch = writer.reader.read()
    #expect(batch.map(\.seq) == [1, 2])
    #expect(batch.missedChunks == 0)
    #expect(batch.missedBytes == 0)
    #expect(batch.lostBytes == 0)
  }

  @Test(
    "Once the origin is evicted, all reads are those of the ring that was continued",
    arguments: [0, 1, 7, 8, 9, 40])
  func sameReads(_ count: Int) throws {
    var random = SplitMix64(seed: UInt64(count))
    for _ in 0..<50 {
      var original = RingWriter(Self.layout)
      append((0..<count).map { _ in 1 + random.below(20) }, to: &original)
      let origin = original.reader.read().cursor
      var copy = try continued(at: origin)
      let (reader, other) = (original.reader, copy.reader)
      for _ in 0..<30 {
        let size = 1 + random.below(random.below(8) == 0 ? 200 : 20)
        append([size], to: &original)
        append([size], to: &copy)
        let expected = reader.read()
        let isSame = expected.first.map { $0.seq > origin.seq } ?? true
        for seq in max(0, reader.lastSeq - 12)...reader.lastSeq + 1 {
          let cursor = RingCursor(seq: seq)
          let (left, right) = (reader.read(since: cursor), other.read(since: cursor))
          #expect(right.cursor == left.cursor)
          #expect(right.isCursorAhead == left.isCursorAhead)
          let own: [RingChunk] = left.filter { $0.seq > origin.seq }
          #expect(right.map(\.seq) == own.map(\.seq))
          #expect(right.map(\.offset) == own.map(\.offset))
          #expect(right.map { Array($0.data) } == own.map { Array($0.data) })
          #expect(right.missedChunks + right.count == left.missedChunks + left.count)
          guard isSame else { continue }
          #expect(right.lostBytes == left.lostBytes)
          // The copy does not know where the original's chunks ended.
          #expect(right.missedBytes == (seq == 0 || seq >= origin.seq ? left.missedBytes : nil))
        }
        #expect(other.peek() == reader.peek(since: expected.isEmpty ? RingCursor.start : origin))
      }
    }
  }

  @Test("Groups and reservations continue as well")
  func otherAppends() throws {
    var writer = try continued(at: RingCursor(seq: 1_000_000, offset: 1 << 40))
    writer.append(contentsOf: [[1, 2], [3]])
    unsafe writer.append(reserving: 4) { first, _ in
      unsafe first.copyBytes(from: [4, 5])
      return 2
    }
    let batch = writer.reader.read(since: RingCursor(seq: 1_000_000))
    #expect(batch.map(\.seq) == [1_000_001, 1_000_002, 1_000_003])
    #expect(batch.map { Array($0.data) } == [[1, 2], [3], [4, 5]])
    #expect(batch.map(\.offset) == [1 << 40, (1 << 40) + 2, (1 << 40) + 3])
    #expect(batch.missedBytes == 0)
    #expect(batch.lostBytes == 1 << 40)
  }

  @Test("Only the end of a chunk can be continued")
  func preconditions() async {
    for (seq, offset) in [(1, -1), (5, 4), (0, 7), (1, 1 << 61)] {
      await #expect(processExitsWith: .failure) { [seq = seq as Int, offset = offset as Int] in
        _ = try RingWriter(
          allocating: RingLayout(capacity: 64), continuing: RingCursor(seq: seq, offset: offset))
      }
    }
    await #expect(processExitsWith: .failure) {
      _ = try RingWriter(
        allocating: RingLayout(capacity: 64, headCapacity: 64),
        continuing: RingCursor(seq: 1, offset: 1))
    }
  }
}
