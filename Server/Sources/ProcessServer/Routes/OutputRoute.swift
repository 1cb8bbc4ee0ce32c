import HTTPTypes
import Hummingbird
import NIOCore
import ProcessHost
import Processes

extension API {
  /// `GET /processes/{sid}/output?since=N[&wait_ms=W][&wait_for=L][&max_bytes=B][&format=F]…`.
  func output(request: Request, context: APIContext) async throws -> Response {
    let acknowledges = try request.integer("acknowledge", in: 0...1) == 1
    func ofOwner() async throws -> Response? {
      try await answerOfOwner(
        to: request, upTo: configuration.limits.waitTime + .seconds(30), context: context)
    }
    // The command waits for it where it runs.
    if acknowledges, let answer = try await ofOwner() { return answer }
    do {
      return try await ownOutput(request, acknowledges: acknowledges, context)
    } catch let error as APIError where error.code == APIError.copyBehind.code {
      do {
        guard let answer = try await ofOwner() else { throw error }
        return answer
      } catch let error as APIError where error == .hostLost {
        // By now its copy has all that there will ever be.
        return try await ownOutput(request, acknowledges: acknowledges, context)
      }
    }
  }

  private func ownOutput(
    _ request: Request, acknowledges: Bool, _ context: APIContext
  ) async throws -> Response {
    let start = ContinuousClock.now
    let job = try await readable(context)
    if acknowledges { try acknowledge(request, of: job) }
    // A copy must be up to date for what is said of its end.
    if request.asksForEnd { try await job.prepareToRead(since: nil) }
    let cursor = try request.start(in: job.session) ?? .start
    let wait = try request.integer("wait_ms", in: 0...(.max)) ?? 0
    let maxBytes = try request.integer("max_bytes", in: 1...(.max))
    let format = try OutputFormat(request)
    let literal = try Literal(request)
    let (output, search, waited) = try await read(
      job, since: cursor, maxBytes: maxBytes, waitingFor: literal, upTo: .milliseconds(wait),
      for: context.client)
    let ending = await job.ending(for: output)
    let expected = ByteBuffer.sizeOfJSON(of: output)
    let isCounted = expected >= Self.leastCounted
    guard !isCounted || take(expected, context) else { throw APIError.overloaded }
    let response = format.response(of: output, ending, search, start: job.startOfTimestamps)
    if isCounted { adjust(expected, to: response.body.contentLength ?? 0, context) }
    metrics.polled(output)
    metrics.worked(on: .output, for: .now - start - waited)
    return response
  }

  /// Records that a job's lossless reader has all of the output up to `since`.
  private func acknowledge(_ request: Request, of session: any ReadableSession) throws {
    guard let job = session as? Job, job.order.losslessTime != nil else {
      throw APIError(
        .conflict, "not_lossless",
        "this process waits for no reader: it was started without lossless_ms")
    }
    guard let cursor = try request.cursor("since"), job.process.acknowledge(cursor) else {
      throw APIError.badRequest(
        "acknowledge=1 takes a since that is 0, or the cursor of an answer about this session")
    }
  }

  /// Reads a job's output, after a wait if one is needed: for a literal, or else for any news.
  ///
  /// - Returns: All that was due after the cursor when the wait was over, how a wait for a literal
  ///   ended, and how long the wait took.
  func read(
    _ job: any ReadableSession, since cursor: Cursor, maxBytes: Int?, waitingFor literal: Literal?,
    upTo limit: Duration, for client: Client
  ) async throws -> (output: Output, search: WaitResult?, waited: Duration) {
    try await job.prepareToRead(since: cursor)
    if literal == nil {
      let output = job.session.output(since: cursor, maxBytes: maxBytes)
      if limit == .zero || output.hasNews { return (output, nil, .zero) }
    }
    let limit = min(limit, configuration.limits.waitTime)
    let beginning = ContinuousClock.now
    let (output, search) = await job.holding {
      await client.waiting { () -> (Output, WaitResult?) in
        let deadline = beginning + limit
        return await job.reading { session in
          let limit = max(deadline - .now, .zero)
          guard let literal else {
            let output = await session.output(
              since: cursor, maxBytes: maxBytes, waitingUpTo: limit)
            return (output, nil)
          }
          let search = await session.wait(
            for: literal.bytes, of: literal.stream, since: cursor, upTo: limit)
          return (session.output(since: cursor, maxBytes: maxBytes), search)
        } isOfForgotten: {
          $0.0.isForgotten && !$0.0.isClosed
        }
      }
    }
    guard client.grant.isInForce else { throw APIError.revoked }
    try job.checkReadable()
    // The session was deleted meanwhile, and has not ended.
    if output.isForgotten && !output.isClosed { throw APIError.sessionNotFound(job.id) }
    return (output, search, .now - beginning)
  }

  /// Returns the job that a request's path names, if it belongs to the requester.
  func job(_ context: APIContext) throws(APIError) -> Job {
    try jobs.job(context.pathParameters["sid"] ?? "", of: context.workspace)
  }

  /// Answers below this many bytes are not counted: the system has room for them at once.
  static var leastCounted: Int { 16 << 10 }

  /// Counts bytes that will be sent to a request's client. Returns whether there is room.
  func take(_ bytes: Int, _ context: APIContext) -> Bool {
    connections.outgoing.take(bytes, for: context.connection, in: context.workspace)
  }

  /// Corrects the number of bytes that were counted.
  func adjust(_ expected: Int, to actual: Int, _ context: APIContext) {
    if expected > actual { connections.outgoing.give(expected - actual, of: context.connection) }
  }
}

/// The format of output in an answer.
private enum OutputFormat {
  /// Chunks with base64.
  case json
  /// The bytes of both streams in the order of arrival; the other values in header fields.
  case raw
  /// The same as UTF-8 text, with U+FFFD for invalid bytes.
  case text
  /// The same as text without escape sequences: see `PlainText`.
  case plainText

  init(_ request: Request) throws {
    let isPlain = try request.integer("plain", in: 0...1) == 1
    let format = request.uri.queryParameters["format"]
    if isPlain, format != "text" {
      throw APIError.badRequest("plain=1 is for text: add format=text, or leave out plain")
    }
    switch format {
    case "json"?: self = .json
    case "raw"?: self = .raw
    case "text"?: self = isPlain ? .plainText : .text
    case nil:
      self = request.headers[.accept] == "application/octet-stream" ? .raw : .json
    case let other?:
      throw APIError.badRequest("format=\(other.prefix(40)): must be json, raw or text")
    }
  }

  func response(
    of output: Output, _ ending: Ending, _ search: WaitResult?, start: Duration?
  ) -> Response {
    var body = ByteBuffer()
    if self == .json {
      body.writeJSON(output, ending, search, start: start)
      return Response(json: body)
    }
    let (beforeGap, rest) = output.payloads
    write(beforeGap, to: &body)
    if self == .plainText, !rest.isEmpty, let last = body.readableBytesView.last, last != 0x0a {
      // Else the beginning of one line and the end of another would be one.
      body.writeStaticString("\n")
    }
    let gap = output.indexOfGap.map { _ in body.readableBytes }
    write(rest, to: &body)
    var headers: HTTPFields = [
      .contentType: self == .raw ? "application/octet-stream" : "text/plain; charset=utf-8",
      .cacheControl: "no-store",
    ]
    func set(_ name: String, _ value: String?) {
      if let value, let field = HTTPField.Name("Processd-" + name) { headers[field] = value }
    }
    set("Next-Since", "\(output.lastSeq)")
    set("Cursor", output.cursor.description)
    set("Offset", output.chunks.first.map { "\($0.offset)" })
    set("Missed-Chunks", "\(output.missedChunks)")
    set("Missed-Bytes", output.missedBytes.map { "\($0)" })
    set("Gap-At", gap.map { "\($0)" })
    set("Lost-Bytes", "\(output.lostBytes)")
    set("Dropped-Bytes", "\(ending.droppedBytes)")
    set("Has-More", "\(output.hasMore)")
    set("Session-Alive", "\(output.isAlive && !ending.isLost)")
    set("Closed", "\(output.isOver)")
    set("Exit-Code", output.exitCode.map { "\($0)" })
    set("Signal", ending.signal)
    set("Timed-Out", "\(ending.hasTimedOut)")
    set("OOM-Killed", ending.wasOOMKilled.map { "\($0)" })
    set("User-Seconds", ending.usage?.userSeconds)
    set("System-Seconds", ending.usage?.systemSeconds)
    set("Max-RSS-Bytes", ending.usage.map { "\($0.maxRSSBytes)" })
    set("Foreign-Cursor", "\(output.isCursorForeign)")
    set("Cursor-Ahead", "\(output.isCursorAhead)")
    set("Forgotten", "\(ending.isForgotten)")
    set("Start-Ms", start.map { "\($0.sinceEpochInMilliseconds)" })
    set("Host-Lost", ending.isHostLost ? "true" : nil)
    set("Holder-Lost", ending.isHolderLost ? "true" : nil)
    set("Wait-For", search?.outcomeName)
    set("Wait-For-Offset", search?.match.map { "\($0.lowerBound)" })
    set("Wait-For-End-Offset", search?.match.map { "\($0.upperBound)" })
    set("Wait-For-Missed-Bytes", search?.missedBytes.map { "\($0)" })
    set("Wait-For-Cursor", search?.cursor.description)
    return Response(status: .ok, headers: headers, body: ResponseBody(byteBuffer: body))
  }

  /// Writes output that has no gap within.
  private func write(_ output: ChunkBytes, to body: inout ByteBuffer) {
    switch self {
    case .json, .raw: body.writeBytes(output)
    case .text: body.writeString(output.description)
    case .plainText: body.writeBytes(PlainText(output).bytes)
    }
  }
}

extension Output {
  /// Whether it is known without another check that there is nothing to wait for.
  fileprivate var hasNews: Bool {
    !chunks.isEmpty || missedChunks > 0 || hasMore || isCursorAhead || isCursorForeign || isOver
  }
}

extension Request {
  /// Returns the position at which a reader wants to begin: `since`, or near the end by
  /// `tail_bytes` or `from=now`; nil if the query gives none. Of `since` and `tail_bytes` it is the
  /// later one, so that a reader that fell behind may go on with the newest.
  ///
  /// - Throws: ``APIError`` with 400 for any other value, and for `from` with one of the others.
  func start(in session: SessionReader) throws -> Cursor? {
    let since = try cursor("since")
    let tail = try integer("tail_bytes", in: 0...(.max))
    let from = uri.queryParameters["from"]
    guard from == nil || from == "now" else {
      throw APIError.badRequest("from=\((from ?? "").prefix(40)): must be now")
    }
    guard from == nil || since == nil && tail == nil else {
      throw APIError.badRequest("from excludes since and tail_bytes")
    }
    if from != nil { return session.cursor(before: 0) }
    guard let tail else { return since }
    let newest = session.cursor(before: tail)
    guard let since else { return newest }
    // A reader must be told that its cursor is of another session.
    let isForeign = session.output(since: since, maxBytes: 1).isCursorForeign
    return isForeign || since.seq >= newest.seq ? since : newest
  }

  /// Whether the position that the query gives is near the end.
  var asksForEnd: Bool {
    uri.queryParameters["tail_bytes"] != nil || uri.queryParameters["from"] != nil
  }

  /// Returns a position of the query: a seq, or the cursor of an earlier answer.
  ///
  /// - Throws: ``APIError`` with 400 for any other value.
  func cursor(_ name: String) throws -> Cursor? {
    try uri.queryParameters[name[...]].map { try Self.cursor($0, called: name) }
  }

  static func cursor(_ text: Substring, called name: String) throws -> Cursor {
    guard let cursor = Cursor(String(text)) else {
      throw APIError.badRequest("\(name)=\(text.prefix(40)): not a seq, and not a cursor")
    }
    return cursor
  }
}

extension SessionReader {
  /// Returns the position before the chunk in which the last bytes begin.
  fileprivate func cursor(before bytes: Int) -> Cursor {
    if bytes == 0 { return output(since: Cursor(seq: .max)).cursor }
    let chunks = output().chunks
    guard var first = chunks.last else { return .start }
    let beginning = first.offset + first.data.count - bytes
    // If that is lost, begin behind it: what lies before the first chunk was not asked for.
    for chunk in chunks.reversed() {
      if chunk.offset + chunk.data.count <= beginning { break }
      first = chunk
    }
    return Cursor(seq: first.seq - 1, offset: first.offset)
  }
}
