import CRingShims
import OutputRing
import ReferenceModel
import Testing

/// The forms of the racing copy, as rings choose them.
@Suite struct CopyMethodTests {
  @Test("Every copy method has a name of its own, and the current one is available")
  func names() {
    #expect(Set(RingCopyMethod.all.map(\.name)).count == RingCopyMethod.all.count)
    #expect(RingCopyMethod.base.isAvailable)
    #expect(RingCopyMethod.atomicWords.isAvailable)
    #expect(RingCopyMethod.current.isAvailable)
    #expect(RingCopyMethod.detected.isAvailable)
  }

  @Test("A ring delivers the same bytes with every copy method", arguments: RingCopyMethod.all)
  func roundTrips(method: RingCopyMethod) throws {
    guard method.isAvailable else { try Test.cancel("this processor lacks \(method.name)") }
    var writer = RingWriter(
      RingLayout(capacity: 100_000, reservationLimit: 20_000), copyMethod: method)
    var offset = 0
    for size in [1, 100, 300, 600, 5_000, 13_000, 70_000, 99_999] {
      writer.append(Stamp.bytes(size, at: offset))
      offset += size
      let newest = try #require(writer.reader.read().last)
      #expect(Array(newest.data) == Stamp.bytes(size, at: offset - size))
    }
  }

  @Test("The copy method can be forced")
  func forcing() {
    // The same as before, since other tests make rings meanwhile.
    let current = RingCopyMethod.current
    RingCopyMethod.force(current)
    #expect(RingCopyMethod.current == current)
  }
}
