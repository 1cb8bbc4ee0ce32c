@testable import OutputRing
import ReferenceModel
import Testing

/// Reads between whose steps the writer goes on, in every way that tiny rings have.
@Suite struct InterleavingTests {
  /// Where the readers of these tests start.
  enum Start: CaseIterable {
    case beginning, oldCursor, oldSeq, recentSeq

    func resolved(_ model: SessionModel) -> ReadStart {
      switch self {
      case .beginning: ReadStart(seq: 0)
      case .oldCursor: ReadStart(seq: 2, offset: model.ends[2])
      case .oldSeq: ReadStart(seq: 2)
      case .recentSeq: ReadStart(seq: max(0, model.lastSeq - 2))
      }
    }
  }

  struct Shape: CustomTestStringConvertible {
    var capacity: Int
    var chunkLimit: Int
    var reservationLimit: Int
    var headCapacity = 0
    var timestamps = false
    /// The sizes of chunks that are there at first.
    var sizes: [Int]
    var testDescription: String {
      "\(capacity)/\(chunkLimit)/\(reservationLimit)/\(headCapacity)"
        + "\(timestamps ? "t" : "") \(sizes)"
    }

    func harness(pieceSize: Int, isAttached: Bool = false) -> RingHarness {
      let harness = RingHarness(
        capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit,
        pieceSize: pieceSize, headCapacity: headCapacity, timestamps: timestamps,
        isAttached: isAttached)
      for size in sizes { harness.append(size) }
      return harness
    }
  }

  static let shapes: [Shape] = [
    Shape(capacity: 1, chunkLimit: 1, reservationLimit: 1, sizes: [1, 1, 1]),
    Shape(capacity: 2, chunkLimit: 2, reservationLimit: 1, sizes: [1, 1, 1, 1]),
    Shape(capacity: 5, chunkLimit: 5, reservationLimit: 1, sizes: [2, 1, 1, 1, 1]),
    Shape(capacity: 8, chunkLimit: 8, reservationLimit: 4, sizes: [3, 3, 2, 1, 1, 1]),
    Shape(capacity: 8, chunkLimit: 3, reservationLimit: 8, sizes: [1, 1, 1, 1, 1, 1, 1]),
    Shape(capacity: 13, chunkLimit: 13, reservationLimit: 2, sizes: [20, 5, 4]),
    Shape(capacity: 13, chunkLimit: 4, reservationLimit: 16, sizes: [3, 3, 3, 3]),
    Shape(capacity: 16, chunkLimit: 16, reservationLimit: 3, sizes: [6, 7, 30]),
    // Descriptors are lapped long before payload, and the other way round.
    Shape(
      capacity: 64, chunkLimit: 6, reservationLimit: 64, sizes: [1, 2, 1, 2, 1, 2, 1, 2]),
    Shape(capacity: 12, chunkLimit: 12, reservationLimit: 1, sizes: [4, 4, 4, 4]),
    // With a head: complete, and with all chunks in it.
    Shape(capacity: 5, chunkLimit: 2, reservationLimit: 2, headCapacity: 9, sizes: [3, 3, 8, 1]),
    Shape(capacity: 4, chunkLimit: 4, reservationLimit: 1, headCapacity: 12, sizes: [2, 2, 2]),
    // With timestamps, and with both.
    Shape(
      capacity: 8, chunkLimit: 3, reservationLimit: 8, timestamps: true,
      sizes: [1, 1, 1, 1, 1, 1, 1]),
    Shape(
      capacity: 5, chunkLimit: 2, reservationLimit: 2, headCapacity: 9, timestamps: true,
      sizes: [3, 3, 8, 1]),
  ]

  static let bursts: [[Int]] =
    [1, 2, 3, 4, 5, 6, 7, 9, 14, 17, 40].map { Array(repeating: 1, count: $0) }
    + [[2], [5], [8], [13], [100], [3, 3, 3], [4, 1, 4, 1, 4], [100, 1], [7, 7, 7, 7, 7]]

  @Test(
    "A burst of appends at any single step of a read leaves it intact",
    arguments: shapes, [1, 2, 3, 8])
  func burstAtOneStep(shape: Shape, pieceSize: Int) {
    for start in Start.allCases {
      for burst in Self.bursts {
        var step = 0
        while true {
          let harness = shape.harness(pieceSize: pieceSize)
          let from = start.resolved(harness.model)
          let probe = Interruption { index, _ in
            if index == step { for size in burst { harness.append(size) } }
          }
          var batch = RingBatch()
          if let fault = harness.read(since: from, into: &batch, probe) {
            Issue.record("\(fault): \(burst) at step \(step) since \(from): \(probe.reached)")
            return
          }
          // Whatever happened, the next read makes up for it.
          harness.expectExact(
            since: ReadStart(seq: batch.cursor.seq, offset: batch.cursor.offset))
          if probe.steps <= step { break }
          step += 1
        }
      }
    }
  }

  @Test(
    "[fast-writer] A burst at every step of a read leaves the newest intact suffix",
    arguments: shapes, [1, 2, 3, 8])
  func burstAtEveryStepFrom(shape: Shape, pieceSize: Int) {
    for start in Start.allCases {
      for burst in Self.bursts {
        for step in 0..<12 {
          let harness = shape.harness(pieceSize: pieceSize)
          let from = start.resolved(harness.model)
          let probe = Interruption { index, _ in
            if index >= step { for size in burst { harness.append(size) } }
          }
          var batch = RingBatch()
          if let fault = harness.read(since: from, into: &batch, probe) {
            Issue.record("\(fault): \(burst) from step \(step) since \(from): \(probe.reached)")
            return
          }
        }
      }
    }
  }

  @Test("Random bursts at random steps leave reads intact", arguments: 0..<8)
  func randomScripts(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    for round in 0..<150 {
      let script = Script.randomInterleaving(count: 30, &random)
      let difference = script.run()
      #expect(difference == nil, "seed \(seed), round \(round): \(script.shrunk())")
      if difference != nil { return }
    }
  }
}
