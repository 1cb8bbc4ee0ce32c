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
