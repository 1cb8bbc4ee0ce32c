import Foundation

@testable import ProcessServer

/// An answer of `POST /mcp`, or a line of `--stdio`.
struct MCPReply: Decodable, Sendable {
  /// An id, which may be of either type.
  enum ID: Decodable, Equatable {
    case number(Int)
    case text(String)

    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      if let number = try? container.decode(Int.self) {
        self = .number(number)
      } else {
        self = .text(try container.decode(String.self))
      }
    }
  }

  struct Failure: Decodable {
    struct Detail: Decodable {
      var supported: [String]
      var requested: String
    }
    var code: Int
    var message: String
    var data: Detail?
  }

  struct Result: Decodable {
    struct Content: Decodable {
      var type, text: String
    }
    struct Server: Decodable { var name, version: String }
    struct Tool: Decodable {
      struct Annotations: Decodable { var readOnlyHint, destructiveHint: Bool }
      struct InputSchema: Decodable { var type: String }
      var name, description: String
      var title: String?
      var annotations: Annotations?
      var inputSchema: InputSchema
      var outputSchema: InputSchema?
    }
    var protocolVersion: String?
    var serverInfo: Server?
    var instructions: String?
    var tools: [Tool]?
    var supportedVersions: [String]?
    var content: [Content]?
    var isError: Bool?
    var structuredContent: Structured?
    var resultType, cacheScope: String?
    var ttlMs: Int?
    var _meta: [String: Server]?
  }

  struct Structured: Decodable {
    struct Part: Decodable {
      var kind: String
      var bytes: Int?
      var text, data_b64, cursor: String?
    }
    struct Process: Decodable {
      var session_id, command: String
      var session_alive: Bool
    }
    var session_id: String?
    var session_alive, closed, timed_out, has_more, foreign_cursor, cursor_ahead: Bool?
    var exit_code: Int?
    var signal, cursor: String?
    var offset, end_offset, output_bytes, left_out_bytes, missed_bytes, remaining_bytes: Int?
    var pending_bytes: Int?
    var is_repeated: Bool?
    var parts: [Part]?
    var wait_for: OutputReply.Search?
    var processes: [Process]?
    var left_out: Int?
  }

  var jsonrpc: String
  var id: ID?
  var result: Result?
  var error: Failure?

  /// What a model reads.
  var text: String { (result?.content ?? []).map(\.text).joined(separator: "\n") }
  var structured: Structured { result?.structuredContent ?? Structured() }
}

extension MCPReply.Structured {
  /// The output in the answer.
  var text: String { (parts ?? []).compactMap(\.text).joined() }
}

/// A message of JSON-RPC.
func message(_ method: String, id: String? = "1", _ params: String? = nil) -> String {
  let id = id.map { #","id":\#($0)"# } ?? ""
  let params = params.map { #","params":\#($0)"# } ?? ""
  return #"{"jsonrpc":"2.0"\#(id),"method":"\#(method)"\#(params)}"#
}

/// The first message of a client that shakes hands.
func handshake(_ version: String, id: String = "1") -> String {
  let client = #""capabilities":{},"clientInfo":{"name":"x","version":"1"}"#
  return message("initialize", id: id, #"{"protocolVersion":"\#(version)",\#(client)}"#)
}

/// The call of a tool.
func toolCall(_ tool: String, _ arguments: String, id: String = "1", meta: String = "") -> String {
  message("tools/call", id: id, #"{"name":"\#(tool)","arguments":{\#(arguments)}\#(meta)}"#)
}

extension TestServer {
  /// What a client of 2026-07-28 adds to the parameters of each request.
  static let meta =
    #""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#
    + #""io.modelcontextprotocol/clientCapabilities":{}}"#

  func mcp(
    _ body: String, version: String? = "2025-11-25", headers: [String] = [],
    token: String? = alice
  ) async throws -> Reply {
    try await request(
      "POST", "/mcp", token: token,
      headers: headers + (version.map { ["MCP-Protocol-Version: \($0)"] } ?? []), body: body)
  }

  /// Calls a tool, and returns what it answers.
  func tool(
    _ tool: String, _ arguments: String, token: String = alice
  ) async throws -> MCPReply {
    try await mcp(toolCall(tool, arguments), token: token).decode()
  }

  /// Starts a command, and returns the id of its session at once.
  func exec(_ command: String, _ more: String = "") async throws -> String {
    let quoted = String(decoding: try JSONEncoder().encode(command), as: UTF8.self)
    let reply = try await tool("exec_command", #""command":\#(quoted),"wait_ms":0\#(more)"#)
    return reply.structured.session_id ?? reply.text
  }
}
