import Processes

/// Runs scripts in which the producer goes on between the steps of its readers.
package enum InterleavedInterpreter {
  package static func run(
    _ operations: [InterleavedOperation], in geometry: Geometry, pieceSize: Int
  ) -> Difference? {
    let harness = RingHarness(
      geometry.layout, pieceSize: pieceSize, isAttached: geometry.kind == .attached)
    var batch = RingBatch()
    var next = ReadStart(seq: 0, offset: 0)
    for (step, operation) in operations.enumerated() {
      let details: String?
      switch operation {
      case .write(let write):
        harness.perform(write, in: geometry)
        details = nil
      case .read(let place, let byCursor, let maxBytes, let bursts):
        let seq = place.resolved(harness.model)
        // Where a chunk to come will end is not known.
        let isThere = byCursor && 0...harness.model.lastSeq ~= seq
        let start = ReadStart(seq: seq, offset: isThere ? harness.model.ends[seq] : nil)
        details = read(harness, geometry, start, maxBytes, bursts, &batch)
      case .resume(let maxBytes, let bursts):
        details = read(harness, geometry, next, maxBytes, bursts, &batch)
        next = ReadStart(seq: batch.cursor.seq, offset: batch.cursor.offset)
      }
      var undisturbed = RingBatch()
      if let details = details
        ?? harness.compare(since: ReadStart(seq: 0), into: &undisturbed)
        ?? harness.compare(since: next, into: &undisturbed)
      {
        return Difference(step: step, operation: "\(operation)", details: details)
      }
    }
    return nil
  }

  private static func read(
    _ harness: RingHarness, _ geometry: Geometry, _ start: ReadStart, _ maxBytes: Int?,
    _ bursts: [Burst], _ batch: inout RingBatch
  ) -> String? {
    let probe = Interruption { index, _ in
      for burst in bursts where burst.happens(at: index) {
        for write in burst.writes { harness.perform(write, in: geometry) }
      }
    }
    let fault = harness.read(since: start, maxBytes: maxBytes, into: &batch, probe)
    return fault.map { "\($0), after \(probe.reached.map { "\($0)" }.joined(separator: " "))" }
  }
}

extension RingHarness {
  fileprivate func perform(_ write: Write, in geometry: Geometry) {
    switch write {
    case .append(let length):
      append(length.resolved(in: geometry, model))
    case .appendGroup(let lengths):
      append(group: lengths.map { $0.resolved(in: geometry, model) })
    case .reserve(let length, let filling):
      let count = max(1, length.resolved(in: geometry, model))
      let most = min(count, geometry.reservationLimit)
      switch filling {
      case .all: reserve(count, commit: most)
      case .less(let less): reserve(count, commit: max(1, most - less))
      case .nothing: reserve(count, commit: 0)
      case .failure: reserve(count, commit: nil)
      }
    case .setExit(let code, let closing):
      setExit(code, closing: closing)
    }
  }
}
