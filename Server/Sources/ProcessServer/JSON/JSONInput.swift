/// A JSON value that a client sent.
///
/// Parsed strictly, as RFC 8259 specifies: a name that occurs twice in an object is an error,
/// because two readers could disagree on which of the two values counts. Numbers stay text until
/// the type of the field is known.
enum JSONInput: Sendable {
  case null
  case bool(Bool)
  case number(String)
  case string(String)
  case array([JSONInput])
  case object([(name: String, value: JSONInput)])

  /// Parses a value from UTF-8 text.
  ///
  /// - Throws: ``APIError`` with 400 that says where the text is wrong.
  init(parsing text: [UInt8]) throws(APIError) {
    var parser = Parser(text)
    self = try parser.document()
  }

  /// The value, to be written.
  var json: JSON {
    switch self {
    case .null: .null
    case .bool(let value): .bool(value)
    case .number(let text): .number(text)
    case .string(let value): .string(value)
    case .array(let values): .array(values.map(\.json))
    case .object(let members): .object(members.map { ($0.name, $0.value.json) })
    }
  }

  /// The value as text again, for comparison: equal values with the same order of names have equal
  /// texts.
  var text: String {
    switch self {
    case .null: "null"
    case .bool(let value): value ? "true" : "false"
    case .number(let text): text
    case .string(let value): JSON.string(value).text
    case .array(let values): "[" + values.map(\.text).joined(separator: ",") + "]"
    case .object(let members):
      "{" + members.map { JSON.string($0.name).text + ":" + $0.value.text }.joined(separator: ",")
        + "}"
    }
  }
}

/// A recursive descent parser over the bytes of the text.
private struct Parser {
  /// The deepest nesting that is accepted: this API's bodies need four levels.
  private static let maxDepth = 64

  private let text: [UInt8]
  private var position = 0
  private var path: [String] = []

  init(_ text: [UInt8]) { self.text = text }

  mutating func document() throws(APIError) -> JSONInput {
    let value = try value(depth: 0)
    skipSpace()
    guard position == text.count else { throw invalid }
    return value
  }

  private var invalid: APIError {
    .badRequest("the body is not valid JSON: see byte \(position)")
  }

  private mutating func skipSpace() {
    while position < text.count, [0x20, 0x09, 0x0a, 0x0d].contains(text[position]) { position += 1 }
  }

  /// Returns the next byte that is not white space; 0 at the end, which occurs nowhere in JSON.
  private mutating func peek() -> UInt8 {
    skipSpace()
    return position < text.count ? text[position] : 0
  }

  private mutating func take(_ byte: Character) throws(APIError) {
    guard peek() == byte.asciiValue else { throw invalid }
    position += 1
  }

  private mutating func value(depth: Int) throws(APIError) -> JSONInput {
    guard depth <= Self.maxDepth else {
      throw .badRequest("the body is nested more than \(Self.maxDepth) levels deep")
    }
    switch peek() {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return .number(try number())
    }
  }

  private mutating func word(_ word: String, _ value: JSONInput) throws(APIError) -> JSONInput {
    guard text[position...].starts(with: word.utf8) else { throw invalid }
    position += word.utf8.count
    return value
  }

  private mutating func array(depth: Int) throws(APIError) -> JSONInput {
    try take("[")
    var values: [JSONInput] = []
    if peek() != UInt8(ascii: "]") {
      while true {
        path.append("[\(values.count)]")
        values.append(try value(depth: depth + 1))
        path.removeLast()
        guard peek() == UInt8(ascii: ",") else { break }
        position += 1
      }
    }
    try take("]")
    return .array(values)
  }

  private mutating func object(depth: Int) throws(APIError) -> JSONInput {
    try take("{")
    var members: [(name: String, value: JSONInput)] = []
    // Compared by bytes: strings that are canonically equivalent are different names.
    var names: Set<[UInt8]> = []
    if peek() != UInt8(ascii: "}") {
      while true {
        guard peek() == UInt8(ascii: "\"") else { throw invalid }
        let name = try string()
        path.append(name)
        guard names.insert(Array(name.utf8)).inserted else {
          throw .badRequest("\(fieldName(path)) stands twice in the body")
        }
        try take(":")
        members.append((name, try value(depth: depth + 1)))
        path.removeLast()
        guard peek() == UInt8(ascii: ",") else { break }
        position += 1
      }
    }
    try take("}")
    return .object(members)
  }

  private mutating func number() throws(APIError) -> String {
    let start = position
    func isDigit(_ at: Int) -> Bool { at < text.count && (0x30...0x39).contains(text[at]) }
    func isByte(_ byte: Character, _ at: Int) -> Bool {
      at < text.count && text[at] == byte.asciiValue
    }
    var end = start
    if isByte("-", end) { end += 1 }
    guard isDigit(end) else { throw invalid }
    // A leading zero is not followed by more digits.
    if isByte("0", end) { end += 1 } else { while isDigit(end) { end += 1 } }
    if isByte(".", end) {
      end += 1
      guard isDigit(end) else { throw invalid }
      while isDigit(end) { end += 1 }
    }
    if isByte("e", end) || isByte("E", end) {
      end += 1
      if isByte("+", end) || isByte("-", end) { end += 1 }
      guard isDigit(end) else { throw invalid }
      while isDigit(end) { end += 1 }
    }
    position = end
    return String(decoding: text[start..<end], as: UTF8.self)
  }

  private mutating func string() throws(APIError) -> String {
    position += 1
    var bytes: [UInt8] = []
    while true {
      let start = position
      while position < text.count, text[position] >= 0x20, text[position] != UInt8(ascii: "\""),
        text[position] != UInt8(ascii: "\\")
      { position += 1 }
      guard position < text.count, text[position] >= 0x20 else { throw invalid }
      bytes += text[start..<position]
      position += 1
      if text[position - 1] == UInt8(ascii: "\"") { break }
      try escape(into: &bytes)
    }
    guard let string = String(validating: bytes, as: UTF8.self) else { throw invalid }
    return string
  }

  private mutating func escape(into bytes: inout [UInt8]) throws(APIError) {
    guard position < text.count else { throw invalid }
    position += 1
    switch text[position - 1] {
    case UInt8(ascii: "\""): bytes.append(UInt8(ascii: "\""))
    case UInt8(ascii: "\\"): bytes.append(UInt8(ascii: "\\"))
    case UInt8(ascii: "/"): bytes.append(UInt8(ascii: "/"))
    case UInt8(ascii: "b"): bytes.append(0x08)
    case UInt8(ascii: "f"): bytes.append(0x0c)
    case UInt8(ascii: "n"): bytes.append(0x0a)
    case UInt8(ascii: "r"): bytes.append(0x0d)
    case UInt8(ascii: "t"): bytes.append(0x09)
    case UInt8(ascii: "u"):
      var code = try unit()
      if (0xd800...0xdbff).contains(code) {
        guard position + 1 < text.count, text[position] == UInt8(ascii: "\\"),
          text[position + 1] == UInt8(ascii: "u")
        else { throw invalid }
        position += 2
        let low = try unit()
        guard (0xdc00...0xdfff).contains(low) else { throw invalid }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw invalid }
      bytes += Array(String(Character(scalar)).utf8)
    default:
      position -= 1
      throw invalid
    }
  }

  private mutating func unit() throws(APIError) -> UInt32 {
    guard position + 4 <= text.count else { throw invalid }
    let digits = text[position..<position + 4]
    guard digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let unit = UInt32(String(decoding: digits, as: UTF8.self), radix: 16)
    else { throw invalid }
    position += 4
    return unit
  }
}

/// A field's name as messages give it, such as `arguments.command[1]`.
func fieldName(_ path: [String]) -> String {
  path.reduce("") { $0.isEmpty || $1.hasPrefix("[") ? $0 + $1 : $0 + "." + $1 }
}

/// The fields of an object that a client sent. Each is read as an expected type.
///
/// A field that is null counts as missing. Fields that the server does not read are ignored.
struct Fields: Sendable {
  private let members: [(name: String, value: JSONInput)]
  /// The path of the object in the body.
  private let path: [String]

  init(_ value: JSONInput, at path: [String] = []) throws(APIError) {
    guard case .object(let members) = value else {
      throw .badRequest("\(path.isEmpty ? "the body" : fieldName(path)) is not an object")
    }
    self.members = members
    self.path = path
  }

  /// The names of the fields, including fields that are null.
  var names: [String] { members.map(\.name) }

  /// The whole object as text.
  var text: String { JSONInput.object(members).text }

  func name(_ field: String) -> String { fieldName(path + [field]) }

  /// Returns the value of a field; nil if there is none.
  subscript(_ field: String) -> JSONInput? {
    guard let member = members.first(where: { $0.name.utf8.elementsEqual(field.utf8) }) else {
      return nil
    }
    if case .null = member.value { return nil }
    return member.value
  }

  /// Returns the error for a field.
  func error(_ field: String, _ message: String) -> APIError {
    .badRequest("\(name(field)) \(message)")
  }

  func require<Value>(_ field: String, _ value: Value?) throws(APIError) -> Value {
    guard let value else { throw error(field, "is missing") }
    return value
  }

  func object(_ field: String) throws(APIError) -> Fields? {
    guard let value = self[field] else { return nil }
    return try Fields(value, at: path + [field])
  }

  func string(_ field: String) throws(APIError) -> String? {
    guard let value = self[field] else { return nil }
    guard case .string(let string) = value else { throw error(field, "is not a string") }
    return string
  }

  func bool(_ field: String) throws(APIError) -> Bool? {
    guard let value = self[field] else { return nil }
    guard case .bool(let bool) = value else { throw error(field, "is not true or false") }
    return bool
  }

  /// Returns an integer, which may be written as `1.0` or `1e3`.
  func integer(_ field: String, in range: ClosedRange<Int>) throws(APIError) -> Int? {
    guard let value = self[field] else { return nil }
    guard case .number(let text) = value else { throw error(field, "is not an integer") }
    let bounds =
      range.upperBound == .max
      ? "at least \(range.lowerBound)" : "from \(range.lowerBound) to \(range.upperBound)"
    if let integer = Int(text) ?? Double(text).flatMap({ Int(exactly: $0) }) {
      guard range.contains(integer) else {
        throw error(field, "is \(integer): must be \(bounds)")
      }
      return integer
    }
    guard let double = Double(text), double.rounded() == double else {
      throw error(field, "is \(text.prefix(40)): not an integer")
    }
    let isAbove = double > 0 && range.upperBound == .max
    let limits = isAbove ? "at most \(range.upperBound)" : bounds
    throw error(field, "is \(text.prefix(40)): must be \(limits)")
  }

  /// Bytes in base64.
  func base64(_ field: String) throws(APIError) -> [UInt8]? {
    guard let text = try string(field) else { return nil }
    guard let bytes = [UInt8](base64: text.utf8) else {
      throw error(field, "is not base64 (RFC 4648, with padding, and nothing else)")
    }
    return bytes
  }
}

extension [UInt8] {
  /// Decodes base64 text (RFC 4648, section 4) in the one form that encoders write. Returns nil for
  /// any other text: with a missing or misplaced padding, other characters, or bits after the last
  /// byte.
  init?(base64 text: some Collection<UInt8>) {
    guard text.count % 4 == 0 else { return nil }
    self = []
    reserveCapacity(text.count / 4 * 3)
    var bits: UInt32 = 0
    var count = 0
    var padding = 0
    for character in text {
      let value = sextets[Int(character)]
      if value < 64 {
        guard padding == 0 else { return nil }
        bits = bits << 6 | UInt32(value)
      } else {
        guard character == UInt8(ascii: "=") else { return nil }
        padding += 1
        bits <<= 6
      }
      count += 1
      guard count % 4 == 0 else { continue }
      append(UInt8(truncatingIfNeeded: bits >> 16))
      if padding < 2 { append(UInt8(truncatingIfNeeded: bits >> 8)) }
      if padding < 1 { append(UInt8(truncatingIfNeeded: bits)) }
      let rest: UInt32 = padding == 0 ? 0 : padding == 1 ? 0xff : 0xffff
      guard bits & rest == 0, padding <= 2 else { return nil }
      // Nothing may follow the padding.
      guard padding == 0 || count == text.count else { return nil }
      bits = 0
    }
  }
}

/// The value of each character in base64; 255 for characters without a value.
private let sextets: [UInt8] = {
  let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  var table = [UInt8](repeating: 255, count: 256)
  for (value, character) in alphabet.utf8.enumerated() { table[Int(character)] = UInt8(value) }
  return table
}()
