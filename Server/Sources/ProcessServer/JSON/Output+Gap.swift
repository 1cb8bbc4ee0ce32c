import Processes

extension Output {
  /// The index of the chunk before which the output lies that this reader asked for and can no
  /// longer have; nil if there is none.
  var indexOfGap: Int? { missedChunks > 0 || missedBytes != 0 ? gapIndex : nil }

  /// The payload before what was missed, and the payload behind it.
  ///
  /// - Complexity: O(1); nothing is copied.
  var payloads: (beforeGap: ChunkBytes, rest: ChunkBytes) {
    let payload = chunks.payload
    guard let index = indexOfGap, index > 0 else { return (payload[0..<0], payload) }
    let last = chunks[index - 1]
    // The chunks of the head follow each other.
    let count = last.offset + last.data.count - chunks[0].offset
    return (payload[0..<count], payload[count..<payload.count])
  }

  /// The output as text for people and for models, with a line where some was missed.
  var markedText: String {
    let (beforeGap, rest) = payloads
    guard indexOfGap != nil else { return rest.description }
    let size = missedBytes.map { "\($0) bytes are" } ?? "some output is"
    let isLineOpen = beforeGap.last.map { $0 != UInt8(ascii: "\n") } ?? false
    return "\(beforeGap)\(isLineOpen ? "\n" : "")[\(size) missing here]\n\(rest)"
  }
}
