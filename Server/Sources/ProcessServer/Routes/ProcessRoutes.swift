import Hummingbird
import NIOCore
import ProcessHost
import Processes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension API {
  var done: Response { Response(json: ["ok": true]) }

  /// `GET /processes`: this workspace's sessions, the oldest first; in a fleet, those of this
  /// server before those of the others.
  func processes(request: Request, context: APIContext) async throws -> Response {
    var list: [JSON] = []
    let environment = configuration.environmentName
    for job in jobs.jobs(of: context.workspace) {
      let summary = await job.summary
      list.append(.object(fleet == nil ? summary : summary + [("env", .string(environment))]))
    }
    var members: [(name: String, value: JSON)] = []
    if let fleet {
      let (sessions, isComplete) = await fleet.sessions(of: context.workspace)
      list += sessions.map { .object($0.summary) }
      members.append(("complete", .bool(isComplete)))
    }
    members.insert(("processes", .array(list)), at: 0)
    let body = ByteBuffer(string: JSON.object(members).text)
    guard body.readableBytes < Self.leastCounted || take(body.readableBytes, context) else {
      throw APIError.overloaded
    }
    return Response(json: body)
  }

  /// `DELETE /processes/{sid}`: ends the process, and removes the session.
  func deleteProcess(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    try unlessLeft(job) { jobs.delete(job) }
    return done
  }

  /// Acts on a job, unless that is the next daemon's.
  func unlessLeft(_ job: Job, _ act: () -> Void) throws(APIError) {
    if job.process.isLeft { throw APIError.shuttingDown }
    act()
    if job.process.isLeft { throw APIError.answerLost }
  }

  /// `POST /processes/{sid}/stdin`.
  func writeStdin(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await fields(of: request, context: context)
    let isEnd = try body.bool("eof") ?? false
    let data = try body.base64("data_b64")
    // A client that only ends the input need not send an empty string.
    let bytes = isEnd ? data ?? [] : try body.require("data_b64", data)
    guard let pending = try await write(bytes, isEnd: isEnd, to: job) else { return done }
    return Response(json: ["ok": true, "pending_bytes": .int(pending)])
  }

  /// Writes bytes to the stdin of a job, and ends it after them if asked to.
  ///
  /// - Returns: The number of bytes that the process has yet to read; nil if all are in the pipe.
  /// - Throws: ``APIError``: 409 if there is no stdin any more, 413 for more bytes than may wait,
  ///   429 if too many wait already.
  func write(_ bytes: [UInt8], isEnd: Bool, to job: Job) async throws(APIError) -> Int? {
    let start = ContinuousClock.now
    guard job.process.hasInput else {
      throw APIError(
        .conflict, "no_stdin", "this process has no stdin: it was started with pipe_stdin false")
    }
    guard job.process.isRunning else { throw APIError.processEnded }
    guard bytes.count <= configuration.limits.stdinBytes else {
      throw APIError(
        .contentTooLarge, "stdin_too_large",
        "\(bytes.count) bytes never fit: send at most \(configuration.limits.stdinBytes) at a time")
    }
    job.touch()
    let answer = try await job.process.write(
      bytes, isEnd: isEnd, patience: configuration.limits.stdinPatience)
    metrics.worked(on: .stdin, for: .now - start)
    switch answer {
    case .written, nil: return nil
    case .waiting(let bytes): return bytes
    case .full(let waiting):
      throw APIError(
        .tooManyRequests, "stdin_full",
        "the process has yet to read \(waiting) bytes, and \(bytes.count) more are too many:"
          + " none of them was taken; try again when it has read some")
    case .failed(.closed):
      throw APIError(.conflict, "stdin_closed", "the process's stdin was ended earlier, by eof")
    case .failed:
      if job.process.isRunning {
        throw APIError(.conflict, "stdin_closed", "the process has closed its stdin")
      }
      throw APIError.processEnded
    }
  }

  /// `POST /processes/{sid}/terminate`: succeeds even if the process has ended.
  func terminate(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await fields(of: request, context: context)
    let grace = try body.integer("grace_ms", in: Self.graces)
    try unlessLeft(job) { jobs.terminate(job, grace: grace.map { .milliseconds($0) }) }
    return done
  }

  /// `POST /processes/{sid}/signal`.
  func signal(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await fields(of: request, context: context)
    try await send(try body.require("signal", body.signal("signal")), to: job)
    return done
  }

  /// Sends a signal to a job's process, and to all others of its group.
  ///
  /// - Throws: ``APIError`` with 409 if none of them runs any more, or the system refuses.
  func send(_ signal: ProcessSignal, to job: Job) async throws(APIError) {
    try await job.process.send(signal)
    job.touch()
  }

  /// `POST /processes/{sid}/resize`.
  func resize(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await fields(of: request, context: context)
    let rows = try body.require("rows", body.integer("rows", in: 0...65_535))
    let columns = try body.require("cols", body.integer("cols", in: 0...65_535))
    try await job.process.resize(
      to: TerminalSize(rows: UInt16(rows), columns: UInt16(columns)))
    job.touch()
    return done
  }

  /// `GET /metrics`, for this machine alone.
  func metrics(request: Request, context: APIContext) async throws -> Response {
    guard context.connection.isLocal else {
      throw APIError(.forbidden, "forbidden", "metrics are for the server's own machine")
    }
    return Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: ResponseBody(
        byteBuffer: ByteBuffer(string: metrics.text(self))))
  }
}

extension Fields {
  /// Returns a signal by its name or number.
  func signal(_ field: String) throws(APIError) -> ProcessSignal? {
    switch self[field] {
    case nil: return nil
    case .number?:
      return try integer(field, in: 1...64).map { ProcessSignal(rawValue: Int32($0)) }
    case .string(let name)?:
      if let signal = ProcessSignal(name: name) { return signal }
    default: break
    }
    throw error(field, "must be a signal's name, such as “SIGINT”, or its number")
  }
}

extension Job {
  /// What lists of sessions say about the job.
  var summary: [(name: String, value: JSON)] {
    get async { await summary(for: session.output(since: Cursor(seq: .max))) }
  }

  /// What lists of sessions say about the job, as of an output.
  func summary(for output: Output) async -> [(name: String, value: JSON)] {
    let ending = await ending(for: output)
    return [
      ("session_id", .string(id)), ("pid", .int(Int(process.processID))),
      ("command", order.line.excerpt), ("tty", .bool(order.command.terminal != nil)),
      ("started_at", .string(startedAt.formatted(.iso8601))),
      ("session_alive", .bool(output.isAlive && !ending.isLost)),
      ("closed", .bool(output.isOver)),
      ("exit_code", .optional(output.exitCode.map { Int($0) })),
      ("signal", .optional(ending.signal)), ("last_seq", .int(output.lastSeq)),
      ("total_bytes", .int(session.totalBytes)), ("lost_bytes", .int(output.lostBytes)),
      ("head_bytes", .int(session.headCapacity)), ("dropped_bytes", .int(ending.droppedBytes)),
      ("timed_out", .bool(ending.hasTimedOut)), ("name", .optional(order.name)),
      ("keep_alive", .bool(order.isKeptAlive)), ("lingering", .bool(!output.isAlive && isActive)),
      ("oom_killed", ending.wasOOMKilled.map { .bool($0) } ?? .null),
      ("rusage", ending.usage?.json ?? .null),
    ] + ending.losses
  }

  /// The names of the summary's members, in order.
  static var summaryNames: [String] { Schema.processFields.map(\.name) }
}

extension APIError {
  static let processEnded = APIError(.conflict, "process_ended", "the process has ended")
}
