/// Puts lines together from chunks, which may end anywhere within a line.
struct LineSplitter {
  private var rest: [UInt8] = []

  /// Returns the lines that are complete with these bytes.
  mutating func lines(endingIn bytes: some Collection<UInt8>) -> [String] {
    let lineFeed = UInt8(ascii: "\n")
    var lines = (rest + bytes).split(separator: lineFeed, omittingEmptySubsequences: false)
    rest = Array(lines.removeLast())
    return lines.map { String(decoding: $0, as: UTF8.self) }
  }

  /// Returns a last line without a line break, if there is one.
  mutating func lastLine() -> String? {
    defer { rest = [] }
    return rest.isEmpty ? nil : String(decoding: rest, as: UTF8.self)
  }
}
