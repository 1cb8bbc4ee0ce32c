/// One step of a script that reads lines and searches for patterns.
package enum LineOperation: Codable, Equatable, Sendable {
  /// Appends so many pieces of text, chosen by a seed.
  case append(pieces: Int, seed: UInt64, isError: Bool)
  /// The reader of lines and the reader of patterns go on where they were.
  case read(maxBytes: Int?)
  /// A reader goes on from the cursor of the line returned last, or of the match found last.
  case resume
  case tail(lines: Int, isError: Bool?)
  case tailBytes(Int)
  case setExit(closing: Bool)
}

/// What a script of lines begins with.
package struct LineSetting: Codable, Equatable, Sendable {
  package var capacity: Int
  package var headCapacity = 0
  package var isError: Bool?
  package var maxLength: Int
  package var pattern: [UInt8]
}

extension LineOperation {
  /// Pieces that make lines, patterns, characters of all lengths, and what is none.
  private static let pieces: [[UInt8]] =
    [
      "a", "b", "ab", "aab", "abab", "\n", "\n", "\r\n", "é", "€", "😀", "aaaaaaaaaa",
    ].map { Array($0.utf8) } + [[0xff], [0x80], [0xf0, 0x9f], [0xe2, 0x82]]

  /// The bytes of a number of pieces.
  package static func bytes(pieces count: Int, seed: UInt64) -> [UInt8] {
    var random = SplitMix64(seed: seed)
    return (0..<count).flatMap { _ in random.pick(pieces) }
  }

  static func random(_ random: inout some Choices) -> LineOperation {
    switch random.below(16) {
    case 0..<7:
      .append(
        pieces: random.pick([1, 1, 1, 2, 3, 8, 40]), seed: UInt64(random.below(256)),
        isError: random.oneIn(3))
    case 7..<11: .read(maxBytes: random.pick([nil, 0, 1, 7, 40]))
    case 11, 12: .resume
    case 13:
      .tail(lines: random.pick([0, 1, 1, 2, 5, 100]), isError: random.pick([nil, false, true]))
    case 14: .tailBytes(random.pick([0, 1, 5, 30, 1_000, .max]))
    default: .setExit(closing: random.oneIn(4))
    }
  }
}

extension LineSetting {
  static func random(_ random: inout some Choices) -> LineSetting {
    LineSetting(
      capacity: random.pick([1, 5, 20, 80, 400, 100_000]),
      headCapacity: random.pick([0, 0, 0, 5, 60]),
      isError: random.pick([nil, nil, false, true]),
      maxLength: random.pick([4, 5, 7, 16, 1_000]),
      pattern: random.pick(
        ["a", "b\n", "ab", "abab", "aaaa", "aabaab", "ababb\r\n"].map {
          Array($0.utf8)
        }))
  }
}
