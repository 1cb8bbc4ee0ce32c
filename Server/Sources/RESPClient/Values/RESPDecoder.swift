package import NIOCore

/// Input that is not RESP, or that goes beyond a limit.
package struct RESPError: Error, Hashable, CustomStringConvertible {
  /// What was wrong. Holds no part of a payload.
  package let description: String

  init(_ description: String) { self.description = description }
}

/// Decodes RESP2 and RESP3 from bytes that arrive in any pieces.
///
///     *2\r\n        opens an array, which stays open until two values have been appended
///     $5\r\n        announces a payload
///     hello\r\n     the payload: the array's first value
///     :1\r\n        a scalar: the array's second value, which completes the array
///
/// The decoder keeps what it has of a value that is not complete: the open aggregates, the
/// announced payload, and how much of a line it has searched for the end. So each byte is looked at
/// once, in whatever pieces it arrives. What a header announces occupies no memory before it has
/// arrived.
///
/// Two parts of RESP3 are refused, because they are sent only to a client that asked for RESP3:
/// attributes, and aggregates or strings of which the length is not known in advance.
package struct RESPDecoder: NIOSingleStepByteToMessageDecoder {
  package typealias InboundOut = RESPValue

  /// How large one value may be. More is malformed input.
  package struct Limits: Sendable {
    /// Aggregates inside each other.
    package var depth = 32
    /// Bytes of a line, without its end.
    package var lineBytes = 64 << 10
    /// Bytes of one payload.
    package var bulkBytes = 64 << 20
    /// Bytes of all lines and payloads of a value.
    package var valueBytes = 256 << 20
    /// Elements of all aggregates of a value; a pair of a map is two.
    package var elements = 1 << 20

    package init() {}
  }

  private struct Aggregate {
    let kind: UInt8
    let count: Int
    var elements: [RESPValue] = []

    var value: RESPValue { RESPDecoder.value(ofKind: kind, elements: elements) }
  }

  private enum Step {
    case value(RESPValue)
    case opened(Aggregate)
    case announced(kind: UInt8, count: Int)
  }

  private let limits: Limits
  private var open: [Aggregate] = []
  private var announced: (kind: UInt8, count: Int)?
  /// The bytes of the line at the reader index that hold no end of a line.
  private var searched = 0
  /// What has been announced of the current value.
  private var elements = 0
  private var bytes = 0

  package init(limits: Limits = Limits()) { self.limits = limits }

  /// Reads the next value, or as much of it as there is.
  ///
  /// - Returns: nil if more bytes are needed.
  /// - Throws: ``RESPError``; what follows cannot be decoded then.
  /// - Complexity: O(bytes read), over all calls for a value together.
  package mutating func decode(buffer: inout ByteBuffer) throws -> RESPValue? {
    while let step = try nextStep(&buffer) {
      switch step {
      case .announced(let kind, let count): announced = (kind, count)
      case .opened(let aggregate): open.append(aggregate)
      case .value(let value):
        if let value = append(value) {
          (elements, bytes) = (0, 0)
          return value
        }
      }
    }
    return nil
  }

  package mutating func decodeLast(buffer: inout ByteBuffer, seenEOF: Bool) throws -> RESPValue? {
    try decode(buffer: &buffer)
  }

  /// Appends a value to the innermost open aggregate.
  ///
  /// - Returns: The outermost value, if that is complete now.
  private mutating func append(_ value: RESPValue) -> RESPValue? {
    var value = value
    while var aggregate = open.popLast() {
      aggregate.elements.append(value)
      guard aggregate.elements.count == aggregate.count else {
        open.append(aggregate)
        return nil
      }
      value = aggregate.value
    }
    return value
  }

  private mutating func nextStep(_ buffer: inout ByteBuffer) throws(RESPError) -> Step? {
    if let announced {
      guard let payload = try takePayload(announced.count, &buffer) else { return nil }
      self.announced = nil
      return .value(try Self.value(kind: announced.kind, payload: payload))
    }
    guard let kind = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return nil }
    guard Self.kinds.contains(kind) else {
      throw RESPError("a value begins with byte \(kind), which is no type")
    }
    guard let line = try takeLine(&buffer) else { return nil }
    let text = line.dropFirst()
    try count(bytes: line.count)
    switch kind {
    case UInt8(ascii: "$"), UInt8(ascii: "*"):
      if text.elementsEqual("-1".utf8) { return .value(.null) }
      return try begin(kind, count: Self.count(text))
    case UInt8(ascii: "!"), UInt8(ascii: "="), UInt8(ascii: "%"), UInt8(ascii: "~"),
      UInt8(ascii: ">"):
      return try begin(kind, count: Self.count(text))
    default: return .value(try Self.value(kind: kind, text: text))
    }
  }

  /// Begins a payload or an aggregate.
  private mutating func begin(_ kind: UInt8, count: Int) throws(RESPError) -> Step {
    switch kind {
    case UInt8(ascii: "$"), UInt8(ascii: "!"), UInt8(ascii: "="):
      guard count <= limits.bulkBytes else {
        throw RESPError("a payload has \(count) bytes; it may have \(limits.bulkBytes)")
      }
      try self.count(bytes: count)
      return .announced(kind: kind, count: count)
    default:
      let limit = limits.elements - elements
      let (own, overflow) = count.multipliedReportingOverflow(by: kind == UInt8(ascii: "%") ? 2 : 1)
      guard !overflow, own <= limit else {
        throw RESPError("a value has more than \(limits.elements) elements")
      }
      guard open.count < limits.depth else {
        throw RESPError("a value has more than \(limits.depth) levels")
      }
      elements += own
      let aggregate = Aggregate(kind: kind, count: own)
      return own == 0 ? .value(aggregate.value) : .opened(aggregate)
    }
  }

  private mutating func count(bytes count: Int) throws(RESPError) {
    bytes += count
    guard bytes <= limits.valueBytes else {
      throw RESPError("a value has more than \(limits.valueBytes) bytes")
    }
  }

  /// Takes a line, and returns it without its end; nil if it has not arrived completely.
  private mutating func takeLine(_ buffer: inout ByteBuffer) throws(RESPError) -> ByteBufferView? {
    let view = buffer.readableBytesView
    let end = view.dropFirst(searched).firstIndex { $0 == 0x0d || $0 == 0x0a } ?? view.endIndex
    searched = end - view.startIndex
    guard searched <= limits.lineBytes else {
      throw RESPError("a line has more than \(limits.lineBytes) bytes")
    }
    guard end < view.endIndex else { return nil }
    guard view[end] == 0x0d else { throw RESPError("a line ends without a carriage return") }
    guard end + 1 < view.endIndex else { return nil }
    guard view[end + 1] == 0x0a else { throw RESPError("a line has a carriage return inside") }
    buffer.moveReaderIndex(forwardBy: searched + 2)
    searched = 0
    return view[view.startIndex..<end]
  }

  /// Takes a payload with its end; nil if it has not arrived completely.
  private func takePayload(
    _ count: Int, _ buffer: inout ByteBuffer
  ) throws(RESPError) -> ByteBuffer? {
    guard buffer.readableBytes >= count + 2, let slice = buffer.readSlice(length: count) else {
      return nil
    }
    guard buffer.readInteger(as: UInt16.self) == 0x0d0a else {
      throw RESPError("a payload is longer than announced")
    }
    // A slice keeps all of the storage alive, and makes the next append to the storage copy it.
    return count >= buffer.storageCapacity / 2 ? slice : ByteBuffer(buffer: slice)
  }
}
