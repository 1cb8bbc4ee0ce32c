import ProcessHost
import Processes

/// What the tools do.
extension API {
  func perform(
    _ tool: MCPTool, _ arguments: Fields, for client: Client
  ) async throws -> MCPAnswer {
    switch tool {
    case .execCommand: try await execCommand(arguments, for: client)
    case .readOutput: try await readOutput(arguments, for: client)
    case .writeStdin: try await writeStdin(arguments, for: client)
    case .waitFor: try await waitFor(arguments, for: client)
    case .sendSignal: try await sendSignal(arguments, for: client)
    case .terminate: try await terminate(arguments, for: client)
    case .list: try await list(arguments, for: client)
    }
  }

  private func execCommand(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let budget = try Budget(arguments)
    let wait = try milliseconds(arguments, "wait_ms") ?? .seconds(10)
    let (job, isRepeated) = try await start(arguments, by: client.grant)
    _ = await waitForExit(of: job, upTo: wait, for: client)
    let output = try read(job, since: .start, for: client)
    var answer = await answer(output, of: job, since: .start, budget)
    if isRepeated {
      answer.texts[0] =
        "The command was not started again: this is the session of an earlier call.\n"
        + answer.texts[0]
      answer.members.append(("is_repeated", true))
    }
    return answer
  }

  private func readOutput(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let job = try await session(arguments, of: client)
    let cursor = try cursor(arguments, "since") ?? .start
    let wait = try milliseconds(arguments, "wait_ms") ?? .zero
    let budget = try Budget(arguments)
    let (output, _, _) = try await read(
      job, since: cursor, maxBytes: nil, waitingFor: nil, upTo: wait, for: client)
    metrics.polled(output)
    return await answer(output, of: job, since: cursor, budget)
  }

  private func waitFor(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let job = try await session(arguments, of: client)
    let cursor = try cursor(arguments, "since") ?? .start
    let wait = try milliseconds(arguments, "wait_ms") ?? .seconds(30)
    let budget = try Budget(arguments)
    let output: Output
    let outcome: String
    let search: JSON
    let isForText = arguments["text"] != nil || arguments["data_b64"] != nil
    if !isForText {
      guard arguments["stream"] == nil else {
        throw arguments.error("stream", "is for a text: add that")
      }
      let isOver = await waitForExit(of: job, upTo: wait, for: client)
      output = try read(job, since: cursor, for: client)
      let isExited = isOver || output.exitCode != nil
      outcome = isExited ? "exited" : output.isOver ? "closed" : "timed_out"
      search = [
        "outcome": .string(outcome), "offset": nil, "end_offset": nil, "missed_bytes": nil,
        "cursor": .string(output.cursor.description),
      ]
    } else {
      let (found, result, _) = try await read(
        job, since: cursor, maxBytes: nil, waitingFor: Literal(arguments), upTo: wait, for: client)
      metrics.polled(found)
      output = found
      outcome = result?.outcomeName ?? "timed_out"
      search = result?.json ?? .null
    }
    var answer = await answer(output, of: job, since: cursor, budget)
    let words =
      switch outcome {
      case "matched": "matched: the text is in the output."
      case "exited" where isForText: "exited: the command has ended without the text."
      case "exited": "exited: the command has ended."
      case "closed" where isForText:
        "closed: the command has ended without the text, and no more can come."
      case "closed": "closed: the command has ended, and how is not known."
      default: "timed_out: the time is up."
      }
    answer.texts[0] = "\(words)\n\(answer.texts[0])"
    answer.members.append(("wait_for", search))
    return answer
  }

  private func writeStdin(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let session = try await session(arguments, of: client)
    let isEnd = try arguments.bool("eof") ?? false
    let text = try arguments.string("text").map { Array($0.utf8) }
    let data = try arguments.base64("data_b64")
    guard text == nil || data == nil else { throw arguments.error("data_b64", "excludes text") }
    let given = text ?? data
    let bytes = isEnd ? given ?? [] : try arguments.require("text", given)
    var pending = 0
    if let job = session as? Job {
      pending = try await write(bytes, isEnd: isEnd, to: job) ?? 0
    } else if let session = session as? RemoteSession {
      let fields: JSON = ["data_b64": .string(base64(bytes)), "eof": .bool(isEnd)]
      let answer = try await act(on: session, by: "stdin", fields, for: client)
      pending = try answer.integer("pending_bytes", in: 0...(.max)) ?? 0
    }
    let rest = pending == 0 ? "" : "; the command has yet to read \(pending) bytes"
    return MCPAnswer(
      texts: ["Written: \(bytes.count) bytes\(isEnd ? ", and stdin was ended" : "")\(rest)."],
      members: [("session_id", .string(session.id)), ("pending_bytes", .int(pending))])
  }

  private func sendSignal(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let session = try await session(arguments, of: client)
    let signal = try arguments.require("signal", arguments.signal("signal"))
    if let job = session as? Job {
      try await send(signal, to: job)
    } else if let session = session as? RemoteSession {
      let fields: JSON = ["signal": .int(Int(signal.rawValue))]
      _ = try await act(on: session, by: "signal", fields, for: client)
    }
    return MCPAnswer(
      texts: ["\(signal.name) was sent."],
      members: [
        ("session_id", .string(session.id)), ("session_alive", .bool(session.session.isAlive)),
      ])
  }

  private func terminate(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let session = try await session(arguments, of: client)
    let isRunning: Bool
    if let job = session as? Job {
      isRunning = job.isActive
      try unlessLeft(job) { jobs.terminate(job) }
    } else {
      try await session.prepareToRead(since: nil)
      isRunning = !session.session.isClosed
      if let session = session as? RemoteSession {
        _ = try await act(on: session, by: "terminate", [:], for: client)
      }
    }
    return MCPAnswer(
      texts: [isRunning ? "The command is being ended." : "The command had ended already."],
      members: [
        ("session_id", .string(session.id)), ("session_alive", .bool(session.session.isAlive)),
      ])
  }

  private func list(_ arguments: Fields, for client: Client) async throws -> MCPAnswer {
    let skipped = try arguments.integer("skip", in: 0...(.max)) ?? 0
    var room = try Budget(arguments).bytes
    let jobs = Array(jobs.jobs(of: client.workspace).reversed())
    let (others, isComplete) = await fleet?.sessions(of: client.workspace) ?? ([], true)
    var processes: [JSON] = []
    for index in min(skipped, jobs.count + others.count)..<jobs.count + others.count {
      let process =
        index < jobs.count
        ? await jobs[index].listing : others[others.count - 1 - (index - jobs.count)].listing
      room -= process.text.utf8.count + 1
      if room < 0, !processes.isEmpty { break }
      processes.append(process)
    }
    let rest = max(0, jobs.count + others.count - skipped - processes.count)
    var lines = processes.map(\.text)
    if rest > 0 {
      lines.append("[\(rest) sessions left out here: list with skip=\(skipped + processes.count)]")
    }
    if !isComplete { lines.append("[Sessions of other servers cannot be listed now.]") }
    return MCPAnswer(
      texts: [
        lines.isEmpty
          ? "There are no \(skipped > 0 ? "more " : "")sessions." : lines.joined(separator: "\n")
      ],
      members: [("processes", .array(processes)), ("left_out", .int(rest))])
  }
}

// MARK: What they share

/// How much output an answer gives, and how.
private struct Budget {
  let bytes: Int
  let part: Excerpt.Part
  let format: Excerpt.Format

  init(_ arguments: Fields) throws(APIError) {
    bytes = try arguments.integer("max_bytes", in: Excerpt.budgets) ?? Excerpt.standardBudget
    part = try Self.choice(arguments, "part") ?? .both
    format = try Self.choice(arguments, "format") ?? .plain
  }

  private static func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ arguments: Fields, _ field: String
  ) throws(APIError) -> Choice? {
    guard let text = try arguments.string(field) else { return nil }
    guard let choice = Choice(rawValue: text) else {
      let all = Choice.allCases.map(\.rawValue).joined(separator: ", ")
      throw arguments.error(field, "is \(text.prefix(40)): must be one of \(all)")
    }
    return choice
  }
}

extension API {
  /// Returns a session. That of another workspace is as unknown as one that never was.
  private func session(
    _ arguments: Fields, of client: Client
  ) async throws(APIError) -> any ReadableSession {
    let id = try arguments.require("session_id", arguments.string("session_id"))
    do throws(APIError) {
      return try await readable(id, of: client.workspace)
    } catch {
      guard error.status == .notFound || error.status == .forbidden else { throw error }
      var error = APIError.sessionNotFound(id)
      error.message += "; call the tool named list to see which there are"
      throw error
    }
  }

  private func milliseconds(
    _ arguments: Fields, _ field: String
  ) throws(APIError) -> Duration? {
    try arguments.integer(field, in: 0...(.max)).map { .milliseconds($0) }
  }

  /// Waits until a job's command has exited, and a moment for the end of its output.
  ///
  /// - Returns: Whether it has exited.
  private func waitForExit(
    of job: any ReadableSession, upTo limit: Duration, for client: Client
  ) async -> Bool {
    let limit = min(limit, configuration.limits.waitTime)
    return await job.holding {
      await client.waiting {
        guard await job.waitForExit(upTo: limit) else { return false }
        await job.session.waitForClose()
        return true
      }
    }
  }

  /// Reads a job's output after a wait.
  private func read(
    _ job: any ReadableSession, since cursor: Cursor, for client: Client
  ) throws(APIError) -> Output {
    guard client.grant.isInForce else { throw .revoked }
    try job.checkReadable()
    let output = job.session.output(since: cursor)
    if output.isForgotten && !output.isClosed { throw .sessionNotFound(job.id) }
    metrics.polled(output)
    return output
  }

  /// Returns the answer of a tool that gives output.
  private func answer(
    _ output: Output, of job: any ReadableSession, since cursor: Cursor, _ budget: Budget
  ) async -> MCPAnswer {
    let excerpt = Excerpt(
      of: output, since: cursor, format: budget.format, part: budget.part, budget: budget.bytes)
    let (isAlive, isClosed, exitCode) = (output.isAlive, output.isOver, output.exitCode)
    let (isForeign, isAhead) = (output.isCursorForeign, output.isCursorAhead)
    let ending = await job.ending(for: output)
    var lines = ["session_id: \(job.id)"]
    if let exitCode {
      lines.append("exit_code: \(exitCode)")
      if let signal = ending.signal { lines.append("signal: \(signal)") }
      if ending.hasTimedOut { lines.append("The command was ended because its time was up.") }
      if ending.wasOOMKilled == true {
        lines.append("The command was killed for lack of memory.")
      }
      if !isClosed { await job.session.waitForClose() }
      if !job.session.isClosed {
        lines.append("Processes that it has left in the background may still write.")
      }
    } else if ending.isHostLost {
      lines.append("The command's server is lost, and the command with it.")
    } else if ending.isHolderLost {
      lines.append("The command's holder was killed, and the command with it.")
    } else {
      lines.append("The command still runs.")
    }
    lines.append("cursor: \(excerpt.cursor)")
    if isForeign { lines.append("since was of another session: this begins at the start.") }
    if isAhead { lines.append("since was beyond the end of the output.") }
    if excerpt.remainingBytes > 0 {
      lines.append("\(excerpt.remainingBytes) bytes are left behind the cursor.")
    }
    let members: [(name: String, value: JSON)] = [
      ("session_id", .string(job.id)),
      ("session_alive", .bool(isAlive && !ending.isLost)),
      ("closed", .bool(isClosed)), ("exit_code", .optional(exitCode.map { Int($0) })),
      ("signal", .optional(ending.signal)), ("timed_out", .bool(ending.hasTimedOut)),
      ("oom_killed", ending.wasOOMKilled.map { .bool($0) } ?? .null),
      ("foreign_cursor", .bool(isForeign)), ("cursor_ahead", .bool(isAhead)),
    ]
    let text = excerpt.text
    return MCPAnswer(
      texts: [lines.joined(separator: "\n")] + (text.isEmpty ? [] : [text]),
      members: members + excerpt.members)
  }
}

extension SessionReader {
  /// Waits for the close, a tenth of a second at most: when the exit is known, the end of the
  /// output may not have been read yet.
  fileprivate func waitForClose() async {
    for _ in 0..<10 where !isClosed { try? await Task.sleep(for: .milliseconds(10)) }
  }
}

extension RemoteState {
  /// What the tool `list` says of the session.
  fileprivate var listing: JSON {
    let all = summary
    let names = MCPTool.listedNames + ["env", "unreachable", "host_lost"]
    return .object(names.compactMap { name in all.first { $0.name == name } })
  }
}

extension Job {
  /// What the tool `list` says of the job: less than the whole summary, and of a long command the
  /// beginning.
  fileprivate var listing: JSON {
    get async {
      let command =
        switch order.line {
        case .shell(let line): line
        case .words(let words): words.joined(separator: " ")
        }
      let all = await summary
      return .object(
        MCPTool.listedNames.compactMap { name in
          name == "command"
            ? (name, .string(command.beginning(200))) : all.first { $0.name == name }
        })
    }
  }
}
