@testable import OutputRing
import ReferenceModel
import Testing

/// Reads that are lapped, or whose descriptors are reused, at one attempt or at all of them.
@Suite struct GivingUpTests {
  @Test("A read whose payload is lapped at every attempt reports all of it as missed")
  func payloadLappedAtEveryAttempt() {
    let harness = RingHarness(capacity: 8, chunkLimit: 2, reservationLimit: 1, pieceSize: 4)
    harness.append(8)
    var attempts = 0
    let probe = Interruption { _, step in
      if step == .copiedDescriptors { attempts += 1 }
      if step == .copiedPayload { harness.append(8) }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(attempts == 16)
    #expect(batch.isEmpty)
    #expect(batch.missedChunks > 0)
    #expect(batch.missedBytes == batch.cursor.offset)
    #expect(batch.lostBytes == batch.cursor.offset)
    // As of the instant at which it looked last, there was nothing else.
    #expect(!batch.hasMore)
  }

  @Test(
    "A read whose descriptors are reused at every attempt reports nothing as missed",
    arguments: [ReadStep.observed, .searched])
  func descriptorsReusedAtEveryAttempt(at place: ReadStep) {
    let harness = RingHarness(capacity: 40, chunkLimit: 2, reservationLimit: 8)
    for size in [20, 30, 20] { harness.append(size) }
    let known = harness.expectExact()
    #expect(known.lostBytes == 50)
    var laps = 0
    let probe = Interruption { _, step in
      if step == place {
        laps += 1
        for _ in 0..<8 { harness.append(1) }
      }
    }
    // Memory that was used for some other ring's reads, as callers may.
    var batch = RingHarness(capacity: 4).expectExact()
    batch.summary.lostBytes = 777
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(laps >= 16)
    #expect(batch.isEmpty)
    #expect(batch.missedChunks == 0)
    #expect(batch.missedBytes == 0)
    #expect(batch.hasMore)
    #expect(batch.lostBytes == 50)
    #expect(batch.cursor == .start)

    // A cursor stays what it was, and a seq without an offset does not get a wrong one.
    #expect(harness.read(since: ReadStart(seq: 2, offset: 50), into: &batch, probe) == nil)
    #expect(batch.cursor == RingCursor(seq: 2, offset: 50))
    #expect(harness.read(since: ReadStart(seq: 2), into: &batch, probe) == nil)
    #expect(batch.cursor.seq == 2)
    #expect(batch.cursor.offset == nil)
    let next = harness.expectExact(since: ReadStart(seq: 2, offset: batch.cursor.offset))
    #expect(next.missedBytes == nil)
  }

  @Test("A read that gives up still says that its cursor is ahead of the newest chunk")
  func givingUpAhead() {
    let harness = RingHarness(capacity: 40, chunkLimit: 2, reservationLimit: 8)
    for size in [20, 30, 20] { harness.append(size) }
    let laps = Interruption { _, step in
      if step == .observed { for _ in 0..<8 { harness.append(1) } }
    }
    var batch = RingBatch()
    harness.reader.read(
      since: RingCursor(seq: 1_000_000, offset: 5), maxBytes: nil, into: &batch, probe: laps)
    #expect(batch.isCursorAhead)
    #expect(batch.hasMore)
    #expect(batch.isEmpty)
    #expect(batch.cursor.seq < 1_000_000)
    #expect(batch.cursor.offset == nil)
  }

  @Test("The loss that one reader reports from the cached window never becomes less")
  func lossFromTheCache() {
    let harness = RingHarness(capacity: 40, chunkLimit: 2, reservationLimit: 8)
    for size in [20, 30, 20] { harness.append(size) }
    harness.expectExact()
    for _ in 0..<3 { harness.append(20) }
    var reported = 0
    var lostAfterwards = 0
    let first = Interruption { _, step in
      // The first reader has stored the window, and has not returned.
      guard step == .located, reported == 0 else { return }
      reported = harness.reader.read(since: RingCursor(seq: .max)).lostBytes
      let laps = Interruption { _, step in
        if step == .observed { for _ in 0..<8 { harness.append(1) } }
      }
      var second = RingBatch()
      _ = harness.read(since: ReadStart(seq: 0), into: &second, laps)
      lostAfterwards = second.lostBytes
    }
    var batch = RingBatch()
    _ = harness.read(since: ReadStart(seq: 0), into: &batch, first)
    #expect(reported > 50)
    #expect(lostAfterwards >= reported)
  }

  @Test("A reader that is lapped twice copies the rest newest first, and keeps it")
  func copiesTheRestNewestFirst() {
    let harness = RingHarness(capacity: 24, reservationLimit: 1, pieceSize: 2)
    for _ in 0..<24 { harness.append(1) }
    var pieces = 0
    let probe = Interruption { _, step in
      guard step == .copiedPayload else { return }
      pieces += 1
      if pieces <= 2 { for _ in 0..<4 { harness.append(1) } }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    // 8 bytes further on, with 1 of slack, 7 are gone; no more.
    #expect(batch.map(\.seq) == Array(8...24))
    #expect(batch.missedChunks == 7)
    #expect(batch.missedBytes == 7)
    #expect(batch.lostBytes == 7)
    #expect(!batch.hasMore)
  }

  @Test("A copy newest first that is lapped keeps what it has copied")
  func lappedWhileCopyingNewestFirst() {
    let harness = RingHarness(capacity: 24, reservationLimit: 1, pieceSize: 2)
    for _ in 0..<24 { harness.append(1) }
    var pieces = 0
    let probe = Interruption { _, step in
      guard step == .copiedPayload else { return }
      pieces += 1
      if pieces <= 7 { for _ in 0..<3 { harness.append(1) } }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(batch.map(\.seq) == Array(18...24))
    #expect(batch.missedChunks == 17)
    #expect(batch.missedBytes == 17)
  }

  @Test("[fast-writer] A read that starts over keeps the newest of what is due")
  func retriesForTheNewest() {
    let harness = RingHarness(capacity: 24, reservationLimit: 1, pieceSize: 2)
    for _ in 0..<24 { harness.append(1) }
    var attempts = 0
    let probe = Interruption { _, step in
      if step == .copiedDescriptors { attempts += 1 }
      if step == .copiedPayload {
        // At first all is lapped; then so much that only what was copied first is intact.
        for _ in 0..<(attempts == 1 ? 49 : 20) { harness.append(1) }
      }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(attempts == 2)
    #expect(batch.map(\.seq) == [72, 73])
    #expect(batch.missedChunks == 71)
    #expect(!batch.hasMore)
  }

  @Test("A read that starts over copies the beginning of a large chunk first")
  func retriesForALargeChunk() {
    let harness = RingHarness(capacity: 24, reservationLimit: 1, pieceSize: 2)
    for _ in 0..<2 { harness.append(12) }
    var attempts = 0
    let probe = Interruption { _, step in
      if step == .copiedDescriptors { attempts += 1 }
      if step == .copiedPayload {
        if attempts == 1 {
          for _ in 0..<3 { harness.append(12) }
        } else {
          // Faster than the copy, which is far enough ahead.
          for _ in 0..<3 { harness.append(1) }
        }
      }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(attempts == 2)
    #expect(batch.map(\.seq) == [5])
    #expect(batch.missedChunks == 4)
  }

  @Test("A copy newest first keeps what it has confirmed, however far the producer gets")
  func keepsWhatWasConfirmed() {
    let harness = RingHarness(capacity: 24, reservationLimit: 1, pieceSize: 2)
    for _ in 0..<24 { harness.append(1) }
    var pieces = 0
    let probe = Interruption { _, step in
      guard step == .copiedPayload else { return }
      pieces += 1
      for _ in 0..<(pieces < 5 ? 2 : 100) { harness.append(1) }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(batch.map(\.seq) == [21, 22, 23, 24])
    #expect(batch.missedChunks == 20)
  }

  @Test("A read that starts over returns all that is due if it is not lapped again")
  func retriesForAll() {
    let harness = RingHarness(capacity: 16, reservationLimit: 1, pieceSize: 100)
    for _ in 0..<16 { harness.append(1) }
    var disturbed = false
    let probe = Interruption { _, step in
      guard step == .copiedPayload, !disturbed else { return }
      disturbed = true
      for _ in 0..<17 { harness.append(1) }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    #expect(batch.map(\.seq) == Array(18...33))
    #expect(batch.missedChunks == 17)
    #expect(!batch.hasMore)
  }

  @Test("A second attempt respects maxBytes")
  func retriesWithinMaxBytes() {
    let harness = RingHarness(capacity: 16, reservationLimit: 1, pieceSize: 100)
    harness.append(16)
    var disturbed = false
    let probe = Interruption { _, step in
      guard step == .copiedPayload, !disturbed else { return }
      disturbed = true
      for _ in 0..<16 { harness.append(1) }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), maxBytes: 3, into: &batch, probe) == nil)
    #expect(batch.count == 3)
  }
}
