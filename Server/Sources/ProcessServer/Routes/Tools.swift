import Hummingbird
import ProcessHost
import Processes

/// What an environment can do.
enum Tool: String, CaseIterable {
  case execCommand = "exec_command"
  case shell

  var description: String {
    switch self {
    case .execCommand:
      "Starts a command and returns the id of its session, whose output can be polled, and which can be"
        + " written to, signalled and terminated."
    case .shell:
      "Runs a command to its end, or for timeout_ms at most, and returns its output and exit code."
    }
  }
}

extension API {
  /// `POST /envs/{name}/tool/call`.
  func callTool(request: Request, context: APIContext) async throws -> Response {
    let name = context.parameters.get("name") ?? ""
    guard name == configuration.environmentName else {
      throw APIError(
        .notFound, "env_not_found",
        "there is no environment \(name.prefix(64)); see POST /api/sdk/envs/list")
    }
    let limit = configuration.limits.bodyBytes
    let call = try await request.decode(ToolCall.self, upTo: limit)
    do {
      switch call.arguments {
      case .execCommand(let arguments):
        return try await execute(arguments, workspace: context.workspace)
      case .shell(let arguments, let timeout):
        return try await runToTheEnd(arguments, timeout: timeout, context: context)
      }
    } catch let error as LaunchError {
      return Response(
        json: ["isError": true, "content": [text(error.description)]])
    }
  }

  private func execute(_ arguments: CommandArguments, workspace: String) async throws -> Response {
    let start = ContinuousClock.now
    let job = try await jobs.launch(
      arguments.command, as: arguments.makeCommand(withInput: true), in: workspace)
    metrics.worked(on: .launch, for: .now - start)
    let result: JSON = ["session_id": .string(job.id)]
    return Response(
      json: [
        "isError": false, "content": [text(result.text)], "structuredContent": result,
      ])
  }

  private func runToTheEnd(
    _ arguments: CommandArguments, timeout: Duration, context: APIContext
  ) async throws -> Response {
    let job = try await jobs.launch(
      arguments.command, as: arguments.makeCommand(withInput: false), in: context.workspace)
    defer { jobs.delete(job) }
    let limit = min(timeout, configuration.limits.shellTime)
    let grace = configuration.limits.grace
    // Ends when the process has, when the time is up, or when nobody waits for it any more.
    let isTimeUp = await connections.connection(of: context.channel).waiting {
      await withTaskGroup(of: Bool.self) { group in
        group.addTask {
          _ = try? await job.process.waitUntilClosed()
          return false
        }
        group.addTask {
          try? await Task.sleep(for: limit)
          return !Task.isCancelled
        }
        defer { group.cancelAll() }
        return await group.next() ?? false
      }
    }
    if !job.session.output(since: .max).isClosed { job.process.terminate(grace: grace) }
    let exit = try? await job.process.waitUntilClosed()
    let output = job.session.output()
    metrics.polled(output)
    let payload = output.chunks.payload.description
    return Response(
      json: [
        "isError": false, "content": [text(payload)],
        "structuredContent": [
          "output": .string(payload), "exit_code": .optional(output.exitCode.map { Int($0) }),
          "signal": .optional(exit?.signalName), "timed_out": .bool(isTimeUp),
          "truncated": .bool(output.lostBytes > 0), "lost_bytes": .int(output.lostBytes),
        ],
      ])
  }

  private func text(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }
}

/// The body of a tool's call.
private struct ToolCall: Decodable {
  enum Arguments {
    case execCommand(CommandArguments)
    case shell(CommandArguments, timeout: Duration)
  }

  private enum CodingKeys: CodingKey { case tool, arguments }
  private enum ArgumentKeys: String, CodingKey { case timeout = "timeout_ms" }

  let arguments: Arguments

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let name = try container.decode(String.self, forKey: .tool)
    switch Tool(rawValue: name) {
    case .execCommand?:
      arguments = .execCommand(try container.decode(CommandArguments.self, forKey: .arguments))
    case .shell?:
      let others = try container.nestedContainer(keyedBy: ArgumentKeys.self, forKey: .arguments)
      let timeout = try others.decodeIfPresent(Int.self, forKey: .timeout) ?? 60_000
      guard timeout > 0 else {
        throw DecodingError.dataCorruptedError(
          forKey: .timeout, in: others, debugDescription: "must be positive")
      }
      arguments = .shell(
        try container.decode(CommandArguments.self, forKey: .arguments),
        timeout: .milliseconds(timeout))
    case nil:
      throw APIError(
        .notFound, "tool_not_found",
        "there is no tool \(name.prefix(64)); see POST /api/sdk/envs/list")
    }
  }
}

/// What both tools need to know of a command.
private struct CommandArguments: Decodable {
  private enum CodingKeys: String, CodingKey {
    case command, cwd, env, tty, rows, cols, pipeStdin = "pipe_stdin"
  }

  let command: CommandLine
  private let cwd: String?
  private let env: [String: String?]?
  private let tty: Bool?
  private let rows: UInt16?
  private let cols: UInt16?
  private let pipeStdin: Bool?

  func makeCommand(withInput: Bool) -> Command {
    var command = self.command.command
    command.workingDirectory = cwd.map { Command.Text($0) }
    if let env { command.environment = .inherited(changing: env) }
    if tty == true { command.terminal = TerminalSize(rows: rows ?? 24, columns: cols ?? 80) }
    if withInput && pipeStdin != false { command.input = .pipe }
    return command
  }
}

extension ProcessExit {
  /// The name of the signal that it was, if it was one.
  var signalName: String? {
    guard case .signaled(let number) = self else { return nil }
    return ProcessSignal(rawValue: number).name
  }
}

extension Metrics {
  func polled(_ output: Output) {
    polled(
      bytes: output.chunks.payload.count, missedChunks: output.missedChunks,
      missedBytes: output.missedBytes ?? 0)
  }
}
