import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOHTTP1

/// What the routes work with.
struct API: Sendable {
  let configuration: APIServer.Configuration
  let access: Access
  let jobs: JobTable
  let connections: Connections
  let metrics: Metrics
  let logger: Logger
}

/// What is known of a request beside itself.
struct APIContext: RequestContext {
  var coreContext: CoreRequestContextStorage
  let channel: any Channel
  /// Whose token came with it; set for all routes that need one.
  var workspace = ""

  init(source: ApplicationRequestContextSource) {
    coreContext = CoreRequestContextStorage(source: source)
    channel = source.channel
  }
}

/// All routes.
func makeRouter(_ api: API) -> Router<APIContext> {
  let router = Router(context: APIContext.self)
  router.add(middleware: Responses(metrics: api.metrics, logger: api.logger))
  router.get("healthz") { _, _ in Response(json: ["ok": true]) }
  // Balancers like to ask for no more than that.
  router.head("healthz") { _, _ in Response(status: .ok) }
  router.get("metrics", use: api.metrics(request:context:))
  let sdk = router.group("api/sdk").add(middleware: Authentication(access: api.access))
  sdk.post("envs/list", use: api.environments(request:context:))
  sdk.post("envs/{name}/tool/call", use: api.callTool(request:context:))
  sdk.get("processes", use: api.processes(request:context:))
  sdk.delete("processes/{sid}", use: api.deleteProcess(request:context:))
  sdk.get("processes/{sid}/output", use: api.output(request:context:))
  sdk.get("processes/{sid}/events", use: api.events(request:context:))
  sdk.post("processes/{sid}/stdin", use: api.writeStdin(request:context:))
  sdk.post("processes/{sid}/terminate", use: api.terminate(request:context:))
  sdk.post("processes/{sid}/signal", use: api.signal(request:context:))
  sdk.post("processes/{sid}/resize", use: api.resize(request:context:))
  return router
}

/// Lets in who has a token, and notes whose it is.
private struct Authentication: RouterMiddleware {
  let access: Access

  func handle(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    var context = context
    context.workspace = try access.workspace(authorization: request.headers[.authorization])
    return try await next(request, context)
  }
}

/// Makes every error an answer of one form, and counts answers.
private struct Responses: RouterMiddleware {
  let metrics: Metrics
  let logger: Logger

  func handle(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    let response = try await respond(request, context: context, next: next)
    metrics.responded(status: response.status.code)
    return response
  }

  private func respond(
    _ request: Request, context: APIContext,
    next: (Request, APIContext) async throws -> Response
  ) async throws -> Response {
    do {
      return try await next(request, context)
    } catch let error as APIError {
      return error.response
    } catch let error as HTTPParserError {
      // Answered where the connection is, which cannot be used any more.
      throw error
    } catch let error as any HTTPResponseError {
      let route = "\(request.method) \(request.uri.path.prefix(100))"
      return APIError(
        error.status, error.status.snakeCase,
        error.status == .notFound ? "there is no \(route)" : "\(route) is not possible"
      ).response
    } catch {
      logger.error("a request failed", metadata: ["error": "\(type(of: error))"])
      return APIError(.internalServerError, "internal_error", "this should not happen").response
    }
  }
}

extension HTTPResponse.Status {
  fileprivate var snakeCase: String {
    reasonPhrase.lowercased().map { $0 == " " ? "_" : String($0) }.joined()
  }
}
