import NIOCore
import RESPClient

extension RESPValue {
  /// The value as a server sends it.
  var encoded: [UInt8] {
    switch self {
    case .simpleString(let text): Array("+\(text)\r\n".utf8)
    case .error(let text): Array("-\(text)\r\n".utf8)
    case .integer(let number): Array(":\(number)\r\n".utf8)
    case .bulk(let bytes): Array("$\(bytes.readableBytes)\r\n".utf8) + bytes.readableBytesView + end
    case .null: Array("_\r\n".utf8)
    case .array(let elements): aggregate("*", elements)
    case .set(let elements): aggregate("~", elements)
    case .push(let elements): aggregate(">", elements)
    case .map(let pairs):
      Array("%\(pairs.count)\r\n".utf8) + pairs.flatMap { $0.key.encoded + $0.value.encoded }
    case .double(let number): Array(",\(number)\r\n".utf8)
    case .boolean(let isTrue): Array("#\(isTrue ? "t" : "f")\r\n".utf8)
    case .bigNumber(let digits): Array("(\(digits)\r\n".utf8)
    case .verbatim(let format, let bytes):
      Array("=\(bytes.readableBytes + 4)\r\n\(format):".utf8) + bytes.readableBytesView + end
    }
  }

  private var end: [UInt8] { [0x0d, 0x0a] }

  private func aggregate(_ kind: String, _ elements: [RESPValue]) -> [UInt8] {
    Array("\(kind)\(elements.count)\r\n".utf8) + elements.flatMap(\.encoded)
  }

  /// A bulk of text.
  static func bulk(_ text: String) -> RESPValue { .bulk(ByteBuffer(string: text)) }
}
