package import NIOCore

/// A value of RESP2 or RESP3.
///
/// Lines are text: bytes in them that are not UTF-8 become U+FFFD. Payloads are bytes.
package enum RESPValue: Sendable, Hashable {
  case simpleString(String)
  /// An error reply, such as `WRONGTYPE Operation against a key…`.
  case error(String)
  case integer(Int)
  case bulk(ByteBuffer)
  /// A null of any of the three kinds: bulk, array, or that of RESP3.
  case null
  case array([RESPValue])
  case map([Pair])
  case set([RESPValue])
  case double(Double)
  case boolean(Bool)
  /// A number of any size, in decimal.
  case bigNumber(String)
  /// Text with its format, which is three bytes such as `txt` or `mkd`.
  case verbatim(format: String, ByteBuffer)
  /// What the server sends without having been asked.
  case push([RESPValue])

  /// A key of a map and its value.
  package struct Pair: Sendable, Hashable {
    package var key: RESPValue
    package var value: RESPValue

    package init(_ key: RESPValue, _ value: RESPValue) {
      self.key = key
      self.value = value
    }
  }
}

extension RESPValue {
  /// The value, if it is an integer.
  package var integer: Int? {
    if case .integer(let number) = self { number } else { nil }
  }

  /// The text of a simple string, a bulk or a verbatim string; bytes that are not UTF-8 become
  /// U+FFFD.
  package var string: String? {
    switch self {
    case .simpleString(let text): text
    case .bulk(let bytes), .verbatim(_, let bytes): String(buffer: bytes)
    default: nil
    }
  }

  /// The bytes of a simple string, a bulk or a verbatim string.
  package var bytes: ByteBuffer? {
    switch self {
    case .simpleString(let text): ByteBuffer(string: text)
    case .bulk(let bytes), .verbatim(_, let bytes): bytes
    default: nil
    }
  }

  /// The elements of an array, a set or a push.
  package var array: [RESPValue]? {
    switch self {
    case .array(let elements), .set(let elements), .push(let elements): elements
    default: nil
    }
  }

  /// The text of an error reply.
  package var errorText: String? {
    if case .error(let text) = self { text } else { nil }
  }
}
