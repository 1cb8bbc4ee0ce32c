import HTTPTypes
import Hummingbird

/// The header fields in which a request repeats parts of its message, for those on its way that do
/// not read bodies.
struct MCPHeaders: Sendable {
  /// The revision that the request names; nil if it names none.
  let revision: MCPRevision?
  private let version: String?
  private let method: String?
  private let name: String?

  /// - Throws: ``MCPError`` for a revision that this server does not know, or a field that stands
  ///   twice.
  init(_ request: Request) throws(MCPError) {
    version = try Self.value(of: "MCP-Protocol-Version", in: request)
    method = try Self.value(of: "Mcp-Method", in: request)
    name = try Self.value(of: "Mcp-Name", in: request)
    revision = version.flatMap { MCPRevision(rawValue: $0) }
    if let version, revision == nil { throw .unsupported(version) }
  }

  private static func value(of name: String, in request: Request) throws(MCPError) -> String? {
    let values = HTTPField.Name(name).map { request.headers[values: $0] } ?? []
    guard values.count <= 1 else {
      throw MCPError(.headerMismatch, "Header mismatch: \(name) stands twice")
    }
    return values.first
  }

  /// Returns the revision that a request speaks.
  ///
  /// - Throws: ``MCPError`` if its parts do not agree, or if it speaks a revision that this server
  ///   does not know.
  func revision(of request: MCPRequest) throws(MCPError) -> MCPRevision {
    guard let stated = try request.statedRevision else {
      guard revision?.isStateless == true, request.method != "initialize" else {
        // Without the field, the revision is that before there was one.
        return revision.flatMap { $0.isStateless ? nil : $0 } ?? .unnamed
      }
      throw MCPError(
        .invalidParams,
        "params._meta must have \(API.MCPMeta.version) and"
          + " \(API.MCPMeta.capabilities)")
    }
    try check("MCP-Protocol-Version", version, stated)
    try check("Mcp-Method", method, request.method)
    let named = ["tools/call": "name", "prompts/get": "name", "resources/read": "uri"]
    if let field = named[request.method], case .string(let value)? = request.params[field] {
      try check("Mcp-Name", name.flatMap { Self.decoded($0) }, value)
    }
    guard let revision = MCPRevision(rawValue: stated), revision.isStateless else {
      throw .unsupported(stated)
    }
    return revision
  }

  private func check(_ name: String, _ value: String?, _ expected: String) throws(MCPError) {
    guard value == expected else {
      let given = value.map { "is \($0.prefix(100))" } ?? "is missing or malformed"
      throw MCPError(
        .headerMismatch,
        "Header mismatch: \(name) \(given), and the body has \(expected.prefix(100))")
    }
  }

  /// Decodes a value that may be base64 between `=?base64?` and `?=`.
  ///
  /// Returns nil if that is malformed.
  private static func decoded(_ value: String) -> String? {
    let (start, end) = ("=?base64?", "?=")
    guard value.hasPrefix(start), value.hasSuffix(end), value.count >= start.count + end.count
    else { return value }
    let text = value.dropFirst(start.count).dropLast(end.count)
    return [UInt8](base64: text.utf8).flatMap { String(validating: $0, as: UTF8.self) }
  }
}

extension MCPRequest {
  /// The revision that the request itself names, as all do since the handshake is gone; nil for one
  /// of an earlier revision, and for a handshake.
  ///
  /// - Throws: ``MCPError`` if it names one, and lacks what goes with it.
  var statedRevision: String? {
    get throws(MCPError) {
      guard method != "initialize" else { return nil }
      do throws(APIError) {
        guard let meta = try params.object("_meta"),
          let version = try meta.string(API.MCPMeta.version)
        else { return nil }
        _ = try meta.require(
          API.MCPMeta.capabilities, meta.object(API.MCPMeta.capabilities))
        return version
      } catch {
        throw MCPError(.invalidParams, error.message)
      }
    }
  }
}
