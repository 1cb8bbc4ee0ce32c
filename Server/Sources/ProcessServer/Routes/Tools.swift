import Hummingbird
import NIOCore
import ProcessHost
import Processes

/// The tools of an environment.
enum Tool: String, CaseIterable {
  case execCommand = "exec_command"
  case shell
  case waitFor = "wait_for"

  var description: String {
    switch self {
    case .execCommand:
      "Starts a command and returns the id of its session, whose output can be polled, and which can be"
        + " written to, signalled and terminated."
    case .shell:
      "Runs a command to its end, or for timeout_ms at most, and returns its output and exit code."
    case .waitFor:
      "Waits until a session's output contains a text, compared byte by byte, or its process has"
        + " exited, or wait_ms are over, and returns the output and which of them it was."
    }
  }
}

extension API {
  /// `POST /envs/{name}/tool/call`.
  func callTool(request: Request, context: APIContext) async throws -> Response {
    let name = context.pathParameters["name"] ?? ""
    guard name == configuration.environmentName else {
      let body = try await body(of: request, context: context)
      let word = try? Fields(JSONInput(parsing: body)).string("tool")
      let waiting: Duration =
        switch word.flatMap(Tool.init) {
        case .shell?: configuration.limits.shellTime
        case .waitFor?: configuration.limits.waitTime
        case .execCommand?, nil: .zero
        }
      return try await pass(
        request, body: body, toServer: name, upTo: waiting + .seconds(30), context: context)
    }
    let body = try await fields(of: request, context: context)
    let tool = try body.require("tool", body.string("tool"))
    do {
      switch Tool(rawValue: tool) {
      case .execCommand?:
        return try await execute(
          body.require("arguments", body.object("arguments")), grant: context.grant)
      case .shell?:
        return try await runToTheEnd(
          body.require("arguments", body.object("arguments")), context: context)
      case .waitFor?:
        return try await wait(
          body.require("arguments", body.object("arguments")), context: context)
      case nil:
        throw APIError(
          .badRequest, "unknown_tool",
          "there is no tool \(tool.prefix(64)); see POST /api/sdk/envs/list")
      }
    } catch LaunchError.limitsUnavailable(let reason) {
      throw APIError.limitsUnavailable(reason)
    } catch let error as LaunchError {
      return Response(
        json: [
          "isError": true, "content": [text(error.description)], "code": .string(error.code),
        ])
    }
  }

  private func execute(_ arguments: Fields, grant: Grant) async throws -> Response {
    let (job, isRepeated) = try await start(arguments, by: grant)
    var result: [(name: String, value: JSON)] = [("session_id", .string(job.id))]
    if isRepeated { result.append(("is_repeated", true)) }
    return Response(
      json: [
        "isError": false, "content": [text(JSON.object(result).text)],
        "structuredContent": .object(result),
      ])
  }

  /// Starts a command as the arguments of `exec_command` say.
  ///
  /// - Returns: The command's job, and whether it existed before.
  /// - Throws: What ``JobTable/launch(_:by:)`` throws, and ``APIError`` with 400 for an argument
  ///   that is not valid.
  func start(_ arguments: Fields, by grant: Grant) async throws -> (Job, isRepeated: Bool) {
    let start = ContinuousClock.now
    var order = try CommandArguments(arguments, user: configuration.commandUser).order(
      withInput: true, linger: nil)
    order.command.timeLimit = try arguments.integer("timeout_ms", in: 1...(.max))
      .map { .milliseconds($0) }
    if let signal = try arguments.signal("timeout_signal") {
      guard order.command.timeLimit != nil else {
        throw arguments.error("timeout_signal", "says more about timeout_ms, which is missing")
      }
      order.command.timeLimitSignal = signal
    }
    order.grace = try arguments.integer("grace_ms", in: Self.graces).map { .milliseconds($0) }
    order.losslessTime = try arguments.integer("lossless_ms", in: Self.losslessTimes)
      .map { .milliseconds($0) }
    order.isKeptAlive = try arguments.bool("keep_alive") ?? false
    order.name = try label(arguments, "name")
    order.idempotencyKey = try label(arguments, "idempotency_key")
    if order.name != nil || order.idempotencyKey != nil {
      order.fingerprint = SHA256Digest(of: arguments.text.utf8)
    }
    let launched = try await jobs.launch(order, by: grant)
    metrics.worked(on: .launch, for: .now - start)
    return launched
  }

  /// The times that a client may give between the first signal and `SIGKILL`, in milliseconds.
  static var graces: ClosedRange<Int> { 0...(1 << 40) }
  /// The times for which a command may wait for a sign of its lossless reader, in milliseconds: a
  /// client that is gone must not hold up its command for long.
  static var losslessTimes: ClosedRange<Int> { 1...600_000 }

  /// A text by which a client can find a session again.
  private func label(_ arguments: Fields, _ field: String) throws(APIError) -> String? {
    guard let label = try arguments.string(field) else { return nil }
    guard (1...256).contains(label.utf8.count) else {
      throw arguments.error(field, "has from 1 to 256 bytes")
    }
    return label
  }

  private func runToTheEnd(_ arguments: Fields, context: APIContext) async throws -> Response {
    var order = try CommandArguments(arguments, user: configuration.commandUser).order(
      withInput: false, linger: configuration.limits.shellLinger)
    let timeout = min(
      .milliseconds(try arguments.integer("timeout_ms", in: 1...(.max)) ?? 60_000),
      configuration.limits.shellTime)
    order.command.timeLimit = timeout
    order.command.lingerLimit = order.command.lingerLimit.map { min($0, timeout) }
    let endsBackground = try arguments.bool("end_background") ?? false
    let (job, _) = try await jobs.launch(order, by: context.grant)
    // Processes that it leaves in the background stay within reach of its workspace, as a session.
    var leavesBackground = false
    defer { if !leavesBackground { jobs.delete(job) } }
    // Ends when the process has ended, or when no client waits for it any more.
    await job.holding {
      await context.client.waiting {
        await job.process.waitUntilClosed()
      }
    }
    if job.process.isLeft { throw APIError.answerLost }
    let isOver = job.session.isClosed
    if !isOver { job.process.terminate(grace: configuration.limits.grace) }
    await job.process.waitUntilClosed()
    if job.process.isLeft { throw APIError.answerLost }
    if isOver, !endsBackground, !job.hasTimedOut {
      // A process that has just ended counts until the system has noticed.
      for _ in 0..<10 where job.isActive { try? await Task.sleep(for: .milliseconds(10)) }
      leavesBackground = job.isActive
    }
    guard context.grant.isInForce else { throw APIError.revoked }
    try job.checkReadable()
    let output = job.session.output()
    let sizes = output.chunks.payload.count * 6
    guard sizes < Self.leastCounted || take(sizes, context) else { throw APIError.overloaded }
    metrics.polled(output)
    let (beforeGap, rest) = output.payloads
    let payload = "\(beforeGap)\(rest)"
    let (stdout, stderr) = (output.bytes(of: .stdout), output.bytes(of: .stderr))
    let ending = await job.ending(for: output)
    var result: [(name: String, value: JSON)] = [
      ("output", .string(payload)), ("exit_code", .optional(output.exitCode.map { Int($0) })),
    ]
    result += ending.members
    result += [
      ("truncated", .bool(output.lostBytes > 0)), ("lost_bytes", .int(output.lostBytes)),
      ("dropped_bytes", .int(ending.droppedBytes)),
      ("stdout", .string(String(decoding: stdout, as: UTF8.self))),
      ("stderr", .string(String(decoding: stderr, as: UTF8.self))),
      ("stdout_b64", .string(base64(stdout))), ("stderr_b64", .string(base64(stderr))),
      ("gap", output.gapInStreams),
    ]
    if leavesBackground { result.append(("session_id", .string(job.id))) }
    let json: JSON = [
      "isError": false, "content": [text(output.markedText)],
      "structuredContent": .object(result),
    ]
    let body = ByteBuffer(string: json.text)
    if sizes >= Self.leastCounted { adjust(sizes, to: body.readableBytes, context) }
    return Response(json: body)
  }

  private func wait(_ arguments: Fields, context: APIContext) async throws -> Response {
    let start = ContinuousClock.now
    let id = try arguments.require("session_id", arguments.string("session_id"))
    let job = try await readable(id, of: context.workspace)
    let literal = try Literal(arguments)
    let cursor = try cursor(arguments, "since") ?? .start
    let wait = try arguments.integer("wait_ms", in: 0...(.max)) ?? 30_000
    let maxBytes = try arguments.integer("max_bytes", in: 1...(.max))
    let (output, search, waited) = try await read(
      job, since: cursor, maxBytes: maxBytes, waitingFor: literal, upTo: .milliseconds(wait),
      for: context.client)
    let ending = await job.ending(for: output)
    // The text takes up to six letters for a byte, and the base64 less than two.
    let expected = ByteBuffer.sizeOfJSON(of: output) + output.chunks.payload.count * 6
    let isCounted = expected >= Self.leastCounted
    guard !isCounted || take(expected, context) else { throw APIError.overloaded }
    let content: JSON = [text(search?.outcomeName ?? ""), text(output.markedText)]
    var body = ByteBuffer(
      string: #"{"isError":false,"content":\#(content.text),"structuredContent":"#)
    body.writeJSON(output, ending, search, start: job.startOfTimestamps)
    body.writeStaticString("}")
    if isCounted { adjust(expected, to: body.readableBytes, context) }
    metrics.polled(output)
    metrics.worked(on: .output, for: .now - start - waited)
    return Response(json: body)
  }

  /// A position in a tool's arguments: a seq, or the cursor of an earlier answer.
  func cursor(_ arguments: Fields, _ field: String) throws -> Cursor? {
    switch arguments[field] {
    case nil: nil
    case .number?: try arguments.integer(field, in: .min ... .max).map { Cursor(seq: $0) }
    default:
      try arguments.string(field).map { try Request.cursor($0[...], called: arguments.name(field)) }
    }
  }

  func text(_ text: String) -> JSON { ["type": "text", "text": .string(text)] }
}

extension Output {
  /// The part of the output that one stream wrote.
  fileprivate func bytes(of stream: StandardStream) -> [UInt8] {
    var bytes: [UInt8] = []
    for chunk in chunks where chunk.stream == stream { bytes += chunk.data }
    return bytes
  }

  /// Where output was missed: behind how many bytes of each stream, and of the text of both.
  fileprivate var gapInStreams: JSON {
    guard let index = indexOfGap else { return .null }
    func count(_ stream: StandardStream) -> JSON {
      .int(chunks[..<index].reduce(0) { $0 + ($1.stream == stream ? $1.data.count : 0) })
    }
    return [
      "missed_bytes": .optional(missedBytes),
      "output_at": .int(payloads.beforeGap.description.utf8.count), "stdout_at": count(.stdout),
      "stderr_at": count(.stderr),
    ]
  }
}

extension LaunchError {
  /// Why a command cannot be started, for programs; part of the API.
  fileprivate var code: String {
    switch self {
    case .executableNotFound: "executable_not_found"
    case .notExecutable: "not_executable"
    case .invalidCommand: "invalid_command"
    case .badWorkingDirectory: "bad_working_directory"
    case .outOfResources: "out_of_resources"
    case .limitsUnavailable, .hostClosed, .sessionInUse, .tooManySessions, .idTaken, .cancelled,
      .other:
      "launch_failed"
    }
  }
}

extension APIError {
  /// The system cannot limit memory or the number of processes.
  static func limitsUnavailable(_ reason: some CustomStringConvertible) -> APIError {
    APIError(
      .badRequest, "limits_unavailable",
      "max_memory_bytes and max_processes take a control group (--cgroups): \(reason)")
  }
}

extension Metrics {
  func polled(_ output: Output) {
    polled(
      bytes: output.chunks.payload.count, missedChunks: output.missedChunks,
      missedBytes: output.missedBytes ?? 0)
  }
}
