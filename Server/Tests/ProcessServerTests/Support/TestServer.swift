import Foundation
import Logging
import Processes
import ServiceLifecycle
import Synchronization

@testable import ProcessServer

/// A server of this process's own, and its clients.
struct TestServer: Sendable {
  let port: Int
  let server: APIServer
  let log: LogLines
  private let group: ServiceGroup

  static let alice = "token-of-alice"
  static let bob = "token-of-bob"

  /// Serves while the body runs; then ends everything, and waits for that.
  static func run(
    _ configure: (inout APIServer.Configuration) -> Void = { _ in },
    _ body: (TestServer) async throws -> Void
  ) async throws {
    var configuration = APIServer.Configuration(
      tokens: .fixed(try TokenTable(parsing: "\(alice) alice\n\(bob) bob")))
    configuration.port = 0
    configuration.sessionsPerWorkspace = 20
    configuration.limits.grace = .milliseconds(500)
    // Many tests run at once, and a busy machine takes its time for a client's first bytes.
    configuration.limits.anonymousTime = .seconds(300)
    configuration.limits.requestTime = .seconds(300)
    configuration.limits.idleTime = .seconds(300)
    configuration.limits.stallTime = .seconds(300)
    let state = try Holding.isOfAllTests ? Holding() : nil
    defer { state?.remove() }
    configuration.holders = state?.settings
    configure(&configuration)
    let log = LogLines()
    let logger = Logger(label: "test") { _ in log }
    let (ports, found) = AsyncStream<Int>.makeStream()
    let server = try APIServer(configuration, logger: logger) { port in found.yield(port) }
    let group = ServiceGroup(services: [server], logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      var iterator = ports.makeAsyncIterator()
      guard let port = await iterator.next() else { throw Wire.Truncated() }
      let test = TestServer(port: port, server: server, log: log, group: group)
      do {
        try await body(test)
      } catch {
        await group.triggerGracefulShutdown()
        throw error
      }
      await group.triggerGracefulShutdown()
      try await tasks.waitForAll()
    }
  }

  /// Asks the server to end; it does so when it has answered the waiting clients.
  func shutDown() async { await group.triggerGracefulShutdown() }

  /// One request on a connection of its own.
  @discardableResult
  func request(
    _ method: String, _ path: String, token: String? = alice, headers: [String] = [],
    body: String? = nil
  ) async throws -> Reply {
    try await Wire.connect(port: port) { wire in
      try await wire.request(
        method, path, token: token, headers: headers + ["Connection: close"], body: body)
      return try await wire.response()
    }
  }

  func get(_ path: String, token: String? = alice) async throws -> Reply {
    try await request("GET", "/api/sdk/" + path, token: token)
  }

  @discardableResult
  func post(_ path: String, _ body: String = "{}", token: String? = alice) async throws -> Reply {
    try await request("POST", "/api/sdk/" + path, token: token, body: body)
  }

  /// Starts a command, and returns the id of its session.
  func start(_ command: String, _ more: String = "", token: String = alice) async throws -> String {
    let quoted = String(decoding: try JSONEncoder().encode(command), as: UTF8.self)
    let reply = try await post(
      "envs/local/tool/call",
      #"{"tool":"exec_command","arguments":{"command":\#(quoted)\#(more)}}"#, token: token)
    struct Result: Decodable {
      struct Content: Decodable { var session_id: String }
      var structuredContent: Content
    }
    return try reply.decode(Result.self).structuredContent.session_id
  }

  func output(
    _ id: String, _ query: String = "", token: String = alice
  ) async throws -> OutputReply {
    try await get("processes/\(id)/output?\(query)", token: token).decode()
  }

  /// Polls until something is so.
  func output(_ id: String, until isSo: (OutputReply) -> Bool) async throws -> OutputReply {
    while true {
      let output = try await output(id)
      if isSo(output) { return output }
      try await Task.sleep(for: .milliseconds(5))
    }
  }

  func session(_ id: String) throws -> SessionReader {
    try server.jobs.job(id, of: "alice").session
  }

  /// Has `sh` run a line of its stdin, and returns when so many bytes of output have come of it.
  func perform(_ line: String, writing bytes: Int, in id: String) async throws {
    let session = try session(id)
    let total = session.totalBytes + bytes
    _ = try await write(line + "\n", to: id)
    while session.totalBytes < total { try await Task.sleep(for: .milliseconds(1)) }
  }

  func write(_ text: String, to id: String, eof: Bool = false) async throws -> Reply {
    let data = Data(text.utf8).base64EncodedString()
    return try await post(
      "processes/\(id)/stdin", #"{"data_b64":"\#(data)"\#(eof ? #","eof":true"# : "")}"#)
  }

  /// A file that is not there, of this server's own, for a command to wait for.
  var go: String { NSTemporaryDirectory() + "processd-test-\(port).go" }

  /// Returns when so many requests are waiting for output.
  func waits(_ count: Int) async throws {
    while try await metric("waits") < count { try await Task.sleep(for: .milliseconds(2)) }
  }

  /// A number of `GET /metrics`.
  func metric(_ name: String) async throws -> Int {
    let page = try await request("GET", "/metrics", token: nil).text
    let line = page.split(separator: "\n").first { $0.hasPrefix("processd_\(name) ") }
    return line.flatMap { Int($0.split(separator: " ")[1]) } ?? -1
  }
}

/// What was logged.
final class LogLines: LogHandler, Sendable {
  private let lines = Mutex<[String]>([])

  var text: String { lines.withLock { $0.joined(separator: "\n") } }

  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }
  var logLevel: Logger.Level {
    get { .trace }
    set {}
  }
  subscript(metadataKey _: String) -> Logger.Metadata.Value? {
    get { nil }
    set {}
  }

  func log(event: LogEvent) {
    lines.withLock {
      $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])")
    }
  }
}
