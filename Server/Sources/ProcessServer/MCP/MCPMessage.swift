/// A message of a client, in JSON-RPC 2.0.
enum MCPMessage: Sendable {
  case request(MCPRequest)
  /// A message that gets no answer, with its method.
  case notification(String, Fields)
  /// An answer to a request, of which this server sends none.
  case response
}

/// A request that is to be answered.
struct MCPRequest: Sendable {
  /// A string or an integer, as the client has written it.
  let id: JSON
  let method: String
  let params: Fields
}

/// An error of the protocol, in contrast to one of a tool, which is a result.
struct MCPError: Error, Sendable {
  enum Code: Int {
    case parseError = -32700
    case invalidRequest = -32600
    case methodNotFound = -32601
    case invalidParams = -32602
    case internalError = -32603
    case headerMismatch = -32020
    case unsupportedProtocolVersion = -32022
  }

  let code: Code
  let message: String
  var data: JSON?

  init(_ code: Code, _ message: String, data: JSON? = nil) {
    self.code = code
    self.message = message
    self.data = data
  }

  /// The client speaks a revision that this server does not know.
  static func unsupported(_ version: String) -> MCPError {
    MCPError(
      .unsupportedProtocolVersion, "Unsupported protocol version",
      data: ["supported": MCPRevision.names, "requested": .string(String(version.prefix(64)))])
  }

  /// The answer to a request; with a null id if that is not known.
  func json(id: JSON = .null) -> JSON {
    var error: [(name: String, value: JSON)] = [
      ("code", .int(code.rawValue)), ("message", .string(message)),
    ]
    if let data { error.append(("data", data)) }
    return ["jsonrpc": "2.0", "id": id, "error": .object(error)]
  }
}

extension MCPMessage {
  /// The longest id, in bytes: each is kept until its request is answered.
  private static let idLengthLimit = 1024

  /// Reads a message.
  ///
  /// - Throws: ``MCPError`` that the message is none.
  init(_ value: JSONInput) throws(MCPError) {
    guard case .object(let members) = value else {
      throw MCPError(.invalidRequest, "a message must be an object")
    }
    func member(_ name: String) -> JSONInput? {
      members.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
    guard case .string("2.0")? = member("jsonrpc") else {
      throw MCPError(.invalidRequest, #"jsonrpc must be "2.0""#)
    }
    guard let method = member("method") else {
      guard member("result") != nil || member("error") != nil else {
        throw MCPError(.invalidRequest, "method is missing")
      }
      self = .response
      return
    }
    guard case .string(let method) = method else {
      throw MCPError(.invalidRequest, "method must be a string")
    }
    let params: Fields
    do throws(APIError) {
      params = try Fields(Self.params(member("params") ?? .object([])), at: ["params"])
    } catch {
      throw MCPError(.invalidParams, error.message)
    }
    if let id = member("id") {
      self = .request(MCPRequest(id: try Self.id(id), method: method, params: params))
    } else {
      self = .notification(method, params)
    }
  }

  /// Returns the parameters that some method reads: a request keeps them while it waits.
  private static func params(_ value: JSONInput) -> JSONInput {
    guard case .object(let members) = value else { return value }
    let known = ["_meta", "arguments", "cursor", "name", "protocolVersion", "requestId", "uri"]
    return .object(members.filter { known.contains($0.name) })
  }

  /// Reads an id, which is a string or an integer.
  private static func id(_ value: JSONInput) throws(MCPError) -> JSON {
    switch value {
    case .string(let text) where text.utf8.count <= idLengthLimit: return .string(text)
    case .number(let text) where Int(text) != nil: return .number(text)
    default:
      throw MCPError(
        .invalidRequest, "id must be an integer, or a string of \(idLengthLimit) bytes at most")
    }
  }

  /// Returns the id of a message that is not valid, for the answer that says so.
  static func id(of value: JSONInput) -> JSON {
    guard case .object(let members) = value, let id = members.first(where: { $0.name == "id" })
    else { return .null }
    return (try? Self.id(id.value)) ?? .null
  }
}

extension JSON {
  /// The answer to a request that has succeeded.
  static func result(_ result: JSON, of request: MCPRequest) -> JSON {
    ["jsonrpc": "2.0", "id": request.id, "result": result]
  }
}
