import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The requests to a daemon.
struct Client: Sendable {
  /// How long nothing of an answer may come: the time that the daemon is told to wait, and more.
  private static let patience: TimeAmount = .seconds(45)
  /// How long an answer may take in all, however many bytes of it come: enough for the largest.
  static let longestRequest: Duration = .seconds(600)
  /// How long attempts may fail before that is said.
  private static let silence: Duration = .seconds(1)
  /// The most bytes of an answer: base64 of 2 MiB in the smallest chunks has a third of it.
  private static let longestAnswer = 64 << 20
  /// The waits between the attempts at a request that changes nothing.
  private static let pauses: [Duration] = [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000].map {
    .milliseconds($0)
  }

  private let http: HTTPClient
  private let url: String
  /// The URL as the HTTP client has it, to which paths are appended.
  private let base: String
  private let token: String
  let outage = Outage()

  init(_ server: ServerOptions) throws(Failure) {
    url = server.url
    base = try Self.base(of: url)
    token = try server.token()
    var configuration = HTTPClient.Configuration(redirectConfiguration: .disallow)
    configuration.httpVersion = .http1Only
    configuration.timeout.read = Self.patience
    // A daemon that is not there is reported at once.
    configuration.connectionPool.retryConnectionEstablishment = false
    // The daemon closes connections that are idle for 75 seconds.
    configuration.connectionPool.idleTimeout = .seconds(30)
    http = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
  }

  /// Closes all connections.
  func close() async { try? await http.shutdown() }

  private static func base(of url: String) throws(Failure) -> String {
    let base = url.hasSuffix("/") ? String(url.dropLast()) : url
    if base.hasPrefix("http://") || base.hasPrefix("https://") {
      let parts = URLComponents(string: base)
      guard let parts, parts.host?.isEmpty == false, 1...65_535 ~= parts.port ?? 80 else {
        throw Failure(status: .usage, message: "“\(url)” is no URL: give http://HOST:PORT")
      }
      guard parts.user == nil, parts.password == nil, parts.query == nil, parts.fragment == nil
      else {
        throw Failure(
          status: .usage, message: "a daemon's URL has no user, query or fragment: http://HOST:PORT"
        )
      }
      return base
    }
    if base.hasPrefix("unix:///") {
      return "http+unix://" + percentEncoded(base.dropFirst("unix://".count).utf8)
    }
    throw Failure(
      status: .usage,
      message: "“\(url)” is no daemon's URL: give http://…, https://… or unix:///path")
  }

  /// Sends a request, and returns its answer.
  ///
  /// - Parameters:
  ///   - query: The names and values of the query, which are percent-encoded already.
  ///   - limit: How long the answer may take in all.
  /// - Throws: ``Failure``; `CancellationError` if the task was cancelled.
  func send<Answer: Decodable>(
    _ method: HTTPMethod, _ path: String, query: [(name: String, value: String)] = [],
    body: (any Encodable)? = nil, within limit: Duration = Client.longestRequest
  ) async throws -> Answer {
    try decode(await reply(to: method, path, query, body, within: limit).body)
  }

  /// Sends a GET request, and returns the header fields and the body of its answer, whatever that
  /// is.
  func bytes(
    _ path: String, query: [(name: String, value: String)]
  ) async throws -> (headers: HTTPHeaders, body: ByteBuffer) {
    try await reply(to: .GET, path, query, nil, within: Self.longestRequest)
  }

  /// Sends a request again while the daemon cannot be reached: a few times, with growing pauses.
  /// Says so on stderr, unless it is over soon: once for all requests of this client.
  ///
  /// - Parameters:
  ///   - deadline: When to give up, if that is earlier.
  ///   - isRepeatable: Whether the request may arrive twice. One that must not is sent again only
  ///     if it cannot have arrived.
  ///   - request: Sends the request.
  nonisolated(nonsending) func persistently<Answer>(
    until deadline: Deadline = Deadline(after: nil), isRepeatable: Bool = true,
    _ request: () async throws -> Answer
  ) async throws -> Answer {
    let start = ContinuousClock.now
    var pauses = Self.pauses[...]
    while true {
      do {
        let answer = try await request()
        outage.end()
        return answer
      } catch let failure as Failure
        where failure.isTransient && (isRepeatable || failure.isUnsent) && !deadline.isOver
      {
        guard let pause = pauses.popFirst() else { throw failure }
        if .now - start >= Self.silence { outage.begin(failure.message) }
        try await Task.sleep(for: pause)
        // The request itself may wait for news.
        if outage.isOn, await isDaemonThere() { outage.end() }
      }
    }
  }

  private func isDaemonThere() async -> Bool {
    let request = HTTPClientRequest(url: base + "/healthz").naming(base)
    return (try? await http.execute(request, timeout: .seconds(5)).status) == .ok
  }

  private func reply(
    to method: HTTPMethod, _ path: String, _ query: [(name: String, value: String)],
    _ body: (any Encodable)?, within limit: Duration
  ) async throws -> (headers: HTTPHeaders, body: ByteBuffer) {
    let fields = query.map { "\($0.name)=\($0.value)" }.joined(separator: "&")
    var request = HTTPClientRequest(
      url: base + "/api/sdk" + path + (fields.isEmpty ? "" : "?" + fields))
    request.method = method
    request.headers.add(name: "authorization", value: "Bearer \(token)")
    request = request.naming(base)
    if let body { request.body = .bytes(ByteBuffer(bytes: try Self.encoder.encode(body))) }
    let (response, bytes): (HTTPClientResponse, ByteBuffer)
    do {
      (response, bytes) = try await withTimeLimit(limit) { [http, request] in
        let response = try await http.execute(request, deadline: .distantFuture)
        return (response, try await response.body.collect(upTo: Self.longestAnswer))
      }
    } catch {
      try Task.checkCancellation()
      throw Failure(
        status: .unavailable, message: "no daemon answers at \(url): \(reason(error))",
        isTransient: true, isUnsent: isUnsent(error))
    }
    guard response.status == .ok else { throw failure(response.status, bytes) }
    return (response.headers, bytes)
  }

  private func decode<Answer: Decodable>(_ body: ByteBuffer) throws(Failure) -> Answer {
    guard
      let answer = try? Self.decoder.decode(Answer.self, from: Data(body.readableBytesView)),
      (answer as? any PlausibleAnswer)?.isPlausible ?? true
    else { throw foreignAnswer }
    return answer
  }

  /// The codes by which a daemon refuses a request before it does any of it.
  private static let refusalsUnread = ["connection_limit", "too_many_failures", "shutting_down"]

  private var foreignAnswer: Failure {
    Failure(
      status: .foreignAnswer,
      message: "what answers at \(url) is no processd, or too old for this processctl")
  }

  /// Returns what an answer other than 200 means.
  private func failure(_ status: HTTPResponseStatus, _ body: ByteBuffer) -> Failure {
    struct Answer: Decodable {
      struct Inner: Decodable { let code, message: String }
      let error: Inner
    }
    let answer: Answer? = try? decode(body)
    func failure(_ exit: ExitStatus, isTransient: Bool = false) -> Failure {
      let code = answer?.error.code
      return Failure(
        status: exit,
        message: answer.map { printable($0.error.message) } ?? "\(url) answers \(status)",
        code: code, isTransient: isTransient,
        isUnsent: code.map(Self.refusalsUnread.contains) ?? false)
    }
    switch (status.code, answer?.error.code) {
    case (401, _), (403, _): return failure(.denied)
    case (404, "session_not_found"): return failure(.noSession)
    case (404, "env_not_found"): return failure(.refused)
    case (404, _), (405, _), (400, "unknown_tool"): return foreignAnswer
    case (400, _), (413, _): return failure(.usage)
    case (429, "stdin_full"): return failure(.unavailable)
    case (503, "session_damaged"): return failure(.unavailable)
    case (429, "session_limit"): return failure(.unavailable)
    case (429, _), (502...504, _): return failure(.unavailable, isTransient: true)
    default: return failure(answer == nil ? .foreignAnswer : .refused)
    }
  }

  private static var encoder: JSONEncoder {
    let encoder = JSONEncoder()
    encoder.keyEncodingStrategy = .convertToSnakeCase
    // A start that is repeated must be the same, byte for byte.
    encoder.outputFormatting = .sortedKeys
    return encoder
  }

  private static var decoder: JSONDecoder {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return decoder
  }
}

/// Returns bytes as a URL may have them anywhere.
func percentEncoded(_ bytes: some Sequence<UInt8>) -> String {
  var text = ""
  for byte in bytes {
    let character = Character(Unicode.Scalar(byte))
    if character.isASCII, character.isLetter || character.isNumber {
      text.append(character)
    } else {
      text += (byte < 16 ? "%0" : "%") + String(byte, radix: 16, uppercase: true)
    }
  }
  return text
}

/// The time for an answer is up.
private struct TimeUp: Error {
  let limit: Duration
}

/// Returns what a closure returns, or throws when a time is up.
private func withTimeLimit<Value: Sendable>(
  _ limit: Duration, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: limit)
      throw TimeUp(limit: limit)
    }
    defer { group.cancelAll() }
    guard let value = try await group.next() else { throw CancellationError() }
    return value
  }
}

extension HTTPClientRequest {
  /// Returns the request with the name of a host, if it goes to a socket in the file system, whose
  /// name is none.
  fileprivate func naming(_ base: String) -> HTTPClientRequest {
    var request = self
    if base.hasPrefix("http+unix:") { request.headers.add(name: "host", value: "localhost") }
    return request
  }
}

/// Whether an error is that of a connection that could not be made, or that was closed before all
/// of the request was sent, so that the daemon has done nothing of it.
private func isUnsent(_ error: any Error) -> Bool {
  switch error {
  case let error as ChannelError: error == .ioOnClosedChannel
  case let error as IOError: [ECONNREFUSED, ENOENT].contains(error.errnoCode)
  case let error as HTTPClientError: error == .connectTimeout
  default: error is NIOConnectionError
  }
}

/// Returns the description of an error, in the system's words if the system reported it.
private func reason(_ error: any Error) -> String {
  switch error {
  case let error as IOError: unsafe String(cString: strerror(error.errnoCode))
  case let error as NIOConnectionError:
    error.connectionErrors.first.map { reason($0.error) }
      ?? error.dnsAError.map { "\($0)" } ?? "\(error)"
  case let error as HTTPClientError: error.shortDescription
  case let error as TimeUp: "no whole answer came within \(error.limit.text)"
  default: "\(error)"
  }
}
