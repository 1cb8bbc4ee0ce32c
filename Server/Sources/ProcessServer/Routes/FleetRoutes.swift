import HTTPTypes
import Hummingbird
import NIOCore
import Processes
import Synchronization

extension API {
  /// Returns a session that a client may read: one of this server, or of another of its fleet.
  ///
  /// - Throws: ``APIError``: 404 if there is none, 403 if it belongs to another workspace, 503 if
  ///   that cannot be known now.
  func readable(
    _ id: String, of workspace: String
  ) async throws(APIError) -> any ReadableSession {
    do throws(APIError) {
      return try jobs.job(id, of: workspace)
    } catch {
      guard let fleet, error.status == .notFound else { throw error }
      return try await fleet.session(id, of: workspace)
    }
  }

  /// Returns the session that a request's path names, if its client may read it.
  func readable(_ context: APIContext) async throws(APIError) -> any ReadableSession {
    try await readable(context.pathParameters["sid"] ?? "", of: context.workspace)
  }

  /// Returns a handler that passes requests about sessions of other servers on to these.
  func atOwner(_ handler: @escaping Route.Handler) -> Route.Handler {
    { request, context in
      let answer = try await answerOfOwner(to: request, upTo: .seconds(30), context: context)
      if let answer { return answer }
      return try await handler(request, context)
    }
  }

  /// Passes a request about a session on to the session's server.
  ///
  /// - Returns: The answer; nil if this server has to answer, since the session is its own or the
  ///   request has been passed on already.
  func answerOfOwner(
    to request: Request, upTo limit: Duration, context: APIContext
  ) async throws -> Response? {
    let id = context.pathParameters["sid"] ?? ""
    guard let fleet, !jobs.contains(id), request.headers[Peers.field] == nil else { return nil }
    let facts = try await fleet.facts(of: id, in: context.workspace)
    if facts.isLost {
      guard request.method == .delete else { throw APIError.hostLost }
      try await fleet.forgetLost(id, of: facts.workspace)
      return done
    }
    return try await pass(
      request, toServer: facts.host, life: facts.life, upTo: limit, context: context)
  }

  /// Passes a request on to another server of the fleet.
  ///
  /// - Parameters:
  ///   - body: The request's body; nil if it has yet to be read.
  ///   - life: The run of the server that it must be; nil for any.
  func pass(
    _ request: Request, body: [UInt8]? = nil, toServer name: String, life: String? = nil,
    upTo limit: Duration, context: APIContext
  ) async throws -> Response {
    guard let fleet else { throw APIError.environmentNotFound(name) }
    guard request.headers[Peers.field] == nil, let url = try await fleet.url(of: name, life: life)
    else {
      guard life == nil else { throw APIError.hostUnreachable(name) }
      throw fleet.isSettled ? APIError.environmentNotFound(name) : .fleetUnsettled
    }
    let passed = Peers.Passed(
      method: request.method,
      path: request.uri.path + (request.uri.query.map { "?\($0)" } ?? ""),
      authorization: context.client.authorization, accept: request.headers[.accept],
      body: try await bytes(of: request, unless: body, context: context))
    return try await fleet.pass(passed, to: url, upTo: limit, for: context.client)
  }

  private func bytes(
    of request: Request, unless body: [UInt8]?, context: APIContext
  ) async throws -> [UInt8] {
    if let body { return body }
    return try await self.body(of: request, context: context)
  }

  /// Asks the server of a session to act on it, for a tool of MCP.
  ///
  /// - Returns: The fields of its answer.
  func act(
    on session: RemoteSession, by action: String, _ fields: JSON, for client: Client
  ) async throws -> Fields {
    let facts = session.facts
    guard !facts.isLost else { throw APIError.hostLost }
    guard let fleet, let url = try await fleet.url(of: facts.host, life: facts.life) else {
      throw APIError.hostUnreachable(facts.host)
    }
    let passed = Peers.Passed(
      method: .post, path: "/api/sdk/processes/\(session.id)/\(action)",
      authorization: client.authorization, body: Array(fields.text.utf8))
    let answer = try await fleet.pass(passed, to: url, upTo: .seconds(30), for: client)
    let collector = BodyCollector()
    let body: Fields
    do {
      try await answer.body.write(collector)
      body = try Fields(JSONInput(parsing: collector.bytes))
    } catch {
      // It breaks off, or is that of a proxy.
      throw APIError.hostUnreachable(facts.host)
    }
    if let error = try body.object("error") {
      throw APIError(
        answer.status, try error.string("code") ?? "error", try error.string("message") ?? "")
    }
    return body
  }
}

/// Receives the body of a short answer.
private final class BodyCollector: ResponseBodyWriter, Sendable {
  private let buffer = Mutex<[UInt8]>([])
  var bytes: [UInt8] { buffer.withLock { $0 } }

  func write(_ part: ByteBuffer) async throws {
    try buffer.withLock { buffer in
      guard buffer.count + part.readableBytes <= 64 << 10 else {
        throw APIError(.serviceUnavailable, "host_unreachable", "the other server's answer is long")
      }
      buffer += part.readableBytesView
    }
  }

  func finish(_ trailers: HTTPFields?) async throws {}
}

extension Fleet {
  /// Passes a request on; the wait for its answer ends when the client hangs up.
  func pass(
    _ request: Peers.Passed, to url: String, upTo limit: Duration, for client: Client
  ) async throws(APIError) -> Response {
    // It takes a connection of its own.
    if OpenFiles.areScarce(for: .connection) { throw APIError.overloaded }
    let answer = await client.waiting { [peers, name] () -> Result<Response, APIError> in
      do throws(APIError) {
        return .success(try await peers.pass(request, to: url, upTo: limit, from: name))
      } catch {
        return .failure(error)
      }
    }
    return try answer.get()
  }
}

extension APIError {
  static let hostLost = APIError(
    .conflict, "host_lost", "the server of this session is lost, and the process with it")

  static func hostUnreachable(_ name: String) -> APIError {
    APIError(
      .serviceUnavailable, "host_unreachable",
      "the server \(name.prefix(64)) of this session is silent; its output can still be read")
  }

  static func environmentNotFound(_ name: String) -> APIError {
    APIError(
      .notFound, "env_not_found",
      "there is no environment \(name.prefix(64)); see POST /api/sdk/envs/list")
  }
}
