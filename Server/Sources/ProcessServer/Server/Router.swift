import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1

/// The objects that the routes use.
struct API: Sendable {
  let configuration: APIServer.Configuration
  let access: Access
  let failedLogins: FailedLogins
  let jobs: JobTable
  /// Nil if the server is alone.
  let fleet: Fleet?
  let connections: Connections
  let metrics: Metrics
  let logger: Logger
}

/// The context of a request.
struct APIContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  /// The values in the path for the route's names, decoded.
  var pathParameters: [String: String] = [:]
  /// The grant of the token; set for all routes that need one.
  private var givenGrant: Grant?
  private var givenConnection: Connection?

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }

  var grant: Grant { givenGrant ?? Grant(workspace: "") }
  var workspace: String { grant.workspace }
  /// The workspace of the request's token; nil if none that is known has come with it.
  fileprivate var authenticatedWorkspace: String? { givenGrant?.workspace }
  var client: Client {
    Client(grant: grant, waits: connection.waits, authorization: authorization)
  }
  /// The header field that has given the grant.
  fileprivate(set) var authorization: String?
  var connection: Connection { givenConnection ?? Connection(channel, number: 0) }

  fileprivate mutating func set(_ connection: Connection) { givenConnection = connection }
  fileprivate mutating func set(_ grant: Grant) { givenGrant = grant }
}

/// Answers requests by their routes.
struct Responder: HTTPResponder {
  typealias Context = APIContext

  let api: API
  let routes: RouteTable

  init(_ api: API) {
    self.api = api
    routes = RouteTable(Route.all)
  }

  func respond(to request: Request, context: APIContext) async throws -> Response {
    var context = context
    context.set(api.connections.connection(of: context.channel))
    defer { api.connections.bodies.giveAll(of: context.connection) }
    var response = try await answer(request, context: &context)
    api.metrics.responded(status: response.status.code)
    if api.configuration.accessLog != nil {
      response.headers[AccessLogger.workspace] = context.authenticatedWorkspace
    }
    return response
  }

  /// Turns every error into an answer of one form.
  private func answer(
    _ request: Request, context: inout APIContext
  ) async throws -> Response {
    do {
      let (route, parameters) = try routes.route(
        request.method.rawValue, ofPath: request.uri.path)
      context.pathParameters = parameters
      if route.needsToken {
        context.set(try api.authenticate(request, on: context.connection))
        context.authorization = request.headers[.authorization]
      }
      return try await route.handler(api)(request, context)
    } catch let error as APIError {
      return error.response
    } catch let error as HTTPParserError {
      // Answered by the connection's handler, since the connection cannot be used any more.
      throw error
    } catch {
      api.logger.error("a request failed", metadata: ["error": "\(type(of: error))"])
      return APIError(.internalServerError, "internal_error", "this should not happen").response
    }
  }
}

extension API {
  /// Returns the grant of a request's token. From now on the connection belongs to the token's
  /// workspace.
  fileprivate func authenticate(
    _ request: Request, on connection: Connection
  ) throws(APIError) -> Grant {
    guard let grant = try access.grant(authorization: request.headers[.authorization]) else {
      switch failedLogins.failed(from: connection.address) {
      case .told(let unwritten):
        var metadata: Logger.Metadata = ["address": "\(connection.address)"]
        if unwritten > 0 { metadata["unwritten"] = "\(unwritten)" }
        logger.warning("a token is not known", metadata: metadata)
        throw APIError.unknownToken
      case .tooMany:
        throw APIError(
          .tooManyRequests, "too_many_failures",
          "too many unknown tokens have come from \(connection.address)")
      }
    }
    try connections.authenticate(connection, as: grant.workspace)
    return grant
  }
}
