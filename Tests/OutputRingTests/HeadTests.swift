@testable import OutputRing
import ReferenceModel
import Testing

/// Rings with a head: their first chunks, which are never evicted.
@Suite struct HeadTests {
  @Test("The first chunks stay, and the newest behind a gap that is counted")
  func headGapTail() {
    let harness = RingHarness(capacity: 8, headCapacity: 6)
    for size in [2, 4] { harness.append(size) }
    for _ in 0..<10 { harness.append(3) }
    let batch = harness.expectExact()
    #expect(batch.map(\.seq) == [1, 2, 11, 12])
    #expect(batch.map(\.offset) == [0, 2, 30, 33])
    #expect(batch.missedChunks == 8)
    #expect(batch.missedBytes == 24)
    #expect(batch.lostBytes == 24)
    #expect(batch.payload.count == 12)
  }

  @Test("The payload of head and rest is one stretch, in order")
  func payload() {
    let harness = RingHarness(capacity: 8, headCapacity: 6)
    for _ in 0..<30 { harness.append(1) }
    let batch = harness.expectExact()
    #expect(Array(batch.payload) == batch.flatMap { Array($0.data) })
    #expect(batch.map(\.seq) == Array(1...6) + Array(23...30))
  }

  @Test("A chunk that does not fit in what is left of the head completes it")
  func chunkThatDoesNotFit() {
    let harness = RingHarness(capacity: 4, headCapacity: 6)
    for size in [4, 3, 1, 1, 1, 1] { harness.append(size) }
    let batch = harness.expectExact()
    #expect(batch.map(\.seq) == [1, 3, 4, 5, 6])
    #expect(batch.missedBytes == 3)
  }

  @Test("A reservation ends where the head does")
  func reservationEndsWithTheHead() {
    let harness = RingHarness(capacity: 8, reservationLimit: 4, headCapacity: 6)
    #expect(harness.reserve(100, commit: 4) == 4)
    #expect(harness.reserve(100, commit: 100) == 2)
    #expect(harness.reserve(100, commit: 4) == 4)
    for _ in 0..<20 { harness.append(1) }
    #expect(harness.expectExact().prefix(2).map(\.seq) == [1, 2])
  }

  @Test("An abandoned reservation leaves the head as it is")
  func abandonedReservation() {
    let harness = RingHarness(capacity: 8, reservationLimit: 4, headCapacity: 6)
    harness.append(2)
    for commit in [nil, 0] { harness.reserve(4, commit: commit) { harness.expectExact() } }
    harness.append(4)
    for _ in 0..<9 { harness.append(2) }
    #expect(harness.expectExact().prefix(2).map(\.offset) == [0, 2])
  }

  @Test("The head holds no more chunks than its limit")
  func headChunkLimit() {
    let harness = RingHarness(capacity: 4, headCapacity: 2_000)
    #expect(harness.layout.headChunkLimit == 1_024)
    for _ in 0..<1_100 { harness.append(1) }
    #expect(harness.expectExact().count == 1_028)
  }

  /// Every short sequence of appends, and every position to read from, with every limit.
  @Test("Reads with a head agree with the model", arguments: [1, 3, 6], [1, 4])
  func sequences(headCapacity: Int, capacity: Int) {
    func extend(_ sizes: [Int]) {
      let harness = RingHarness(
        capacity: capacity, chunkLimit: 3, reservationLimit: 2, headCapacity: headCapacity)
      for size in sizes { harness.append(size) }
      let total = harness.model.totalBytes
      for seq in 0...harness.model.lastSeq {
        for start in [ReadStart(seq: seq), ReadStart(seq: seq, offset: harness.model.ends[seq])] {
          for maxBytes in [nil, 1, headCapacity, headCapacity + 2, total] {
            harness.expectExact(since: start, maxBytes: maxBytes)
          }
        }
      }
      if sizes.count < 4 { for size in [1, 2, 4, 9] { extend(sizes + [size]) } }
    }
    extend([])
  }

  @Test("A cursor at the head's end keeps its account, however old")
  func cursorAtTheEndOfTheHead() {
    let harness = RingHarness(capacity: 4, reservationLimit: 2, headCapacity: 3)
    for _ in 0..<100 { harness.append(1) }
    let batch = harness.expectExact(since: ReadStart(seq: 3))
    #expect(batch.missedBytes == 93)
    #expect(batch.missedChunks == 93)
  }

  @Test("A read from within the head misses nothing but what lies behind it")
  func readFromWithinTheHead() {
    let harness = RingHarness(capacity: 4, headCapacity: 6)
    for _ in 0..<20 { harness.append(2) }
    let batch = harness.expectExact(since: ReadStart(seq: 1))
    #expect(batch.map(\.seq) == [2, 3, 19, 20])
    #expect(batch.missedChunks == 15)
  }

  @Test("A batch that held a head reads on without one in the same memory")
  func reusedBatch() {
    let harness = RingHarness(capacity: 8, headCapacity: 6)
    for _ in 0..<9 { harness.append(2) }
    var batch = RingBatch(reservingBytes: 64, chunks: 64)
    #expect(harness.compare(since: ReadStart(seq: 0), into: &batch) == nil)
    let cursor = ReadStart(seq: batch.cursor.seq, offset: batch.cursor.offset)
    harness.append(3)
    #expect(harness.compare(since: cursor, into: &batch) == nil)
    #expect(harness.compare(since: ReadStart(seq: 2), into: &batch) == nil)
  }

  @Test("A file keeps the head, and another reader finds it")
  func inAFile() {
    let harness = RingHarness(capacity: 8, headCapacity: 6, isAttached: true)
    for _ in 0..<30 { harness.append(1) }
    #expect(harness.expectExact().map(\.seq) == Array(1...6) + Array(23...30))
    #expect(harness.reader.layout.headCapacity == 6)
  }

  @Test("The descriptors and the payload of the head lie behind the ring, without overlap")
  func layout() {
    for headCapacity in [1, 100, 1_024, 5_000, 1 << 20] {
      let layout = RingLayout(capacity: 1_000, headCapacity: headCapacity)
      #expect(layout.headStart >= layout.payloadStart + layout.payloadSize)
      #expect(layout.headStart % 128 == 0)
      #expect(layout.headPayloadStart == layout.headStart + 8 * layout.headChunkLimit)
      #expect(layout.regionSize == layout.headPayloadStart + headCapacity)
      #expect(layout.headChunkLimit <= headCapacity)
      #expect(layout.headChunkLimit >= min(headCapacity, 1_024))
    }
  }
}
