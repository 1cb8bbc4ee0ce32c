/// Plain text as `PlainText` documents it, made the slow way: the output as characters, a line as
/// an array of rows of them.
package struct PlainTextModel {
  /// A character; nil for bytes that are not UTF-8.
  private typealias Character = Unicode.Scalar?

  private let input: [(character: Character, length: Int)]
  private let columns: Int
  private var position = 0
  private var lines = ""
  private var row: [Unicode.Scalar] = []
  private var column = 0
  private var extent = 0

  /// Returns the plain text of output, on a terminal of a width.
  package static func bytes(of output: [UInt8], columns: Int = 4096) -> [UInt8] {
    var model = PlainTextModel(output, columns)
    while let character = model.next() { model.take(character) }
    model.newRow()
    return Array(model.lines.utf8)
  }

  private init(_ output: [UInt8], _ columns: Int) {
    var (parser, bytes) = (Unicode.UTF8.ForwardParser(), output.makeIterator())
    var input: [(Character, Int)] = []
    loop: while true {
      switch parser.parseScalar(from: &bytes) {
      case .valid(let encoded): input.append((Unicode.UTF8.decode(encoded), encoded.count))
      case .error(let length): input.append((nil, length))
      case .emptyInput: break loop
      }
    }
    self.input = input
    self.columns = columns
  }

  // MARK: Reading

  private var peeked: Character? {
    guard position < input.count else { return nil }
    return .some(input[position].character)
  }

  private mutating func next() -> Character? {
    defer { position += 1 }
    return peeked
  }

  private mutating func skip(while condition: (Unicode.Scalar) -> Bool) {
    while case .some(.some(let scalar)) = peeked, condition(scalar) { position += 1 }
  }

  private mutating func take(_ character: Character) {
    let start = position - 1
    guard let scalar = character else { return put("?") }
    switch scalar {
    case "\n", "\u{b}", "\u{c}": newLine()
    case "\r": column = 0
    case "\u{8}": column = max(0, column - 1)
    case "\t", " "..."~", "\u{a0}"...: put(scalar)
    case "\u{1b}":
      guard case .some(.some(let second)) = peeked else { return }
      switch second {
      case " "..."/":
        skip { " "..."/" ~= $0 }
        if case .some(.some("0"..."~")) = peeked { position += 1 }
      case "0"..."~":
        position += 1
        control(second, start)
      default: break
      }
    case "\u{80}"..."\u{9f}": control(Unicode.Scalar(scalar.value - 0x40)!, start)
    default: break
    }
  }

  private mutating func control(_ final: Unicode.Scalar, _ start: Int) {
    switch final {
    case "D", "E": newLine()
    case "M": leave()
    case "]", "P", "X", "^", "_":
      while case .some(let character) = peeked {
        switch character {
        case "\n", "\r": return
        case "\u{1b}":
          guard position + 1 < input.count, input[position + 1].character == "\\" else { return }
          position += 2
          return
        case "\u{9c}", "\u{18}", "\u{1a}":
          position += 1
          return
        case "\u{7}" where final == "]":
          position += 1
          return
        default: position += 1
        }
      }
    case "[":
      var parameters = ""
      while case .some(.some(let scalar)) = peeked, " "..."?" ~= scalar {
        parameters.unicodeScalars.append(scalar)
        position += 1
      }
      guard case .some(.some(let last)) = peeked, "@"..."~" ~= last else { return }
      position += 1
      let length = input[start..<position].reduce(0) { $0 + $1.length }
      guard parameters.allSatisfy({ $0.isNumber || $0 == ";" || $0 == ":" }) else { return }
      let first = parameters.prefix { $0.isNumber }
      carryOut(last, first.isEmpty ? 0 : Int(first) ?? .max, length)
    default: break
    }
  }

  private mutating func carryOut(_ final: Unicode.Scalar, _ number: Int, _ length: Int) {
    let count = min(max(number, 1), 1_000_000)
    switch final {
    case "G", "`": move(to: count - 1, length)
    case "C", "a": move(to: column + count, length)
    case "D", "j": column = max(0, column - count)
    case "K", "J":
      switch number {
      case 0: row = Array(row.prefix(column))
      case 1:
        row = Array(repeating: " ", count: min(column + 1, row.count)) + row.dropFirst(column + 1)
        if row.count <= column + 1 { row = [] }
      case 2: row = []
      default: break
      }
    case "A", "B", "E", "F", "H", "f", "d", "e", "k": leave()
    default: break
    }
  }

  // MARK: Writing

  private mutating func put(_ scalar: Unicode.Scalar) {
    if column == columns { newRow() }
    while row.count <= column { row.append(" ") }
    row[column] = scalar
    column += 1
    extent = max(extent, column)
  }

  private mutating func move(to target: Int, _ length: Int) {
    column = min(target, columns, extent + length)
    extent = max(extent, column)
  }

  private mutating func newRow() {
    for scalar in row { lines.unicodeScalars.append(scalar) }
    (row, column, extent) = ([], 0, 0)
  }

  private mutating func newLine() {
    newRow()
    lines.unicodeScalars.append("\n")
  }

  private mutating func leave() {
    if row.isEmpty { newRow() } else { newLine() }
  }
}
