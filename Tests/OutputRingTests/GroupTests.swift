import OutputRing
import ReferenceModel
import Testing

/// Chunks that are published at once.
@Suite struct GroupTests {
  /// Chunks that call a closure each time one of them is looked at: for its size, then for its
  /// bytes.
  private static func watched(
    _ chunks: [[UInt8]], _ look: @escaping () -> Void
  ) -> LazyMapCollection<[[UInt8]], [UInt8]> {
    chunks.lazy.map { bytes in
      look()
      return bytes
    }
  }

  @Test("A group's chunks have their bytes, their tag, and seqs one after the other")
  func contents() {
    var writer = RingWriter(RingLayout(capacity: 1_000))
    writer.append(contentsOf: ["one", "", "three"].map(\.utf8), tag: true)
    let batch = writer.reader.read()
    #expect(batch.map { String($0.data) } == ["one", "three"])
    #expect(batch.map(\.seq) == [1, 2])
    #expect(batch.map(\.offset) == [0, 3])
    #expect(batch.map(\.tag) == [true, true])
  }

  @Test("A group without bytes makes no chunk")
  func nothing() {
    var writer = RingWriter(RingLayout(capacity: 10))
    writer.append(contentsOf: [[UInt8]]())
    writer.append(contentsOf: [[], []] as [[UInt8]])
    #expect(writer.lastSeq == 0)
    writer.append([1])
    #expect(writer.reader.read().map(\.seq) == [1])
  }

  @Test("Payloads that are not contiguous in memory are appended as well")
  func notContiguous() {
    var writer = RingWriter(RingLayout(capacity: 10))
    writer.append(contentsOf: [1...3, 4...4].map { $0.lazy.map { UInt8($0) } })
    #expect(writer.reader.read().map { Array($0.data) } == [[1, 2, 3], [4]])
  }

  @Test("[group] Readers see all chunks of a group, or none of them yet")
  func atOnce() {
    var writer = RingWriter(RingLayout(capacity: 1_000))
    let reader = writer.reader
    var seen: [Int] = []
    writer.append(
      contentsOf: Self.watched([[1], [2, 3], [4]]) { seen.append(reader.lastSeq) })
    #expect(Set(seen) == [0])
    #expect(reader.lastSeq == 3)
  }

  @Test("A group has no more chunks than half of the spare slots")
  func manyChunks() {
    let layout = RingLayout(capacity: 1 << 20)
    var writer = RingWriter(layout)
    let reader = writer.reader
    var seen: Set<Int> = []
    writer.append(
      contentsOf: Self.watched(Array(repeating: [7], count: 1_100)) { seen.insert(reader.lastSeq) })
    #expect(layout.slotCount - layout.chunkLimit == 1_024)
    #expect(seen == [0, 512, 1_024])
    #expect(reader.lastSeq == 1_100)
  }

  @Test("A group has no more bytes than a reservation, and a larger chunk goes on its own")
  func manyBytes() {
    var writer = RingWriter(RingLayout(capacity: 1_000, reservationLimit: 100))
    let reader = writer.reader
    var seen: Set<Int> = []
    let chunks = [60, 40, 1, 101, 30].map { Stamp.bytes($0, at: 0) }
    writer.append(contentsOf: Self.watched(chunks) { seen.insert(reader.lastSeq) })
    #expect(seen == [0, 2, 3, 4])
    #expect(reader.lastSeq == 5)
  }

  @Test("A chunk larger than the capacity is stored as its last bytes, amid others")
  func oversize() {
    let harness = RingHarness(capacity: 50, reservationLimit: 20)
    harness.append(group: [3, 90, 4])
    harness.expectExact()
  }

  @Test("Chunks go to the head as long as it has room, then behind it")
  func head() {
    var writer = RingWriter(RingLayout(capacity: 1_000, headCapacity: 6))
    let reader = writer.reader
    var seen: Set<Int> = []
    writer.append(
      contentsOf: Self.watched([[1, 2, 3], [4, 5], [6], [7], [8]]) { seen.insert(reader.lastSeq) })
    // Those of the head one by one, the last two at once.
    #expect(seen == [0, 1, 2, 3])
    #expect(reader.read().map { Array($0.data) } == [[1, 2, 3], [4, 5], [6], [7], [8]])
    #expect(reader.read().gapIndex == 3)
  }

  /// Rings whose spare slots are enough for groups.
  static let shapes = [
    RingShape(capacity: 64, chunkLimit: 17, reservationLimit: 16),
    RingShape(capacity: 30, chunkLimit: 17, reservationLimit: 7),
    RingShape(capacity: 200, chunkLimit: 12, reservationLimit: 64),
    RingShape(capacity: 64, chunkLimit: 17, reservationLimit: 16, headCapacity: 9),
  ]

  static let groups: [[Int]] = [
    [1, 1], [2, 3, 1], Array(repeating: 1, count: 7), Array(repeating: 2, count: 40), [9, 16, 3],
    [70, 1, 1],
  ]

  @Test("While a group is being appended, all that was retained can be read", arguments: shapes)
  func readsMeanwhile(shape: RingShape) {
    for group in Self.groups {
      let layout = shape.harness().layout
      var writer = RingWriter(layout)
      let reader = writer.reader
      for _ in 0..<layout.chunkLimit * 2 { writer.append(Stamp.bytes(3, at: writer.endOffset)) }
      var offset = writer.endOffset
      let chunks = group.map { size in
        defer { offset += size }
        return Stamp.bytes(size, at: offset)
      }
      // What an undisturbed reader finds when a group begins; groups follow each other.
      var expected = reader.read().map(\.seq)
      var newest = reader.lastSeq
      writer.append(
        contentsOf: Self.watched(chunks) {
          let batch = reader.read()
          if batch.lastSeq != newest { (expected, newest) = (batch.map(\.seq), batch.lastSeq) }
          #expect(batch.map(\.seq) == expected)
          for chunk in batch {
            #expect(Array(chunk.data) == Stamp.bytes(chunk.data.count, at: chunk.offset))
          }
          #expect(batch.count + batch.missedChunks == newest)
        })
    }
  }

  @Test("A group at any single step of a read leaves it intact", arguments: shapes)
  func atEveryStepOfARead(shape: RingShape) {
    for group in Self.groups {
      var step = 0
      while true {
        let harness = shape.harness()
        for _ in 0..<24 { harness.append(3) }
        let probe = Interruption { index, _ in
          if index == step { for _ in 0..<4 { harness.append(group: group) } }
        }
        var batch = RingBatch()
        if let fault = harness.read(since: ReadStart(seq: 1), into: &batch, probe) {
          Issue.record("\(fault): \(group) at step \(step): \(probe.reached)")
          return
        }
        harness.expectExact(since: ReadStart(seq: batch.cursor.seq, offset: batch.cursor.offset))
        if probe.steps <= step { break }
        step += 1
      }
    }
  }

  @Test("A collection that changes between its two iterations ends the program")
  func changing() async {
    await #expect(processExitsWith: .failure) {
      var writer = RingWriter(RingLayout(capacity: 100))
      var looks = 0
      writer.append(
        contentsOf: [1, 2, 3].lazy.map { _ -> [UInt8] in
          looks += 1
          return looks > 4 ? [1, 2] : [1]
        })
    }
  }
}
