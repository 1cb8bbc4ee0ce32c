/// Puts before each line when its first byte came: seconds since the start, as in `[    3.128] `.
///
/// What follows a gap begins a line of its own.
struct TimestampedLines {
  /// The streams of which the last line has no end yet.
  private(set) var unfinished: Set<String> = []

  /// Appends what a command wrote to a stream.
  ///
  /// - Parameters:
  ///   - seconds: When that came, since the start.
  ///   - lines: The bytes to which it is appended.
  mutating func append(
    _ data: ArraySlice<UInt8>, of stream: String, at seconds: Double, to lines: inout [UInt8]
  ) {
    let newline = UInt8(ascii: "\n")
    for line in data.split(separator: newline, omittingEmptySubsequences: false) {
      let isLast = line.endIndex == data.endIndex
      // Behind the last newline nothing has begun.
      if isLast, line.isEmpty { break }
      if !unfinished.contains(stream) { lines += Self.prefix(seconds).utf8 }
      lines += line
      if isLast {
        unfinished.insert(stream)
      } else {
        lines.append(newline)
        unfinished.remove(stream)
      }
    }
  }

  /// Records that the lines without an end were ended.
  mutating func endLines() { unfinished = [] }

  private static func prefix(_ seconds: Double) -> String {
    let text = fixed(seconds, 3)
    return "[\(String(repeating: " ", count: max(0, 9 - text.utf8.count)))\(text)] "
  }
}
