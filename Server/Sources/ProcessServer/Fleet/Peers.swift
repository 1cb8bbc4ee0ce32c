import AsyncHTTPClient
import HTTPTypes
import Hummingbird
import NIOCore
import NIOHTTP1

/// The other servers of a fleet, to which requests are passed on that they alone can answer.
///
/// A request goes on with the client's own token, which the other server checks as it would any: it
/// never has to trust the server that passed the request on.
final class Peers: Sendable {
  /// The header field of a request that was passed on: the name of the server that did.
  static let field = HTTPField.Name("Processd-Forwarded-By")!
  /// How long another server may take to accept a connection.
  private static let connectTime: TimeAmount = .seconds(5)

  private let http: HTTPClient

  init() {
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.timeout.connect = Self.connectTime
    configuration.connectionPool.retryConnectionEstablishment = false
    // Each request is a client's, of which there are limits. One that waits at the other server
    // must not hold up those behind it.
    configuration.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 1 << 16
    // Servers close connections that are idle for 75 seconds.
    configuration.connectionPool.idleTimeout = .seconds(30)
    http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// Closes all connections.
  func close() async { try? await http.shutdown() }

  /// A request that is passed on.
  struct Passed: Sendable {
    let method: HTTPRequest.Method
    /// The path, and the query.
    let path: String
    let authorization: String?
    var accept: String?
    var body: [UInt8] = []
  }

  /// Passes a request on, and returns the answer, of which the body arrives as the client takes it.
  ///
  /// - Parameters:
  ///   - limit: How long the answer may take to begin.
  ///   - name: This server's name.
  /// - Throws: ``APIError`` with 503 if the other server does not answer.
  func pass(
    _ request: Passed, to url: String, upTo limit: Duration, from name: String
  ) async throws(APIError) -> Response {
    var other = HTTPClientRequest(url: url + request.path)
    other.method = .init(rawValue: request.method.rawValue)
    if let authorization = request.authorization {
      other.headers.add(name: "Authorization", value: authorization)
    }
    if let accept = request.accept { other.headers.add(name: "Accept", value: accept) }
    other.headers.add(name: Self.field.rawName, value: name)
    if request.method == .post { other.body = .bytes(ByteBuffer(bytes: request.body)) }
    do {
      let answer = try await http.execute(
        other, deadline: .now() + .milliseconds(Int64(limit.milliseconds)))
      var headers = HTTPFields()
      for (name, value) in answer.headers {
        guard let name = HTTPField.Name(name), Self.isPassedBack(name) else { continue }
        headers.append(HTTPField(name: name, value: value))
      }
      return Response(
        status: HTTPResponse.Status(code: Int(answer.status.code)), headers: headers,
        body: ResponseBody { writer in
          for try await part in answer.body { try await writer.write(part) }
          try await writer.finish(nil)
        })
    } catch {
      throw APIError(
        .serviceUnavailable, "host_unreachable",
        "the server that has this session, or is this environment, does not answer: \(error)")
    }
  }

  private static func isPassedBack(_ name: HTTPField.Name) -> Bool {
    switch name {
    case .contentType, .cacheControl, .retryAfter, .allow, .wwwAuthenticate: true
    default: name.rawName.lowercased().hasPrefix("processd-")
    }
  }
}
