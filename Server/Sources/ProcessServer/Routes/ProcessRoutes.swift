import Hummingbird
import ProcessHost
import Processes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

extension API {
  private var done: Response { Response(json: ["ok": true]) }

  /// `GET /processes`: this workspace's sessions, the oldest first.
  func processes(request: Request, context: APIContext) async throws -> Response {
    var list: [JSON] = []
    for job in jobs.jobs(of: context.workspace) {
      let output = job.session.output(since: Cursor(seq: .max))
      let ending = await job.ending(for: output)
      list.append([
        "session_id": .string(job.id), "pid": .int(Int(job.process.processID)),
        "command": job.order.line.json, "tty": .bool(job.order.command.terminal != nil),
        "started_at": .string(job.startedAt.formatted(.iso8601)),
        "session_alive": .bool(output.isAlive), "closed": .bool(output.isClosed),
        "exit_code": .optional(output.exitCode.map { Int($0) }), "signal": .optional(ending.signal),
        "last_seq": .int(output.lastSeq), "total_bytes": .int(job.session.totalBytes),
        "lost_bytes": .int(output.lostBytes), "head_bytes": .int(job.session.headCapacity),
        "dropped_bytes": .int(ending.droppedBytes),
        "timed_out": .bool(ending.hasTimedOut), "name": .optional(job.order.name),
        "keep_alive": .bool(job.order.isKeptAlive),
        "lingering": .bool(!output.isAlive && job.isActive),
        "oom_killed": ending.wasOOMKilled.map { .bool($0) } ?? .null,
        "rusage": ending.usage?.json ?? .null,
      ])
    }
    return Response(json: ["processes": .array(list)])
  }

  /// `DELETE /processes/{sid}`: ends the process, and removes the session.
  func deleteProcess(request: Request, context: APIContext) async throws -> Response {
    jobs.delete(try job(context))
    return done
  }

  /// `POST /processes/{sid}/stdin`.
  func writeStdin(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await fields(of: request, context: context)
    let isEnd = try body.bool("eof") ?? false
    let data = try body.base64("data_b64")
    // A client that only ends the input need not send an empty string.
    let bytes = isEnd ? data ?? [] : try body.require("data_b64", data)
    let start = ContinuousClock.now
    guard let stdin = job.stdin else {
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
    let answer = await stdin.write(
      bytes, isEnd: isEnd, patience: configuration.limits.stdinPatience)
    metrics.worked(on: .stdin, for: .now - start)
    switch answer {
    case .written: return done
    case .waiting(let bytes):
      return Response(json: ["ok": true, "pending_bytes": .int(bytes)])
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
    _ = try await fields(of: request, context: context)
    job.process.terminate(grace: configuration.limits.grace)
    return done
  }

  /// `POST /processes/{sid}/signal`.
  func signal(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let signal = try Self.signal(await fields(of: request, context: context), "signal")
    do throws(SignalError) {
      try job.process.signal(signal)
    } catch {
      switch error {
      case .processEnded: throw APIError.processEnded
      case .notPermitted, .refused: throw APIError(.conflict, "signal_refused", "\(error)")
      }
    }
    job.touch()
    return done
  }

  /// `POST /processes/{sid}/resize`.
  func resize(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await fields(of: request, context: context)
    let rows = try body.require("rows", body.integer("rows", in: 0...65_535))
    let columns = try body.require("cols", body.integer("cols", in: 0...65_535))
    do throws(TerminalError) {
      try job.process.resize(to: TerminalSize(rows: UInt16(rows), columns: UInt16(columns)))
    } catch {
      switch error {
      case .noTerminal:
        throw APIError(
          .conflict, "no_terminal", "this process has no terminal: it was started without tty")
      case .processEnded: throw APIError.processEnded
      }
    }
    job.touch()
    return done
  }

  /// Returns a signal by its name or number.
  private static func signal(
    _ fields: Fields, _ field: String
  ) throws(APIError) -> ProcessSignal {
    switch try fields.require(field, fields[field]) {
    case .number:
      let number = try fields.require(field, fields.integer(field, in: 1...64))
      return ProcessSignal(rawValue: Int32(number))
    case .string(let name):
      if let signal = ProcessSignal(name: name) { return signal }
    default: break
    }
    throw fields.error(field, "must be a signal's name, such as “SIGINT”, or its number")
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

extension APIError {
  static let processEnded = APIError(.conflict, "process_ended", "the process has ended")
}
