@testable import OutputRing
import ReferenceModel
import Testing

/// Readers that attached to a ring in a file: they agree with the model as any others do, and call
/// no ring damaged whose producer is honest, wherever it is between their steps.
@Suite struct AttachedReaderTests {
  static let bursts: [[Int]] = [
    [1], [1, 1, 1], [1, 1, 1, 1, 1, 1, 1], [13], [100], [4, 1, 4, 1, 4],
  ]

  @Test(
    "A burst of appends at any single step of an attached reader's read leaves it intact",
    arguments: InterleavingTests.shapes, [1, 3])
  func burstAtOneStep(shape: InterleavingTests.Shape, pieceSize: Int) {
    for start in InterleavingTests.Start.allCases {
      for burst in Self.bursts {
        var step = 0
        while true {
          let harness = shape.harness(pieceSize: pieceSize, isAttached: true)
          let from = start.resolved(harness.model)
          let probe = Interruption { index, _ in
            if index == step { for size in burst { harness.append(size) } }
          }
          var batch = RingBatch()
          if let fault = harness.read(since: from, into: &batch, probe) {
            Issue.record("\(fault): \(burst) at step \(step) since \(from): \(probe.reached)")
            return
          }
          harness.expectExact(
            since: ReadStart(seq: batch.cursor.seq, offset: batch.cursor.offset))
          if probe.steps <= step { break }
          step += 1
        }
      }
    }
  }

  @Test(
    "A burst at every step of an attached reader's read leaves the newest intact suffix",
    arguments: InterleavingTests.shapes)
  func burstAtEveryStep(shape: InterleavingTests.Shape) {
    for burst in Self.bursts {
      for step in 0..<8 {
        let harness = shape.harness(pieceSize: 3, isAttached: true)
        let probe = Interruption { index, _ in
          if index >= step { for size in burst { harness.append(size) } }
        }
        var batch = RingBatch()
        if let fault = harness.read(since: ReadStart(seq: 0), into: &batch, probe) {
          Issue.record("\(fault): \(burst) from step \(step): \(probe.reached)")
          return
        }
      }
    }
  }

  @Test("Random scripts find no difference between an attached reader and the model")
  func randomScripts() {
    for seed in 0..<400 {
      let script = Script.random(seed: UInt64(seed)).attached
      let difference = script.run()
      #expect(difference == nil, "seed \(seed): \(script.shrunk())")
      if difference != nil { return }
    }
  }

  @Test(
    "Descriptors that are reused while they are copied are left out, and are no damage",
    arguments: 3...9)
  func reusedDescriptors(appends: Int) {
    // 16 slots, of which 14 can be retained; the payload is not lapped.
    let harness = RingHarness(
      capacity: 100, chunkLimit: 14, reservationLimit: 100, isAttached: true)
    #expect(harness.layout.slotCount == 16)
    for _ in 0..<20 { harness.append(3) }
    var isDone = false
    let probe = Interruption { _, step in
      guard step == .copiedDescriptors, !isDone else { return }
      isDone = true
      for _ in 0..<appends { harness.append(3) }
    }
    var batch = RingBatch()
    #expect(harness.read(since: ReadStart(seq: 0), into: &batch, probe) == nil)
    // Chunk 7 is the oldest retained, so the descriptor of seq 6 is the first that is copied. Its
    // slot is seq 22's too.
    #expect(batch.map(\.seq) == Array((6 + appends)...20))
    #expect(batch.missedChunks == 5 + appends)
    #expect(!batch.isDamaged)
  }
}
