@testable import OutputRing
import ReferenceModel
import Testing

/// Each state of a ring and each way from one to another, compared with the model.
@Suite struct TransitionTests {
  @Test("An empty ring has nothing to read")
  func empty() {
    let harness = RingHarness(capacity: 8)
    let batch = harness.expectExact()
    #expect(batch.isEmpty)
    #expect(batch.cursor == .start)
    #expect(batch.lostBytes == 0)
    #expect(!batch.hasMore)
    #expect(batch.payload.isEmpty)
    harness.append(0)
    #expect(harness.expectExact().isEmpty)
    #expect(harness.writerState == (0, 0))
  }

  @Test("A ring that is exactly full has lost nothing")
  func exactlyFull() {
    let harness = RingHarness(capacity: 8)
    harness.append(5)
    harness.append(3)
    #expect(harness.expectExact().count == 2)
    #expect(harness.reader.lostBytes == 0)
    harness.append(1)
    #expect(harness.expectExact().map(\.seq) == [2, 3])
    #expect(harness.reader.lostBytes == 5)
  }

  @Test("A chunk of exactly the capacity is retained as a whole")
  func oneChunkOfExactlyTheCapacity() {
    let harness = RingHarness(capacity: 8)
    harness.append(8)
    #expect(harness.expectExact().map(\.offset) == [0])
    harness.append(8)
    #expect(harness.expectExact().map(\.offset) == [8])
  }

  @Test("A chunk that wraps is read in one piece")
  func wrap() {
    // 8 + 4 bytes of payload storage: the third chunk lies at 10, 11, 0, 1, 2.
    let harness = RingHarness(capacity: 8, reservationLimit: 4)
    for size in [5, 5, 5] { harness.append(size) }
    let batch = harness.expectExact()
    #expect(batch.map(\.offset) == [10])
    #expect(Array(batch.payload) == Stamp.bytes(5, at: 10))
  }

  @Test("A chunk may end exactly at the end of the storage")
  func wrapExactlyAtTheEnd() {
    let harness = RingHarness(capacity: 8, reservationLimit: 4)
    for size in [6, 6] { harness.append(size) }
    #expect(harness.expectExact().map(\.offset) == [6])
    harness.append(2)
    #expect(harness.expectExact().map(\.offset) == [6, 12])
  }

  @Test("A reservation may end exactly at the end of the storage")
  func wrapExactlyAtTheEndByReservation() {
    let harness = RingHarness(capacity: 8, reservationLimit: 4)
    for size in [4, 4] { harness.append(size) }
    #expect(harness.reserve(4, commit: 4) == 4)
    harness.expectExact()
    #expect(harness.reserve(4, commit: 3) == 4)
    harness.expectExact()
    #expect(harness.reserve(4, commit: 4) == 4)
    harness.expectExact()
  }

  @Test("A reservation is one piece, or two where it wraps", arguments: 1...24, [false, true])
  func reservationsArePiecesOfTheStorage(appended: Int, byReservation: Bool) {
    for wanted in 1...5 {
      var writer = RingWriter(RingLayout(capacity: 8, reservationLimit: 4))
      var offset = 0
      while offset < appended {
        let bytes = Stamp.bytes(min(4, appended - offset), at: offset)
        if byReservation {
          unsafe writer.append(reserving: bytes.count) { _, _ in bytes.count }
        } else {
          unsafe writer.append(bytes.span.bytes)
        }
        offset += bytes.count
      }
      unsafe writer.append(reserving: wanted) { first, second in
        let toTheWrap = 12 - appended % 12
        #expect(first.count == min(wanted, 4, toTheWrap))
        #expect(second.count == min(wanted, 4) - first.count)
        return 0
      }
    }
  }

  @Test("A reservation across the wrap is read in one piece")
  func reservationAcrossTheWrap() {
    let harness = RingHarness(capacity: 8, reservationLimit: 4)
    for size in [5, 5] { harness.append(size) }
    #expect(harness.reserve(100, commit: 4) == 4)
    #expect(harness.expectExact().map(\.offset) == [10])
  }

  /// Every distance from the wrap, with every size up to far beyond the storage.
  @Test("A chunk larger than the capacity keeps its last bytes", arguments: 1...10)
  func oversize(capacity: Int) {
    for before in 0...(capacity + 6) {
      for size in (capacity + 1)...(4 * capacity + 12) {
        let harness = RingHarness(capacity: capacity, reservationLimit: 3)
        for _ in 0..<before { harness.append(1) }
        harness.append(size)
        let batch = harness.expectExact()
        #expect(batch.count == 1)
        #expect(batch[0].data.count == capacity)
        #expect(batch.lostBytes == before + size - capacity)
        harness.append(1)
        harness.expectExact()
      }
    }
  }

  @Test("No more chunks are retained than the limit allows")
  func chunkLimit() {
    let harness = RingHarness(capacity: 100, chunkLimit: 3)
    for _ in 0..<3 { harness.append(2) }
    #expect(harness.expectExact().map(\.seq) == [1, 2, 3])
    harness.append(2)
    #expect(harness.expectExact().map(\.seq) == [2, 3, 4])
    #expect(harness.reader.lostBytes == 2)
    for _ in 0..<100 { harness.append(1) }
    #expect(harness.expectExact().map(\.seq) == [102, 103, 104])
  }

  /// Readers that come back at all distances, to a ring whose descriptors go round.
  @Test("The missed bytes of a seq are known for as long as its descriptor is kept")
  func seqsAreKnownForAsLongAsTheirDescriptors() {
    let harness = RingHarness(capacity: 4, reservationLimit: 2)
    for _ in 0..<20 {
      harness.append(1)
      for since in 0...harness.model.lastSeq { harness.expectExact(since: ReadStart(seq: since)) }
    }
    // An open reservation takes the place of the oldest descriptor, used or not.
    let slots = harness.layout.slotCount
    let oldest = harness.model.lastSeq - slots + 1
    #expect(harness.expectExact(since: ReadStart(seq: oldest)).missedBytes != nil)
    harness.reserve(1, commit: nil)
    #expect(harness.expectExact(since: ReadStart(seq: oldest)).missedBytes == nil)
    #expect(harness.expectExact(since: ReadStart(seq: oldest + 1)).missedBytes != nil)
  }

  @Test("An append after an abandoned reservation is intact", arguments: [nil, 0, 1, 3])
  func abandonedReservationThenAppend(commit: Int?) {
    let harness = RingHarness(capacity: 8, reservationLimit: 4)
    for size in [5, 3] { harness.append(size) }
    harness.reserve(4, commit: commit)
    harness.expectExact()
    harness.append(2)
    harness.expectExact()
    harness.append(7)
    harness.expectExact()
    harness.append(30)
    harness.expectExact()
  }

  @Test(
    "A reservation leaves retained bytes alone, however much is written into it",
    arguments: 1...12)
  func openReservationLeavesRetainedBytesAlone(capacity: Int) {
    for reservationLimit in 1...5 {
      for appended in 0...(2 * capacity) {
        let harness = RingHarness(capacity: capacity, reservationLimit: reservationLimit)
        for _ in 0..<appended { harness.append(1) }
        harness.reserve(.max, commit: 0) { harness.expectExact() }
        harness.reserve(.max, commit: 1) { harness.expectExact() }
        harness.reserve(.max, commit: nil) { harness.expectExact() }
        harness.expectExact()
      }
    }
  }

  @Test("A reader that fell behind learns exactly what it missed")
  func lappedReader() {
    let harness = RingHarness(capacity: 8)
    for size in [3, 3] { harness.append(size) }
    let cursor = harness.expectExact().cursor
    for _ in 0..<10 { harness.append(3) }
    let batch = harness.expectExact(
      since: ReadStart(seq: cursor.seq, offset: cursor.offset))
    #expect(batch.missedChunks == 8)
    #expect(batch.missedBytes == 24)
  }

  /// An append of more than the slack is in flight: it has announced its end, and is overwriting
  /// what is still retained as far as published chunks go. Readers count what it overwrites as
  /// evicted.
  ///
  /// Nothing can run in the middle of an append, so this writes the announcement alone.
  @Test("The bytes that a large append in flight overwrites count as evicted", arguments: 5...30)
  func appendInFlight(size: Int) {
    let layout = RingLayout(capacity: 12, reservationLimit: 4)
    var writer = RingWriter(layout)
    let reader = writer.reader
    for seq in 1...6 {
      let bytes = Stamp.bytes(3, at: 3 * (seq - 1))
      unsafe writer.append(bytes.span.bytes)
    }
    _ = reader.read()  // caches the window, which must not serve while the append is in flight
    writer.counters.announce(seq: 7, offset: 18 + size)
    let overwritten = 18 + size - layout.payloadSize
    let firstIntact = (1...7).first { 3 * ($0 - 1) >= max(6, overwritten) } ?? 7
    let batch = reader.read()
    #expect(batch.map(\.seq) == Array(firstIntact..<7))
    #expect(batch.missedChunks == firstIntact - 1)
    #expect(batch.missedBytes == 3 * (firstIntact - 1))
    #expect(batch.lostBytes == 3 * (firstIntact - 1))
    #expect(batch.cursor == RingCursor(seq: 6, offset: 18))
    #expect(!batch.hasMore)
    #expect(reader.lostBytes == batch.lostBytes)
    for (chunk, seq) in zip(batch, firstIntact...) {
      #expect(Array(chunk.data) == Stamp.bytes(3, at: 3 * (seq - 1)))
    }
    // By seq as well, of a chunk that was evicted before: its end is known from its descriptor.
    let bySeq = reader.read(since: 1)
    #expect(bySeq.missedBytes == max(0, 3 * (firstIntact - 1) - 3))
    // Then it is published, and what readers reported stays true.
    let bytes = Stamp.bytes(size, at: 18)
    unsafe writer.append(bytes.span.bytes)
    let after = reader.read()
    #expect(after.lostBytes >= batch.lostBytes)
    #expect(after.last?.seq == 7)
  }

  @Test("An append in flight evicts a chunk larger than the capacity as a whole")
  func appendInFlightOverOversizeChunk() {
    let layout = RingLayout(capacity: 12, reservationLimit: 4)
    var writer = RingWriter(layout)
    let reader = writer.reader
    let bytes = Stamp.bytes(40, at: 0)
    unsafe writer.append(bytes.span.bytes)
    #expect(reader.read().map(\.offset) == [28])
    writer.counters.announce(seq: 2, offset: 44)
    #expect(reader.read().map(\.offset) == [28])
    writer.counters.announce(seq: 2, offset: 45)
    let batch = reader.read()
    #expect(batch.isEmpty)
    #expect(batch.missedChunks == 1)
    #expect(batch.missedBytes == 40)
    #expect(batch.lostBytes == 40)
    #expect(batch.cursor == RingCursor(seq: 1, offset: 40))
  }

  /// Another reader caches a later window while this one is between two steps. What this one reads
  /// is still all that was retained when it looked.
  @Test("A cached window of a later seq is not used")
  func cachedWindowsOfLaterSeqs() {
    let harness = RingHarness(capacity: 8, reservationLimit: 64)
    for _ in 0..<5 { harness.append(2) }
    var isDone = false
    let probe = Interruption { _, step in
      guard step == .observed, !isDone else { return }
      isDone = true
      for _ in 0..<4 { harness.append(2) }
      harness.expectExact()
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(batch.map(\.seq) == [2, 3, 4, 5])
    #expect(batch.lostBytes == 2)
  }

  @Test("A status comes with the chunks that were appended before it")
  func statusComesWithChunks() {
    let harness = RingHarness(capacity: 8)
    harness.append(1)
    harness.status = 7
    #expect(harness.reader.read().status == 7)
    #expect(harness.reader.status == 7)
    // Set right after a chunk that the observation just missed: both, or neither.
    var changed = false
    let between = Interruption { _, step in
      guard step == .observing, !changed else { return }
      changed = true
      harness.append(1)
      harness.status = 9
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, between) == nil)
    #expect(batch.status == 9)
    #expect(batch.map(\.seq) == [1, 2])
    // And if that goes on and on, the read still ends, with all chunks before the status that it
    // has.
    var changes: UInt64 = 9
    let relentless = Interruption { _, step in
      guard step == .observing else { return }
      changes += 1
      harness.append(1)
      harness.status = changes
    }
    harness.reader.read(since: .start, maxBytes: nil, into: &batch, probe: relentless)
    #expect(relentless.reached.filter { $0 == .observing }.count == 64)
    #expect(batch.cursor.seq >= 2 + Int(batch.status) - 9)
    harness.status = 7
    // Set between the observation and the search: it belongs to the next read.
    let probe = Interruption { _, step in if step == .observed { harness.status = 8 } }
    var other = RingBatch()
    harness.append(1)
    #expect(harness.read(since: ReadStart(seq: 0), into: &other, probe) == nil)
    #expect(other.status == 7)
  }
}
