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
      let output = job.session.output(since: .max)
      let signal = await job.signalName(for: output)
      list.append([
        "session_id": .string(job.id), "pid": .int(Int(job.process.processID)),
        "command": job.command.json, "tty": .bool(job.hasTerminal),
        "started_at": .string(job.startedAt.formatted(.iso8601)),
        "session_alive": .bool(output.isAlive), "closed": .bool(output.isClosed),
        "exit_code": .optional(output.exitCode.map { Int($0) }), "signal": .optional(signal),
        "last_seq": .int(output.lastSeq), "total_bytes": .int(job.session.totalBytes),
        "lost_bytes": .int(output.lostBytes),
      ])
    }
    return Response(json: ["processes": .array(list)])
  }

  /// `DELETE /processes/{sid}`: ends the process, and forgets the session.
  func deleteProcess(request: Request, context: APIContext) async throws -> Response {
    jobs.delete(try job(context))
    return done
  }

  /// `POST /processes/{sid}/stdin`.
  func writeStdin(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await request.decode(StdinBody.self, upTo: configuration.limits.bodyBytes)
    let start = ContinuousClock.now
    guard let stdin = job.stdin else {
      throw APIError(
        .conflict, "no_stdin", "this process has no stdin: it was started with pipe_stdin false")
    }
    guard job.process.isRunning else { throw APIError.processEnded }
    job.touch()
    let answer = await stdin.write(
      body.bytes, isEnd: body.eof ?? false, patience: configuration.limits.stdinPatience)
    metrics.worked(on: .stdin, for: .now - start)
    switch answer {
    case .written: return done
    case .waiting(let bytes):
      return Response(json: ["ok": true, "pending_bytes": .int(bytes)])
    case .full(let waiting):
      throw APIError(
        .tooManyRequests, "stdin_full",
        "the process has yet to read \(waiting) bytes, and \(body.bytes.count) more are too many:"
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

  /// `POST /processes/{sid}/terminate`: fine as well if it has ended.
  func terminate(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    _ = try await request.decode(NoArguments.self, upTo: configuration.limits.bodyBytes)
    job.process.terminate(grace: configuration.limits.grace)
    return done
  }

  /// `POST /processes/{sid}/signal`.
  func signal(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let body = try await request.decode(SignalBody.self, upTo: configuration.limits.bodyBytes)
    do throws(SignalError) {
      try job.process.signal(body.signal)
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
    let body = try await request.decode(SizeBody.self, upTo: configuration.limits.bodyBytes)
    do throws(TerminalError) {
      try job.process.resize(to: TerminalSize(rows: body.rows, columns: body.cols))
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

  /// `GET /metrics`, for this machine alone.
  func metrics(request: Request, context: APIContext) async throws -> Response {
    guard isLoopback(address: context.channel.remoteAddress?.ipAddress ?? "") else {
      throw APIError(.forbidden, "forbidden", "metrics are for the server's own machine")
    }
    return Response(
      status: .ok, headers: [.contentType: "text/plain; version=0.0.4; charset=utf-8"],
      body: ResponseBody(
        byteBuffer: ByteBuffer(string: metrics.text(jobs: jobs, connections: connections))))
  }
}

extension APIError {
  static let processEnded = APIError(.conflict, "process_ended", "the process has ended")
}

private struct StdinBody: Decodable {
  private enum CodingKeys: String, CodingKey { case data = "data_b64", eof }

  let bytes: [UInt8]
  let eof: Bool?

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    eof = try container.decodeIfPresent(Bool.self, forKey: .eof)
    // Whoever only ends the input need not send an empty string.
    let text =
      eof == true
      ? try container.decodeIfPresent(String.self, forKey: .data) ?? ""
      : try container.decode(String.self, forKey: .data)
    guard let data = Data(base64Encoded: text) else {
      throw DecodingError.dataCorruptedError(
        forKey: .data, in: container, debugDescription: "not base64 (RFC 4648, with padding)")
    }
    bytes = Array(data)
  }
}

private struct SignalBody: Decodable {
  private enum CodingKeys: CodingKey { case signal }

  let signal: ProcessSignal

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    if let number = try? container.decode(Int32.self, forKey: .signal), (1...64).contains(number) {
      signal = ProcessSignal(rawValue: number)
    } else if let name = try? container.decode(String.self, forKey: .signal),
      let named = ProcessSignal(name: name)
    {
      signal = named
    } else {
      throw DecodingError.dataCorruptedError(
        forKey: .signal, in: container,
        debugDescription: "must be a signal's name, such as “SIGINT”, or its number")
    }
  }
}

private struct SizeBody: Decodable {
  let rows: UInt16
  let cols: UInt16
}
