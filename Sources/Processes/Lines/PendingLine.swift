import OutputRing

/// The line of one stream of which the end has not been read.
struct PendingLine: Sendable {
  /// Its bytes from earlier reads, or from before an interruption by the other stream.
  var gathered = GatheredBytes()
  /// Its bytes behind those: a range of the payload that is being split.
  var slice = 0..<0
  /// Where it begins.
  var first = Place(seq: 0, offset: 0)
  /// Where the last of the gathered bytes lie, up to ``placesKept``.
  private(set) var places: [Place] = []
  var isContinuation = false
  var followsLoss = false

  /// As many as a cut at a character's boundary looks back, and one more.
  static let placesKept = 4

  var count: Int { gathered.count + slice.count }
  var isEmpty: Bool { count == 0 }

  /// Copies the slice to the memory of its own, so that the read's memory can go.
  ///
  /// - Parameter place: Returns where a byte of the payload lies.
  mutating func gather(from payload: ChunkBytes, place: (Int) -> Place) {
    guard !slice.isEmpty else { return }
    gathered.append(payload[slice])
    let added = slice.suffix(Self.placesKept)
    places.removeFirst(max(0, places.count + added.count - Self.placesKept))
    places.append(contentsOf: added.map(place))
    slice = 0..<0
  }

  /// Takes the gathered bytes but for the last few, and keeps those as the next line's first.
  ///
  /// - Returns: The bytes taken, and where the last of them ends.
  mutating func takeGathered(keeping rest: Int) -> (bytes: ChunkBytes, end: Int) {
    let end = places[places.count - rest - 1].offset + 1
    let all = gathered.take()
    let kept = all.suffix(rest)
    places.removeFirst(places.count - rest)
    gathered.append(kept)
    if let place = places.first { first = place }
    return (ChunkBytes(rebasing: all.dropLast(rest)), end)
  }

  /// The byte at an index, which lies in the payload or was gathered.
  func byte(_ index: Int, in payload: ChunkBytes) -> UInt8 {
    index < gathered.count
      ? gathered[index] : payload[slice.lowerBound + index - gathered.count]
  }

  /// Returns how much of a line that is longer than the limit comes as its next part, if all but
  /// the next byte is pending: as much as is within the limit and does not end within a character.
  func partLength(before next: UInt8, in payload: ChunkBytes) -> Int {
    guard isContinuationByte(next) else { return count }
    for back in 1...3 {
      let byte = byte(count - back, in: payload)
      if isContinuationByte(byte) { continue }
      let length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      return length > back ? count - back : count
    }
    return count
  }
}

/// Whether a byte of UTF-8 is not the first of its character.
private func isContinuationByte(_ byte: UInt8) -> Bool { byte & 0xc0 == 0x80 }
