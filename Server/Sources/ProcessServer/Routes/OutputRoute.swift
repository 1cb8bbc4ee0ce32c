import Hummingbird
import NIOCore
import Processes

extension API {
  /// `GET /processes/{sid}/output?since=N[&wait_ms=W][&max_bytes=B]`.
  func output(request: Request, context: APIContext) async throws -> Response {
    let start = ContinuousClock.now
    let job = try job(context)
    let cursor = try request.cursor("since") ?? .start
    let wait = try request.integer("wait_ms", in: 0...(.max)) ?? 0
    let maxBytes = try request.integer("max_bytes", in: 1...(.max))
    job.touch()
    var output = job.session.output(since: cursor, maxBytes: maxBytes)
    var waited: Duration = .zero
    if wait > 0 && !output.hasNews(for: cursor) {
      let limit = min(.milliseconds(wait), configuration.limits.waitTime)
      let beginning = ContinuousClock.now
      output = await connections.connection(of: context.channel).waiting { [cursor] in
        await job.session.output(since: cursor, maxBytes: maxBytes, waitingUpTo: limit)
      }
      waited = .now - beginning
    }
    let signal = await job.signalName(for: output)
    var body = ByteBuffer()
    body.writeJSON(output, signal: signal)
    metrics.polled(output)
    metrics.worked(on: .output, for: .now - start - waited)
    return Response(json: body)
  }

  /// The job that a request's path names, if it is the requester's.
  func job(_ context: APIContext) throws(APIError) -> Job {
    try jobs.job(context.parameters.get("sid") ?? "", of: context.workspace)
  }
}

extension Output {
  /// Whether it is clear without another look that nothing is to be waited for.
  fileprivate func hasNews(for cursor: Cursor) -> Bool {
    !chunks.isEmpty || missedChunks > 0 || hasMore || isCursorAhead || isCursorForeign || isClosed
  }
}

extension Request {
  /// A position of the query: a seq, or what an answer gave as its cursor.
  ///
  /// - Throws: ``APIError`` with 400 for anything else.
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
