import OutputRing
import ReferenceModel
import Testing

/// Chunks that are larger than the slack, which the producer announces and copies in pieces.
@Suite struct PiecesTests {
  /// What a reader finds after each announcement of an append.
  private struct Finding: Equatable {
    var chunks: Int
    var lost: Int
    var newest: Int
  }

  private func findings(
    capacity: Int, slack: Int, before sizes: [Int], appending size: Int
  ) -> [Finding] {
    let harness = RingHarness(capacity: capacity, reservationLimit: slack)
    for size in sizes { harness.append(size) }
    let reader = harness.reader
    var findings: [Finding] = []
    harness.append(size) {
      let batch = reader.read()
      for chunk in batch {
        #expect(Array(chunk.data) == Stamp.bytes(chunk.data.count, at: chunk.offset))
      }
      findings.append(
        Finding(chunks: batch.count, lost: batch.lostBytes, newest: batch.lastSeq))
    }
    harness.expectExact()
    return findings
  }

  @Test("Readers lose what a large chunk overwrites piece by piece, not all at once")
  func littleByLittle() {
    let found = findings(
      capacity: 1_000, slack: 100, before: Array(repeating: 100, count: 12), appending: 600)
    #expect(found.map(\.chunks) == [10, 9, 8, 7, 6, 5])
    #expect(found.map(\.lost) == [200, 300, 400, 500, 600, 700])
    #expect(found.allSatisfy { $0.newest == 12 })
  }

  @Test("A chunk as large as the capacity leaves its predecessor one piece of head start")
  func asLargeAsTheCapacity() {
    let found = findings(capacity: 1_000, slack: 250, before: [1_000], appending: 1_000)
    #expect(found.map(\.chunks) == [1, 0, 0, 0])
    #expect(found.map(\.lost) == [0, 1_000, 1_000, 1_000])
  }

  @Test("The last bytes of a chunk larger than the capacity are copied in pieces")
  func largerThanTheCapacity() {
    let found = findings(capacity: 1_000, slack: 300, before: [400, 400], appending: 2_500)
    #expect(found.count == 4)
    #expect(found.last?.newest == 2)
  }

  @Test("A piece announces no less than a reservation before it did")
  func afterAReservation() {
    for step in 0..<20 {
      let harness = RingHarness(capacity: 100, reservationLimit: 50)
      for _ in 0..<10 { harness.append(10) }
      // The reservation scribbles over what a reader is copying; only its announcement says so.
      let producer = Interruption { index, _ in
        guard index == step else { return }
        harness.append(40)
        harness.reserve(50, commit: 1)
        harness.append(10) {}
      }
      var batch = RingBatch()
      #expect(harness.read(since: ReadStart(seq: 0), into: &batch, producer) == nil)
    }
  }

  @Test("A chunk of any size is stored whole at any position", arguments: [1, 3, 16, 40])
  func everySizeInEveryPlace(slack: Int) {
    for start in 0..<64 + slack {
      for size in 1..<130 {
        let harness = RingHarness(capacity: 64, reservationLimit: slack)
        if start > 0 { harness.append(start) }
        harness.append(size) {}
        harness.append(1)
        harness.expectExact()
      }
    }
  }
}
