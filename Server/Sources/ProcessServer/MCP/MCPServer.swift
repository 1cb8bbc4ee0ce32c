import ProcessHost

/// The server's side of the Model Context Protocol, whatever carries its messages.
extension API {
  /// The keys of `_meta` by which a request says how it is meant, since 2026-07-28.
  enum MCPMeta {
    static let version = "io.modelcontextprotocol/protocolVersion"
    static let capabilities = "io.modelcontextprotocol/clientCapabilities"
    static let server = "io.modelcontextprotocol/serverInfo"
  }

  /// Answers a request.
  ///
  /// - Returns: The result.
  /// - Throws: ``MCPError``; ``APIError`` with 401 if the token was revoked meanwhile.
  func result(
    of request: MCPRequest, in revision: MCPRevision, for client: Client
  ) async throws -> JSON {
    switch request.method {
    case "initialize" where !revision.isStateless: return try initialize(request.params)
    case "ping" where !revision.isStateless: return .object([])
    case "server/discover" where revision.isStateless:
      return complete(
        [
          ("supportedVersions", MCPRevision.names), ("capabilities", capabilities),
          ("instructions", .string(instructions)),
        ], isCacheable: true, in: revision)
    case "tools/list":
      guard request.params["cursor"] == nil else {
        throw MCPError(.invalidParams, "params.cursor is none of this server's: it has one page")
      }
      let tools = MCPTool.allCases.map { $0.definition(in: revision) }
      return complete([("tools", .array(tools))], isCacheable: true, in: revision)
    case "tools/call":
      return complete(
        try await call(request.params, in: revision, for: client), in: revision)
    default: throw MCPError(.methodNotFound, "there is no method \(request.method.prefix(64))")
    }
  }

  /// Returns the revision to speak by the answer of a handshake.
  static func revision(afterHandshake params: Fields) throws(APIError) -> MCPRevision {
    let asked = try params.require("protocolVersion", params.string("protocolVersion"))
    let revision = MCPRevision(rawValue: asked)
    return revision.flatMap { $0.isStateless ? nil : $0 } ?? .newestOfHandshake
  }

  private func initialize(_ params: Fields) throws(MCPError) -> JSON {
    let revision: MCPRevision
    do throws(APIError) {
      revision = try Self.revision(afterHandshake: params)
    } catch {
      throw MCPError(.invalidParams, error.message)
    }
    return [
      "protocolVersion": .string(revision.rawValue), "capabilities": capabilities,
      "serverInfo": serverInfo, "instructions": .string(instructions),
    ]
  }

  private var capabilities: JSON { ["tools": .object([])] }

  private var serverInfo: JSON { ["name": "processd", "version": .string(APIServer.version)] }

  /// What a model should know of all tools together.
  private var instructions: String {
    """
    Runs commands and keeps their output. exec_command starts one and returns the id of its \
    session, what it has written so far, and its exit code if it has ended by then. A command that \
    still runs goes on: read_output returns what is new after a cursor, wait_for waits for a text \
    or the exit, write_stdin writes to it, and terminate ends it. Output that does not fit into an \
    answer is left out in its middle; the answer says how much, and read_output returns it.
    """
  }

  /// Adds what each result has since the handshake is gone.
  private func complete(
    _ members: [(name: String, value: JSON)], isCacheable: Bool = false, in revision: MCPRevision
  ) -> JSON {
    guard revision.isStateless else { return .object(members) }
    var members = members
    members.append(("resultType", "complete"))
    // The tools change with the server alone.
    if isCacheable { members += [("ttlMs", 300_000), ("cacheScope", "private")] }
    members.append(("_meta", [MCPMeta.server: serverInfo]))
    return .object(members)
  }
}

// MARK: Tools

extension API {
  /// Calls a tool. An error that a model can react to is a result.
  private func call(
    _ params: Fields, in revision: MCPRevision, for client: Client
  ) async throws -> [(name: String, value: JSON)] {
    let tool: MCPTool
    let arguments: Fields
    do throws(APIError) {
      let name = try params.require("name", params.string("name"))
      guard let known = MCPTool(rawValue: name) else {
        throw .badRequest("there is no tool \(name.prefix(64)): see tools/list")
      }
      tool = known
      _ = try params.object("arguments")
      // Named by themselves: a model knows nothing of what is around them.
      arguments = try Fields(params["arguments"] ?? .object([]))
    } catch {
      throw MCPError(.invalidParams, error.message)
    }
    do {
      try tool.check(arguments)
      let answer = try await perform(tool, arguments, for: client)
      let content = answer.texts.map { text($0) }
      var members: [(name: String, value: JSON)] = [
        ("content", .array(content)), ("isError", false),
      ]
      if revision.hasStructuredContent {
        members.append(("structuredContent", .object(answer.members)))
      }
      return members
    } catch LaunchError.limitsUnavailable(let reason) {
      return failure(APIError.limitsUnavailable(reason).message)
    } catch let error as LaunchError {
      return failure(error.description)
    } catch let error as APIError where error.status != .unauthorized {
      return failure(error.message)
    }
  }

  /// Logs an error that no code expects, and returns what to say of it.
  func unexpected(_ error: any Error) -> MCPError {
    logger.error("a request failed", metadata: ["error": "\(type(of: error))"])
    return MCPError(.internalError, "this should not happen")
  }

  private func failure(_ message: String) -> [(name: String, value: JSON)] {
    [("content", [text(message)]), ("isError", true)]
  }
}

/// The answer of a tool.
struct MCPAnswer: Sendable {
  /// What a model reads.
  var texts: [String]
  /// The same for programs.
  var members: [(name: String, value: JSON)]
}
