import HTTPTypes
import Hummingbird
import NIOCore

/// The Model Context Protocol over HTTP: each message is a request of its own, and there are no
/// sessions of the protocol.
extension API {
  /// `POST /mcp`.
  func mcp(request: Request, context: APIContext) async throws -> Response {
    try checkOrigin(of: request)
    let text = try await body(of: request, context: context)
    let client = context.client
    var id = JSON.null
    let work: MCPWork
    do throws(MCPError) {
      let input = try MCPMessage.parse(text)
      id = MCPMessage.id(of: input)
      work = try self.work(for: input, MCPHeaders(request), for: client)
    } catch {
      return Response(status: error.status, json: error.json(id: id))
    }
    switch work {
    case .nothing: return Response(status: .accepted)
    case .answer(let answer):
      return try await deliver(
        answer, asEvents: request.headers[values: .accept].contains { $0.contains("event-stream") },
        to: context)
    }
  }

  /// Refuses a page in a browser that is not of this machine: its name may lead here by a DNS
  /// server of its own.
  private func checkOrigin(of request: Request) throws(APIError) {
    for origin in request.headers[values: .origin] {
      // `null` stands for a page of no origin, and is none of this machine's either.
      let parts = origin.split(separator: "://", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, isOwn(host: parts[1], orOneOf: configuration.allowedHosts) else {
        throw APIError(
          .forbidden, "forbidden",
          "Origin \(origin.prefix(100)) is none of this machine's: see --allowed-host")
      }
    }
  }

  /// Sends an answer when it is there. A client that takes events gets them if it has to wait, so
  /// that neither it nor a proxy takes the connection for dead.
  private func deliver(
    _ answer: @escaping @Sendable () async -> MCPOutcome, asEvents: Bool, to context: APIContext
  ) async throws -> Response {
    // A heartbeat that was not sent yet stands for later ones.
    let (news, reporter) = AsyncStream<MCPOutcome?>.makeStream(bufferingPolicy: .bufferingNewest(2))
    let heart = Task { [heartbeat = configuration.limits.heartbeat] in
      while asEvents, (try? await Task.sleep(for: heartbeat)) != nil { reporter.yield(nil) }
    }
    // Ends when its client hangs up: then all waits end.
    Task {
      reporter.yield(await answer())
      reporter.finish()
      heart.cancel()
    }
    var first: MCPOutcome?
    for await outcome in news {
      first = outcome
      break
    }
    if let first {
      guard let json = first.json else { throw first.error ?? APIError.overloaded }
      return Response(status: first.status, json: try buffer(json.text, for: context))
    }
    return .events { writer in
      try await writer.write(ByteBuffer(string: ": heartbeat\n\n"))
      for await outcome in news {
        guard let outcome else {
          try await writer.write(ByteBuffer(string: ": heartbeat\n\n"))
          continue
        }
        let text = "event: message\ndata: \(outcome.event.text)\n\n"
        let event =
          (try? buffer(text, for: context))
          ?? ByteBuffer(
            string: "event: message\ndata: \(outcome.refusal(.overloaded).text)\n\n")
        try await writer.write(event)
      }
    }
  }

  /// Counts the bytes of an answer until they are sent.
  private func buffer(_ text: String, for context: APIContext) throws(APIError) -> ByteBuffer {
    let buffer = ByteBuffer(string: text)
    let isCounted = buffer.readableBytes >= Self.leastCounted
    guard !isCounted || take(buffer.readableBytes, context) else { throw .overloaded }
    return buffer
  }
}

// MARK: Messages

/// What is to be done about what a client has sent.
enum MCPWork: Sendable {
  /// There is nothing to answer.
  case nothing
  case answer(@Sendable () async -> MCPOutcome)
}

/// The answer to a message, or to several.
struct MCPOutcome: Sendable {
  var status: HTTPResponse.Status = .ok
  /// Nil for an error that is none of JSON-RPC.
  var json: JSON?
  var error: APIError?
  var id: JSON = .null

  /// The answer once it is too late for a status.
  var event: JSON { json ?? refusal(error ?? .overloaded) }

  func refusal(_ error: APIError) -> JSON { MCPError(.internalError, error.message).json(id: id) }
}

extension API {
  /// Finds out what is to be done about what a client has sent.
  private func work(
    for input: JSONInput, _ headers: MCPHeaders, for client: Client
  ) throws(MCPError) -> MCPWork {
    guard case .array(let values) = input else {
      return try work(forSingle: input, headers, for: client)
    }
    guard (headers.revision ?? .unnamed).hasBatches else {
      throw MCPError(.invalidRequest, "only revision 2025-03-26 has batches")
    }
    let batch = MCPBatch(values)
    guard batch.isAnswered else { return .nothing }
    return .answer {
      do throws(APIError) {
        return MCPOutcome(json: .array(try await self.answers(to: batch, for: client)))
      } catch {
        return MCPOutcome(error: error)
      }
    }
  }

  private func work(
    forSingle input: JSONInput, _ headers: MCPHeaders, for client: Client
  ) throws(MCPError) -> MCPWork {
    switch try MCPMessage(input) {
    case .notification: return .nothing
    case .response:
      if headers.revision?.isStateless == true {
        throw MCPError(.invalidRequest, "a client sends no responses in this revision")
      }
      return .nothing
    case .request(let request):
      let revision = try headers.revision(of: request)
      return .answer { await self.outcome(of: request, in: revision, for: client) }
    }
  }

  /// Answers a request with what HTTP and JSON-RPC need.
  func outcome(
    of request: MCPRequest, in revision: MCPRevision, for client: Client
  ) async -> MCPOutcome {
    do {
      return MCPOutcome(
        json: .result(try await result(of: request, in: revision, for: client), of: request),
        id: request.id)
    } catch let error as MCPError {
      // Clients of earlier revisions take another status for an error of HTTP.
      return MCPOutcome(
        status: revision.isStateless ? error.status : .ok, json: error.json(id: request.id))
    } catch let error as APIError {
      return MCPOutcome(error: error, id: request.id)
    } catch {
      return MCPOutcome(
        status: .internalServerError, json: unexpected(error).json(id: request.id))
    }
  }
}

extension MCPError {
  var status: HTTPResponse.Status {
    switch code {
    case .methodNotFound: .notFound
    case .internalError: .ok
    default: .badRequest
    }
  }
}
