import Hummingbird
import Processes

/// The bytes that a request waits for.
///
/// Not a regular expression: how long the search for one takes, its author decides.
struct Literal: Sendable {
  /// The most bytes. What a search keeps of output of tiny chunks grows with them.
  static let lengthLimit = 1024

  let bytes: [UInt8]
  /// The only stream to search; nil for both.
  let stream: StandardStream?

  /// Reads `wait_for` and `wait_for_stream` of a query.
  ///
  /// Returns nil if the query has no `wait_for`.
  init?(_ request: Request) throws {
    let stream = try request.uri.queryParameters["wait_for_stream"].map {
      try Self.stream($0, called: "wait_for_stream")
    }
    // Decoded here, since it may be any bytes, and as forms are, in which a space is a plus.
    let name = "wait_for="
    let values = (request.uri.query ?? "").split(separator: "&")
      .filter { $0.hasPrefix(name) || $0 == name.dropLast() }
    guard let value = values.first else {
      if stream != nil { throw APIError.badRequest("wait_for_stream is for wait_for: add that") }
      return nil
    }
    guard values.count == 1 else { throw APIError.badRequest("wait_for stands twice") }
    let encoded = value.dropFirst(name.count)
    guard let bytes = percentDecoded(Substring(encoded.replacing("+", with: " ")).utf8) else {
      throw APIError.badRequest(
        "wait_for is not percent-encoded: two hexadecimal digits must follow each %")
    }
    guard 1...Self.lengthLimit ~= bytes.count else {
      throw APIError.badRequest("wait_for has \(bytes.count) bytes: \(Self.lengths)")
    }
    self.bytes = bytes
    self.stream = stream
  }

  /// Reads `text` or `data_b64`, and `stream`, of a tool's arguments.
  init(_ arguments: Fields) throws {
    stream = try arguments.string("stream").map {
      try Self.stream($0[...], called: arguments.name("stream"))
    }
    let text = try arguments.string("text").map { Array($0.utf8) }
    let data = try arguments.base64("data_b64")
    guard text == nil || data == nil else {
      throw arguments.error("data_b64", "excludes text")
    }
    guard let bytes = data ?? text else {
      throw APIError.badRequest("\(arguments.name("text")) or data_b64 is missing")
    }
    self.bytes = bytes
    let field = data == nil ? "text" : "data_b64"
    guard 1...Self.lengthLimit ~= bytes.count else {
      throw arguments.error(field, "has \(bytes.count) bytes: \(Self.lengths)")
    }
  }

  private static var lengths: String { "must have from 1 to \(lengthLimit)" }

  private static func stream(_ text: Substring, called name: String) throws -> StandardStream {
    guard let stream = StandardStream(rawValue: String(text)) else {
      throw APIError.badRequest("\(name)=\(text.prefix(40)): must be stdout or stderr")
    }
    return stream
  }
}
