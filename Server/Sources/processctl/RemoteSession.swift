#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A session of the daemon.
struct RemoteSession: Sendable {
  /// How long the daemon waits for news before it answers.
  static let waitTime: Duration = .seconds(20)

  let client: Client
  let id: String
  private var path: String { "/processes/\(id)" }

  init(_ client: Client, _ id: String) throws(Failure) {
    guard !id.isEmpty, id.utf8.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
      throw Failure(status: .noSession, message: "there is no session “\(id)”")
    }
    self.client = client
    self.id = id
  }

  /// Starts a command.
  static func start(
    _ arguments: CommandArguments, in environment: String, of client: Client
  ) async throws -> RemoteSession {
    struct Call: Encodable {
      let tool = "exec_command"
      let arguments: CommandArguments
    }
    struct Answer: Decodable {
      struct Content: Decodable { let text: String }
      struct Result: Decodable { let sessionId: String }
      let isError: Bool
      let content: [Content]
      let structuredContent: Result?
    }
    // The key lets a lost answer be asked for again.
    let answer: Answer = try await client.persistently {
      try await client.send(
        .POST, "/envs/\(percentEncoded(environment.utf8))/tool/call",
        body: Call(arguments: arguments))
    }
    guard let result = answer.structuredContent, !answer.isError else {
      throw Failure(
        status: .launch, message: answer.content.first?.text ?? "the command cannot be started")
    }
    return try RemoteSession(client, result.sessionId)
  }

  /// Asks for output.
  ///
  /// - Parameter query: The position and what else the answer depends on, percent-encoded.
  func output(
    _ query: [(name: String, value: String)], waiting wait: Duration = .zero
  ) async throws -> OutputAnswer {
    let waiting = wait > .zero ? [(name: "wait_ms", value: "\(wait.milliseconds)")] : []
    return try await client.send(.GET, path + "/output", query: query + waiting)
  }

  /// Asks for the retained output as text without escape sequences.
  func plainText() async throws -> PlainTextAnswer {
    let query = [("since", "0"), ("format", "text"), ("plain", "1")]
    return PlainTextAnswer(try await client.bytes(path + "/output", query: query))
  }

  /// Writes to the command's stdin, as soon as there is room for all of the bytes.
  ///
  /// - Returns: Whether the command may read more: false if it has ended or closed its stdin.
  func write(_ bytes: [UInt8], isEnd: Bool = false) async throws -> Bool {
    struct Input: Encodable {
      let dataB64: String
      let eof: Bool
      enum CodingKeys: String, CodingKey { case dataB64 = "data_b64", eof }
    }
    let input = Input(dataB64: Data(bytes).base64EncodedString(), eof: isEnd)
    while true {
      do {
        try await post("stdin", input)
        return true
      } catch let failure as Failure where failure.code == "stdin_full" {
        // The daemon has taken none of it.
        try await Task.sleep(for: .milliseconds(50))
      } catch let failure as Failure where failure.hasCode("process_ended", "stdin_closed") {
        return false
      }
    }
  }

  /// Sends a signal to the command's group.
  ///
  /// - Parameter name: The signal's name or number.
  func signal(_ name: String) async throws {
    // As a number if it is one: the daemon tells them apart.
    if let number = Int(name) {
      try await post("signal", ["signal": number])
    } else {
      try await post("signal", ["signal": name])
    }
  }

  /// Ends the command and what it has left in the background.
  func terminate() async throws { try await post("terminate", [String: Int]()) }

  func resize(to size: WindowSize) async throws {
    try await post("resize", ["rows": size.rows, "cols": size.columns])
  }

  /// Ends the command if it runs, and forgets its output.
  func delete() async throws {
    let _: Done = try await client.send(.DELETE, path)
  }

  private func post(_ action: String, _ body: any Encodable) async throws {
    let _: Done = try await client.send(.POST, "\(path)/\(action)", body: body)
  }

  private struct Done: Decodable { let ok: Bool }

  /// Waits until an answer satisfies a condition. Fetches a chunk of output with each answer, and
  /// no more.
  ///
  /// - Parameter limit: How long to wait; nil for no limit.
  /// - Returns: The answer; nil if the time is up.
  nonisolated(nonsending) func wait(
    upTo limit: Duration? = nil, until isSo: (OutputAnswer) -> Bool
  ) async throws -> OutputAnswer? {
    let start = ContinuousClock.now
    var isFirst = true
    while true {
      let left = limit.map { max(.zero, $0 - (.now - start)) }
      let query = [("from", "now"), ("max_bytes", "1")]
      let wait = isFirst ? .zero : min(left ?? Self.waitTime, Self.waitTime)
      let answer =
        isFirst
        ? try await output(query)
        : try await client.persistently { try await output(query, waiting: wait) }
      if isSo(answer) { return answer }
      guard !answer.forgotten else { throw Failure.forgotten }
      if let left, left <= .zero { return nil }
      // A command that writes all the time would be asked about all the time.
      if !isFirst { try await Task.sleep(for: min(left ?? .seconds(1), .milliseconds(50))) }
      isFirst = false
    }
  }
}

/// What a command is started with.
struct CommandArguments: Encodable {
  var command: [String]
  var cwd: String?
  var env: [String: String]
  var tty: Bool
  var rows: Int
  var cols: Int
  var pipeStdin: Bool
  var timeoutMs: Int?
  var lingerMs: Int?
  var headBytes: Int?
  var keepAlive: Bool
  var idempotencyKey: String
}

extension Client {
  /// Returns the name of the environment to start commands in.
  func environment() async throws -> String {
    struct Environment: Decodable {
      let name: String
      let isDefault: Bool
    }
    struct Answer: Decodable { let envs: [Environment] }
    let answer: Answer = try await send(.POST, "/envs/list", body: [String: Int]())
    guard let first = answer.envs.first(where: \.isDefault) ?? answer.envs.first else {
      throw Failure(status: .unavailable, message: "the daemon has no environment for commands")
    }
    return first.name
  }
}

extension Failure {
  static let forgotten = Failure(
    status: .noSession, message: "the session was deleted, or idle for too long")

  func hasCode(_ codes: String...) -> Bool { code.map(codes.contains) ?? false }
}
