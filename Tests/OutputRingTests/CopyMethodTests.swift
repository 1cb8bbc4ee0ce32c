import CRingShims
import OutputRing
import ReferenceModel
import Testing

/// The forms of the racing copy, as rings choose them.
@Suite struct CopyMethodTests {
  @Test("every form has a name of its own, and the current one is one that this machine has")
  func names() {
    #expect(Set(RingCopyMethod.all.map(\.name)).count == RingCopyMethod.all.count)
    #expect(RingCopyMethod.base.isAvailable)
    #expect(RingCopyMethod.atomicWords.isAvailable)
    #expect(RingCopyMethod.current.isAvailable)
    #expect(RingCopyMethod.detected.isAvailable)
  }

  @Test("a ring delivers the same bytes in whichever form it copies", arguments: RingCopyMethod.all)
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

  @Test("the form that is in use can be prescribed")
  func forcing() {
    // The same as before, since other tests make rings meanwhile.
    let current = RingCopyMethod.current
    RingCopyMethod.force(current)
    #expect(RingCopyMethod.current == current)
  }
}
