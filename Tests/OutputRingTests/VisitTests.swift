import OutputRing
import ReferenceModel
import Testing

/// What a reader learns without copying payload: its lag, the next chunk, and the bytes in place.
@Suite struct VisitTests {
  static let shapes = [
    RingShape(capacity: 20, chunkLimit: 20, reservationLimit: 4),
    RingShape(capacity: 20, chunkLimit: 3, reservationLimit: 20),
    RingShape(capacity: 7, chunkLimit: 7, reservationLimit: 1),
    RingShape(capacity: 20, chunkLimit: 20, reservationLimit: 4, headCapacity: 11),
    RingShape(capacity: 5, chunkLimit: 2, reservationLimit: 2, headCapacity: 9),
  ]

  /// Appends chunks of many sizes, and calls a closure after each with cursors of all kinds.
  private func atManyCursors(
    _ shape: RingShape, _ body: (RingReader, RingCursor, SessionModel) -> Void
  ) {
    let harness = shape.harness()
    body(harness.reader, .start, harness.model)
    for size in [1, 3, 2, 5, 1, 1, 8, 4, 30, 2, 2, 7, 1, 3, 20, 6, 6, 1] {
      harness.append(size)
      for seq in -1...harness.model.lastSeq + 1 {
        body(harness.reader, RingCursor(seq: seq), harness.model)
        if 0...harness.model.lastSeq ~= seq {
          body(harness.reader, RingCursor(seq: seq, offset: harness.model.ends[seq]), harness.model)
        }
      }
    }
  }

  @Test("[lag] A reader's lag is what its next read finds and misses", arguments: shapes)
  func lag(shape: RingShape) {
    atManyCursors(shape) { reader, cursor, _ in
      let batch = reader.read(since: cursor)
      let lag = reader.lag(since: cursor)
      #expect(lag.chunks == batch.count + batch.missedChunks)
      #expect(lag.bytes == batch.missedBytes.map { batch.payload.count + $0 })
      #expect(lag.missedChunks == batch.missedChunks)
      #expect(lag.missedBytes == batch.missedBytes)
    }
  }

  @Test("A cursor beyond the newest chunk has no lag")
  func lagAhead() {
    let harness = RingHarness(capacity: 20)
    harness.append(3)
    #expect(harness.reader.lag(since: 9) == RingLag())
  }

  @Test("A peek says of the next chunk what a read does", arguments: shapes)
  func peek(shape: RingShape) {
    atManyCursors(shape) { reader, cursor, _ in
      let chunk = reader.read(since: cursor).first
      let info = reader.peek(since: cursor)
      #expect(info?.seq == chunk?.seq)
      #expect(info?.offset == chunk?.offset)
      #expect(info?.count == chunk?.data.count)
      #expect(info?.tag == chunk?.tag)
    }
  }

  @Test("[visit] Visits give a closure the bytes that reads copy", arguments: shapes)
  func visitsAsReads(shape: RingShape) {
    atManyCursors(shape) { reader, start, model in
      for maxBytes in [nil, 0, 4, 11] {
        let batch = reader.read(since: start)
        var cursor = start
        var bytes: [UInt8] = []
        var missed = (chunks: 0, bytes: Int?(0))
        var chunks = 0
        var hasMore = true
        while hasMore {
          let before = cursor
          let visit = unsafe reader.visit(since: cursor, maxBytes: maxBytes) { piece, offset in
            #expect(unsafe Stamp.matches(piece, at: offset))
            unsafe bytes.append(contentsOf: piece)
          }
          #expect(visit.isIntact)
          missed.chunks += visit.missedChunks
          missed.bytes = missed.bytes.flatMap { sum in visit.missedBytes.map { sum + $0 } }
          cursor = visit.cursor
          hasMore = visit.hasMore
          chunks += cursor.seq - min(max(before.seq, 0), cursor.seq) - visit.missedChunks
          if let maxBytes, chunks > 0, !visit.range.isEmpty {
            let isOneChunk = cursor.seq - before.seq - visit.missedChunks == 1
            #expect(visit.range.count <= maxBytes || isOneChunk)
          }
        }
        #expect(bytes == Array(batch.payload))
        #expect(chunks == batch.count)
        #expect(missed.chunks == batch.missedChunks)
        #expect(missed.bytes == batch.missedBytes)
        #expect(cursor.seq == model.lastSeq)
      }
    }
  }

  @Test("Visits of runs end where the tag changes", arguments: shapes)
  func runs(shape: RingShape) {
    atManyCursors(shape) { reader, start, _ in
      for maxBytes in [nil, 4] {
        var read = reader.read(since: start).map {
          Tagged(seq: $0.seq, tag: $0.tag, size: $0.data.count)
        }[...]
        var cursor = start
        var hasMore = true
        while hasMore {
          var tag: Bool?
          let visit = unsafe reader.visitRun(since: cursor, maxBytes: maxBytes) { _, pieceTag in
            tag = pieceTag
          }
          let run = read.prefix { $0.seq <= visit.cursor.seq }
          read = read.dropFirst(run.count)
          #expect(run.allSatisfy { $0.tag == tag })
          #expect(visit.range.count == run.reduce(0) { $0 + $1.size })
          if maxBytes == nil, let next = read.first, visit.range.count > 0 {
            // What follows is of the other tag, or lies behind the head.
            let isBehindHead = next.seq > cursor.seq + visit.missedChunks + run.count + 1
            #expect(next.tag != tag || isBehindHead || reader.layout.headCapacity > 0)
          }
          cursor = visit.cursor
          hasMore = visit.hasMore
        }
        #expect(read.isEmpty)
      }
    }
  }

  private struct Tagged {
    let seq: Int
    let tag: Bool
    let size: Int
  }

  @Test("A visit tells which bytes the producer overwrote meanwhile")
  func lapped() {
    for size in 1...140 {
      let harness = RingHarness(capacity: 100, reservationLimit: 20)
      for _ in 0..<15 { harness.append(10) }
      var seen: [UInt8] = []
      let visit = unsafe harness.reader.visit(since: 5) { piece, _ in
        if seen.isEmpty { harness.append(size) }
        unsafe seen.append(contentsOf: piece)
      }
      #expect(visit.range == 50..<150)
      let intact = visit.intactRange
      #expect(Array(seen.suffix(intact.count)) == Stamp.bytes(intact.count, at: intact.lowerBound))
      // The producer has announced up to 150 + size, and has 120 bytes of storage.
      #expect(intact == min(max(50, 30 + size), 150)..<150)
      #expect(visit.isIntact == (size <= 20))
    }
  }

  @Test("A visit while an append overwrites everything misses all, and does not promise more")
  func duringALargeAppend() {
    let harness = RingHarness(capacity: 1_000, reservationLimit: 250)
    harness.append(1_000)
    var visits: [RingVisit] = []
    harness.append(1_000) {
      visits.append(unsafe harness.reader.visit(since: .start) { _, _ in })
      let next = harness.reader.peek()
      #expect((next == nil) == visits.last?.range.isEmpty)
    }
    #expect(visits.map(\.range) == [0..<1_000, 1_000..<1_000, 1_000..<1_000, 1_000..<1_000])
    #expect(visits.map(\.missedBytes) == [0, 1_000, 1_000, 1_000])
    #expect(visits.map(\.missedChunks) == [0, 1, 1, 1])
    #expect(visits.map(\.cursor.seq) == [1, 1, 1, 1])
    #expect(visits.allSatisfy { !$0.hasMore && !$0.isDamaged })
  }

  @Test("An error that the closure throws ends the visit")
  func failing() {
    struct Failure: Error {}
    let harness = RingHarness(capacity: 100)
    harness.append(3)
    #expect(throws: Failure.self) {
      try unsafe harness.reader.visit { _, _ throws(Failure) in throw Failure() }
    }
  }

  @Test("A visit that finds nothing new does not call the closure")
  func nothingNew() {
    let harness = RingHarness(capacity: 100)
    harness.append(3)
    let visit = unsafe harness.reader.visit(since: 1) { _, _ in Issue.record("called") }
    #expect(visit.cursor == RingCursor(seq: 1, offset: 3))
    #expect(visit.range.isEmpty)
    #expect(!visit.hasMore)
  }
}
