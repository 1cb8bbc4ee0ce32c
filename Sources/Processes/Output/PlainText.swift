/// The text of output as a terminal would leave it in each line: without escape sequences, and with
/// what was overwritten replaced, so that a progress bar is its last state.
///
/// ```swift
/// print(PlainText(session.output().chunks.payload))
/// ```
///
/// For readers that are no terminals, such as agents and logs. It models single lines, and no
/// screen:
///
/// - Escape sequences and control characters are left out, by ECMA-48: with `ESC`, or as the
///   characters U+0080 to U+009F. A tab stays; vertical tab, form feed, IND and NEL end the line
///   like a line feed.
/// - A carriage return, a backspace and the sequences CHA, HPA, CUF, HPR, CUB and HPB move within
///   the line, and the next character replaces the one that is there. CUF and the like move beyond
///   the text of the line by as many columns as the sequence has bytes, and no further.
/// - EL, and ED as if there were this line alone, erase. A sequence that moves to another line ends
///   this one, unless it is empty.
/// - A sequence that is cut off by the end is left out. One that is malformed ends before the first
///   byte that does not fit. A control string (OSC, DCS, SOS, PM, APC) that is not terminated ends
///   with its line: an `ESC`, a line feed and a carriage return end it, as CAN and SUB do, and BEL
///   ends an OSC. So one stray byte takes a line of text at most.
/// - The text is UTF-8. A `?` stands for bytes that are not: for each as many as `String` would
///   replace by U+FFFD. So what is left never forms another sequence.
/// - Each Unicode scalar counts as one column, and so does a tab: double width, combining
///   characters and tab stops are not modelled. In a line of more than 4096 columns, what moves and
///   erases reaches the last row alone, as on a terminal of that width.
///
/// Nothing is carried over a line feed: to convert the lines one at a time gives the same text. A
/// reader that polls can therefore convert the complete lines of each read, and what is left with
/// the next one.
///
/// The text of plain text is the same text.
public struct PlainText: Sendable, Hashable {
  /// The text in UTF-8, never more bytes than were converted.
  public let bytes: [UInt8]

  /// Converts bytes of output.
  ///
  /// - Parameter bytes: Output of a terminal or a pipe, usually UTF-8.
  /// - Complexity: O(bytes), whatever they are. Allocates as many bytes as there are, and 16 KiB
  ///   for the row that is being edited.
  public init(_ bytes: some Collection<UInt8>) {
    let converted = bytes.withContiguousStorageIfAvailable { bytes in
      PlainText(unsafe Span(_unsafeElements: bytes), columns: Self.columns)
    }
    self = converted ?? PlainText(Array(bytes))
  }

  /// Converts bytes of output; see the form for collections.
  public init(_ bytes: RawSpan) {
    self.init(unsafe bytes._unsafeView(as: UInt8.self), columns: Self.columns)
  }

  private static let columns = 4096

  /// Converts bytes of output as on a terminal of a width. Only tests choose it.
  ///
  /// - Precondition: `columns` is positive.
  package init(_ bytes: Span<UInt8>, columns: Int) {
    var parser = PlainTextParser(limit: bytes.count, columns: columns)
    parser.parse(bytes)
    self.bytes = parser.line.finish()
  }
}

extension PlainText: CustomStringConvertible {
  /// The text.
  public var description: String { String(decoding: bytes, as: UTF8.self) }
}

/// Finds the characters, controls and sequences in output, and passes them to a ``PlainLine``.
struct PlainTextParser: ~Copyable {
  var line: PlainLine

  init(limit: Int, columns: Int) { line = PlainLine(limit: limit, columns: columns) }

  mutating func parse(_ input: borrowing Span<UInt8>) {
    var index = 0
    while index < input.count {
      let end = Self.endOfASCII(input, from: index)
      if end > index {
        line.append(ascii: input.extracting(index..<end))
        index = end
      } else {
        index = parseOther(input, at: index)
      }
    }
  }

  /// Returns the end of the printable ASCII characters and tabs that begin at an index.
  private static func endOfASCII(_ input: borrowing Span<UInt8>, from start: Int) -> Int {
    var index = start
    while index <= input.count - 8 {
      let word = unsafe input.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
      // A byte of 0x80 or more, of 0x7f, or of less than 0x20. A carry or borrow into a byte comes
      // from a byte that is one of these itself.
      let others =
        (word | (word &+ 0x0101_0101_0101_0101) | (~word & (word &- 0x2020_2020_2020_2020)))
        & 0x8080_8080_8080_8080
      if others != 0 { break }
      index += 8
    }
    while index < input.count, 0x20...0x7e ~= input[index] || input[index] == 0x09 { index += 1 }
    return index
  }

  /// Passes on what begins at an index and is not printable ASCII. Returns where it ends.
  private mutating func parseOther(_ input: borrowing Span<UInt8>, at index: Int) -> Int {
    switch input[index] {
    case 0x08:
      line.move(by: -1)
    case 0x0a, 0x0b, 0x0c:
      line.end()
    case 0x0d:
      // Most lines of a terminal end in both: nothing is overwritten there.
      if index + 1 < input.count, input[index + 1] == 0x0a { break }
      line.move(to: 0)
    case 0x1b:
      return parseEscape(input, at: index)
    case 0x80...:
      return parseCharacter(input, at: index)
    default:
      break
    }
    return index + 1
  }

  private mutating func parseCharacter(_ input: borrowing Span<UInt8>, at index: Int) -> Int {
    let (length, isValid) = Self.character(input, at: index)
    guard isValid else {
      line.append(UInt32(UInt8(ascii: "?")))
      return index + length
    }
    // U+0080 to U+009F are ESC @ to ESC _.
    if input[index] == 0xc2, input[index + 1] < 0xa0 {
      return parseControl(input[index + 1] - 0x40, input, from: index + 2, start: index)
    }
    var character: UInt32 = 0
    for place in 0..<length { character |= UInt32(input[index + place]) << (8 * place) }
    line.append(character)
    return index + length
  }

  /// Returns the length of the character that begins at an index, or of the bytes that cannot begin
  /// one: as many as begin a character that goes on otherwise, or one.
  private static func character(
    _ input: borrowing Span<UInt8>, at index: Int
  ) -> (length: Int, isValid: Bool) {
    // What may follow the first byte, and how many more bytes follow that.
    let (second, rest): (ClosedRange<UInt8>, Int) =
      switch input[index] {
      case 0xc2...0xdf: (0x80...0xbf, 0)
      case 0xe0: (0xa0...0xbf, 1)
      case 0xed: (0x80...0x9f, 1)
      case 0xe1...0xef: (0x80...0xbf, 1)
      case 0xf0: (0x90...0xbf, 2)
      case 0xf1...0xf3: (0x80...0xbf, 2)
      case 0xf4: (0x80...0x8f, 2)
      default: (0...0, -1)
      }
    guard rest >= 0, index + 1 < input.count, second ~= input[index + 1] else { return (1, false) }
    for place in 0..<rest {
      guard index + 2 + place < input.count, 0x80...0xbf ~= input[index + 2 + place] else {
        return (2 + place, false)
      }
    }
    return (2 + rest, true)
  }

  private mutating func parseEscape(_ input: borrowing Span<UInt8>, at index: Int) -> Int {
    var next = index + 1
    guard next < input.count else { return next }
    switch input[next] {
    case 0x20...0x2f:
      while next < input.count, 0x20...0x2f ~= input[next] { next += 1 }
      return next < input.count && 0x30...0x7e ~= input[next] ? next + 1 : next
    case 0x30...0x7e:
      return parseControl(input[next], input, from: next + 1, start: index)
    default:
      return next
    }
  }

  /// Carries out the control function `ESC` with a final byte.
  ///
  /// - Parameters:
  ///   - index: What follows the final byte.
  ///   - start: Where the sequence begins.
  /// - Returns: The end of the sequence.
  private mutating func parseControl(
    _ final: UInt8, _ input: borrowing Span<UInt8>, from index: Int, start: Int
  ) -> Int {
    switch final {
    case UInt8(ascii: "["):
      return parseControlSequence(input, from: index, start: start)
    case UInt8(ascii: "]"):
      return Self.endOfString(input, from: index, endsAtBell: true)
    case UInt8(ascii: "P"), UInt8(ascii: "X"), UInt8(ascii: "^"), UInt8(ascii: "_"):
      return Self.endOfString(input, from: index, endsAtBell: false)
    case UInt8(ascii: "D"), UInt8(ascii: "E"):
      line.end()
    case UInt8(ascii: "M"):
      line.leave()
    default:
      break
    }
    return index
  }

  private static func endOfString(
    _ input: borrowing Span<UInt8>, from start: Int, endsAtBell: Bool
  ) -> Int {
    var index = start
    while index < input.count {
      switch input[index] {
      case 0x07 where endsAtBell: return index + 1
      case 0x18, 0x1a: return index + 1
      case 0x0a, 0x0d: return index
      case 0x1b:
        let isTerminator = index + 1 < input.count && input[index + 1] == UInt8(ascii: "\\")
        return isTerminator ? index + 2 : index
      case 0xc2 where index + 1 < input.count && input[index + 1] == 0x9c: return index + 2
      default: index += 1
      }
    }
    return index
  }

  /// A number that is beyond every row, and can be added to a column.
  private static let farAway = 1_000_000

  private mutating func parseControlSequence(
    _ input: borrowing Span<UInt8>, from first: Int, start: Int
  ) -> Int {
    var (index, number) = (first, 0)
    // The functions that are carried out have one parameter, and no private or intermediate bytes.
    var (isFirstParameter, isStandard) = (true, true)
    while index < input.count {
      let byte = input[index]
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"):
        if isFirstParameter {
          number = min(number * 10 + Int(byte - UInt8(ascii: "0")), Self.farAway)
        }
      case UInt8(ascii: ":"), UInt8(ascii: ";"):
        isFirstParameter = false
      case 0x20...0x3f:
        isStandard = false
      case 0x40...0x7e:
        if isStandard { carryOut(byte, number, length: index + 1 - start) }
        return index + 1
      default:
        return index
      }
      index += 1
    }
    return index
  }

  /// - Parameters:
  ///   - number: The first parameter; 0 if it is left out.
  ///   - length: The number of bytes of the sequence.
  private mutating func carryOut(_ final: UInt8, _ number: Int, length: Int) {
    switch final {
    case UInt8(ascii: "G"), UInt8(ascii: "`"): line.move(to: max(number, 1) - 1, atMost: length)
    case UInt8(ascii: "C"), UInt8(ascii: "a"): line.move(by: max(number, 1), atMost: length)
    case UInt8(ascii: "D"), UInt8(ascii: "j"): line.move(by: -max(number, 1))
    case UInt8(ascii: "K"), UInt8(ascii: "J"): line.erase(number)
    case UInt8(ascii: "A"), UInt8(ascii: "B"), UInt8(ascii: "E"), UInt8(ascii: "F"),
      UInt8(ascii: "H"), UInt8(ascii: "f"), UInt8(ascii: "d"), UInt8(ascii: "e"),
      UInt8(ascii: "k"):
      line.leave()
    default: break
    }
  }
}
