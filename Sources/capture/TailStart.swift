import ArgumentParser
import Processes

/// Parses a number of lines.
@Sendable func parseLineCount(_ text: String) throws -> Int {
  guard let count = Int(text), 0...1_000_000 ~= count else {
    throw ValidationError("“\(text)” is no number of lines from 0 to 1000000")
  }
  return count
}

/// Where the last lines of a session begin, in both streams' common order.
struct TailStart {
  /// The position before the chunk in which they begin.
  private(set) var cursor: Cursor
  /// The bytes of that chunk before them.
  private(set) var skipped = 0

  /// Looks for the last lines in what is retained. A last line need not have an end.
  init(lines: Int, of session: SessionReader) {
    // A guess, and then ever more: in all, a few times as much is read as the lines have.
    var size = min(max(lines, 16), 1_024) * 128
    while true {
      let output = session.tail(bytes: size)
      guard let oldest = output.chunks.first else {
        cursor = .start
        return
      }
      guard let start = Self.start(ofLast: lines, in: output.chunks.payload) else {
        if !session.isWhole(output), size <= .max / 4 {
          size *= 4
          continue
        }
        cursor = Cursor(seq: oldest.seq - 1, offset: oldest.offset)
        return
      }
      let offset = oldest.offset + start
      guard let first = output.chunks.first(where: { $0.offset + $0.data.count > offset }) else {
        cursor = output.cursor
        return
      }
      cursor = Cursor(seq: first.seq - 1, offset: first.offset)
      skipped = offset - first.offset
      return
    }
  }

  /// Returns the index of the first of the last lines; nil if there are not so many.
  private static func start(ofLast lines: Int, in payload: ChunkBytes) -> Int? {
    if lines == 0 { return payload.count }
    return unsafe payload.withUnsafeBytes { bytes in
      var newlines = 0
      // The last newline ends a line, and has none behind it.
      for index in (0..<bytes.count - 1).reversed()
      where unsafe bytes[index] == UInt8(ascii: "\n") {
        newlines += 1
        if newlines == lines { return index + 1 }
      }
      return nil
    }
  }
}
