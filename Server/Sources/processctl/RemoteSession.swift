#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A session of the daemon.
struct RemoteSession: Sendable {
  /// How long the daemon waits for news before it answers.
  static let waitTime: Duration = .seconds(20)
  /// How long a command waits for a sign of its lossless reader: longer than it takes to make a
  /// broken connection again.
  static let losslessTime: Duration = .seconds(30)
  /// The part of a query by which a lossless reader says that it has the output before it.
  static let acknowledgement = (name: "acknowledge", value: "1")

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
      let code: String?
      /// The exit status that shells and similar programs return for it.
      var status: ExitStatus {
        switch code {
        case "executable_not_found": .notFound
        case "not_executable", "invalid_command": .notExecutable
        default: .launch
        }
      }
    }
    // The key lets a lost answer be asked for again.
    let answer: Answer = try await client.persistently {
      try await client.send(
        .POST, "/envs/\(percentEncoded(environment.utf8))/tool/call",
        body: Call(arguments: arguments))
    }
    guard let result = answer.structuredContent, !answer.isError else {
      throw Failure(
        status: answer.status,
        message: answer.content.first?.text ?? "the command cannot be started")
    }
    return try RemoteSession(client, result.sessionId)
  }

  /// Asks for output.
  ///
  /// - Parameters:
  ///   - query: The position and what else the answer depends on, percent-encoded.
  ///   - wait: How long the daemon waits for news.
  ///   - limit: How long the answer may take in all.
  func output(
    _ query: [(name: String, value: String)], waiting wait: Duration = .zero,
    within limit: Duration = Client.longestRequest
  ) async throws -> OutputAnswer {
    let waiting = wait > .zero ? [(name: "wait_ms", value: "\(wait.milliseconds)")] : []
    return try await client.send(.GET, path + "/output", query: query + waiting, within: limit)
  }

  /// Tells the daemon from time to time, until the task is cancelled, that the lossless reader is
  /// still there, and has all output up to a position.
  func stayPresent(at cursor: String) -> Task<Void, Never> {
    Task.detached {
      while (try? await Task.sleep(for: Self.losslessTime / 6)) != nil {
        _ = try? await output([("since", cursor), ("max_bytes", "1"), Self.acknowledgement])
      }
    }
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
    try await post("signal", ["signal": SignalWord(name)])
  }

  /// Ends the command and what it has left in the background.
  ///
  /// - Parameter grace: The time between SIGTERM and SIGKILL; nil for the one that the command was
  ///   started with.
  func terminate(grace: Duration? = nil) async throws {
    try await post("terminate", grace.map { ["grace_ms": $0.milliseconds] } ?? [:])
  }

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
    let deadline = Deadline(after: limit)
    let query = [("from", "now"), ("max_bytes", "1")]
    var isFirst = true
    while true {
      let isOver = deadline.isOver
      let answer =
        isFirst
        ? try await output(query, within: deadline.patience)
        : try await client.persistently(until: deadline) {
          try await output(query, waiting: deadline.wait, within: deadline.patience)
        }
      if isSo(answer) { return answer }
      guard !answer.forgotten else { throw Failure.forgotten }
      if isOver { return nil }
      // A command that writes all the time would be asked about all the time.
      if !isFirst { try await Task.sleep(for: min(deadline.wait, .milliseconds(50))) }
      isFirst = false
    }
  }
}

/// When a wait for the daemon and its command is over.
struct Deadline: Sendable {
  /// How long the daemon has for its answer when the time is up.
  private static let answerTime: Duration = .seconds(10)
  /// The longest that one request may take: the longest wait, and time for a chunk of output.
  private static let longestRequest: Duration = .seconds(45)

  /// nil for a wait without a limit.
  private let end: ContinuousClock.Instant?

  /// - Parameter limit: How long to wait from now on; nil for no limit.
  init(after limit: Duration?) { end = limit.map { .now + $0 } }

  private var rest: Duration? { end.map { max(.zero, $0 - .now) } }

  /// Whether the time is up.
  var isOver: Bool { rest == .zero }

  /// How long to have the daemon wait in one request.
  var wait: Duration { min(rest ?? RemoteSession.waitTime, RemoteSession.waitTime) }

  /// How long one request may take in all.
  var patience: Duration {
    min(rest.map { $0 + Self.answerTime } ?? Self.longestRequest, Self.longestRequest)
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
  var mergeStderr: Bool
  var timeoutMs: Int?
  var timeoutSignal: SignalWord?
  var graceMs: Int?
  var lingerMs: Int?
  var headBytes: Int?
  var timestamps: Bool
  var losslessMs: Int?
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

  /// The failure to reach the daemon any more, with what may have become of a session.
  func losing(_ session: RemoteSession) -> Failure {
    Failure(
      status: status,
      message: "\(message); if it has --state-dir, the session goes on: processctl follow"
        + " \(session.id)")
  }
}
