import NIOCore

/// Values, from lines and payloads.
extension RESPDecoder {
  /// The first bytes of values.
  static let kinds = Array("+-:$*_#,(!=%~>".utf8)

  /// Returns the value of a line, without its type.
  static func value(
    kind: UInt8, text: ByteBufferView
  ) throws(RESPError) -> RESPValue {
    switch kind {
    case UInt8(ascii: "+"): return .simpleString(String(decoding: text, as: UTF8.self))
    case UInt8(ascii: "-"): return .error(String(decoding: text, as: UTF8.self))
    case UInt8(ascii: ":"):
      guard let number = integer(text) else { throw RESPError("an integer is not one of 64 bits") }
      return .integer(number)
    case UInt8(ascii: "_"):
      guard text.isEmpty else { throw RESPError("a null has a value") }
      return .null
    case UInt8(ascii: "#"):
      if text.elementsEqual("t".utf8) { return .boolean(true) }
      if text.elementsEqual("f".utf8) { return .boolean(false) }
      throw RESPError("a boolean is neither t nor f")
    case UInt8(ascii: ","):
      guard let number = double(text) else { throw RESPError("a double is not a number") }
      return .double(number)
    default:
      let digits = [0x2b, 0x2d].contains(text.first) ? text.dropFirst() : text
      guard !digits.isEmpty, digits.allSatisfy(isDigit) else {
        throw RESPError("a big number is not a number")
      }
      return .bigNumber(String(decoding: text, as: UTF8.self))
    }
  }

  /// Returns the value of a payload.
  static func value(kind: UInt8, payload: ByteBuffer) throws(RESPError) -> RESPValue {
    switch kind {
    case UInt8(ascii: "$"): return .bulk(payload)
    case UInt8(ascii: "!"): return .error(String(buffer: payload))
    default:
      var text = payload
      guard let format = text.readString(length: 3), text.readInteger() == UInt8(ascii: ":") else {
        throw RESPError("a verbatim string has no format")
      }
      return .verbatim(format: format, text)
    }
  }

  /// Returns the value of an aggregate's elements.
  static func value(ofKind kind: UInt8, elements: [RESPValue]) -> RESPValue {
    switch kind {
    case UInt8(ascii: "*"): .array(elements)
    case UInt8(ascii: "~"): .set(elements)
    case UInt8(ascii: ">"): .push(elements)
    default:
      .map(
        stride(from: 0, to: elements.count, by: 2).map { .init(elements[$0], elements[$0 + 1]) })
    }
  }

  /// Returns the length in a header: digits without a sign.
  static func count(_ text: ByteBufferView) throws(RESPError) -> Int {
    guard let first = text.first, isDigit(first), let count = integer(text) else {
      throw RESPError("a length is not a number")
    }
    return count
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  private static func integer(_ text: ByteBufferView) -> Int? {
    let isSigned = text.first == UInt8(ascii: "-") || text.first == UInt8(ascii: "+")
    let digits = isSigned ? text.dropFirst() : text
    guard !digits.isEmpty else { return nil }
    // Below zero there is one number more.
    var negative = 0
    for digit in digits {
      guard isDigit(digit) else { return nil }
      let (product, isTooLarge) = negative.multipliedReportingOverflow(by: 10)
      let (sum, isSumTooLarge) = product.subtractingReportingOverflow(Int(digit - 0x30))
      guard !isTooLarge, !isSumTooLarge else { return nil }
      negative = sum
    }
    if text.first == UInt8(ascii: "-") { return negative }
    return negative == .min ? nil : -negative
  }

  private static func double(_ text: ByteBufferView) -> Double? {
    let string = String(decoding: text, as: UTF8.self)
    switch string {
    case "inf": return .infinity
    case "-inf": return -.infinity
    case "nan", "-nan": return .nan
    default:
      // `Double.init` reads more than RESP has, such as hexadecimal.
      guard text.allSatisfy({ isDigit($0) || "+-.eE".utf8.contains($0) }) else { return nil }
      return Double(string)
    }
  }
}
