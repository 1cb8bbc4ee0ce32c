import OutputRing
import Testing

/// A chunk's bytes as the collection that callers see.
@Suite struct ChunkBytesTests {
  /// The bytes 0, 1, 2, … behind a chunk of another length, so that they do not begin the memory.
  private func bytes(_ count: Int) -> ChunkBytes {
    var writer = RingWriter(RingLayout(capacity: 1_000))
    writer.append([9, 9, 9])
    writer.append((0..<count).map { UInt8($0) })
    return writer.reader.read()[1].data
  }

  @Test("Every way to copy a chunk's bytes gives the same bytes")
  func everyWayToCopyThemGivesTheSame() {
    let expected = (0..<100).map { UInt8($0) }
    let data = bytes(100)
    #expect(Array(data) == expected)
    #expect(data.map { $0 } == expected)
    #expect(data.indices.map { data[$0] } == expected)
    #expect(data.reversed() == expected.reversed())
    var array: [UInt8] = [7]
    array += data
    array.append(contentsOf: data[98...])
    #expect(array == [7] + expected + [98, 99])
    #expect(unsafe data.withContiguousStorageIfAvailable { unsafe Array($0) } == expected)
  }

  @Test("A slice has its own bytes and the indices of the whole")
  func aSliceHasItsOwnBytesAndTheIndicesOfTheWhole() {
    let slice = bytes(100)[10..<20]
    #expect(slice.startIndex == 10)
    #expect(slice.endIndex == 20)
    #expect(slice[10] == 10)
    #expect(Array(slice) == (10..<20).map { UInt8($0) })
    #expect(slice.map { $0 } == (10..<20).map { UInt8($0) })
    #expect(slice.firstIndex(of: 15) == 15)
    #expect(Array(slice[12..<12]).isEmpty)
    #expect(slice[12...].first == 12)
  }

  @Test("A short destination gets what fits, and the iterator continues behind it")
  func aShortDestinationTakesWhatFitsAndTheIteratorGoesOnBehindIt() {
    let data = bytes(10)
    let destination = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 4)
    defer { unsafe destination.deallocate() }
    var (rest, copied) = unsafe data._copyContents(initializing: destination)
    #expect(copied == 4)
    #expect(unsafe Array(destination) == [0, 1, 2, 3])
    var remaining: [UInt8] = []
    while let byte = rest.next() { remaining.append(byte) }
    #expect(remaining == [4, 5, 6, 7, 8, 9])
    #expect(rest.next() == nil)
  }

  @Test("Slices are equal if their bytes are, wherever they lie")
  func equalIfTheBytesAreWhereverTheyLie() {
    let data = bytes(100)
    #expect(data == bytes(100))
    #expect(data[50..<60] == bytes(60)[50...])
    #expect(data != bytes(99))
    #expect(data[0..<5] != data[1..<6])
    #expect(data[3..<3] == data[8..<8])
  }

  @Test("The payload of an empty batch is empty")
  func noBytesAtAll() {
    let none = RingBatch().payload
    #expect(none.isEmpty)
    #expect(Array(none).isEmpty)
    #expect(none.first { _ in true } == nil)
    #expect(none == bytes(5)[2..<2])
    #expect(unsafe none.withUnsafeBytes { $0.count } == 0)
  }

  @Test("An iterator keeps the memory alive")
  func theIteratorKeepsTheMemoryAlive() {
    var iterator = bytes(100).makeIterator()
    // Whatever is allocated now would get the memory if it were free.
    let others = (0..<64).map { _ in bytes(100) }
    var count = 0
    while let byte = iterator.next() {
      #expect(byte == UInt8(count))
      count += 1
    }
    #expect(count == 100)
    #expect(others.count == 64)
  }

  @Test("Gathered bytes are a value: a copy that is appended to leaves the other as it is")
  func gatheredBytes() {
    var first = GatheredBytes()
    for _ in 0..<10 { first.append(bytes(3)) }
    first.append(bytes(1))
    var second = first
    first.append(bytes(2))
    second.append(bytes(9)[5..<6])
    #expect(first.count == 33)
    #expect(Array(first.take().suffix(3)) == [0, 0, 1])
    #expect(Array(second.take().suffix(2)) == [0, 5])
    #expect(first.isEmpty)
    #expect(Array(first.take()).isEmpty)
  }
}
