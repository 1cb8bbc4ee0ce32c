import OutputRing
import ReferenceModel
import Testing

extension RingHarness {
  /// Reads while nobody writes, and expects exactly what the model says.
  @discardableResult
  func expectExact(
    since start: ReadStart = ReadStart(seq: 0), maxBytes: Int? = nil,
    sourceLocation: SourceLocation = #_sourceLocation
  ) -> RingBatch {
    var batch = RingBatch()
    let difference = compare(since: start, maxBytes: maxBytes, into: &batch)
    #expect(difference == nil, sourceLocation: sourceLocation)
    return batch
  }
}

/// The numbers that a test makes a ring from, in its name.
struct RingShape: CustomTestStringConvertible {
  var capacity: Int
  var chunkLimit: Int
  var reservationLimit: Int
  var headCapacity = 0
  var testDescription: String {
    "\(capacity)/\(chunkLimit)/\(reservationLimit)/\(headCapacity)"
  }

  /// Returns an empty ring, whose disturbed reads copy payload in small pieces.
  func harness() -> RingHarness {
    RingHarness(
      capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit, pieceSize: 4,
      headCapacity: headCapacity)
  }
}
