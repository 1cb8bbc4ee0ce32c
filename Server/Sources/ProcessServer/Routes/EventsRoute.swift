import HTTPTypes
import Hummingbird
import NIOCore
import Processes

extension API {
  /// `GET /processes/{sid}/events?since=N`: the output as server-sent events, to its end.
  func events(request: Request, context: APIContext) async throws -> Response {
    let job = try await readable(context)
    let last = try request.headers[HTTPField.Name("Last-Event-ID")!].map {
      try Request.cursor($0[...], called: "Last-Event-ID")
    }
    if last == nil, request.asksForEnd { try await job.prepareToRead(since: nil) }
    let start = try last ?? request.start(in: job.session) ?? .start
    try await job.prepareToRead(since: start)
    // A client that has received the end event, and reconnects, is told not to.
    if let last, last.isBehindTheEnd(of: job.session) { return Response(status: .noContent) }
    return .events { writer in
      try await job.holding { try await send(job, since: start, to: &writer, context: context) }
    }
  }

  private func send(
    _ job: any ReadableSession, since start: Cursor, to writer: inout any ResponseBodyWriter,
    context: APIContext
  ) async throws {
    var position = Position(cursor: start)
    try await writer.write(ByteBuffer(string: "retry: 1000\n\n"))
    while !position.isAtEnd, context.client.waits.mayWait {
      // The output that was read is released before the client takes its time.
      guard let events = await next(of: job, at: &position, context: context) else {
        // There is no room now; there may be later. The reader is slow then, and may find a gap.
        await context.client.waiting {
          try? await Task.sleep(for: .milliseconds(100))
        }
        continue
      }
      try await writer.write(events)
    }
  }

  /// The progress of a stream of events.
  private struct Position {
    var cursor: Cursor
    /// The exit that was sent.
    var exitTold: Int32?
    var isAtEnd = false
  }

  /// Waits for the next output to send. Returns nil if there is no room for it.
  private func next(
    of job: any ReadableSession, at position: inout Position, context: APIContext
  ) async -> ByteBuffer? {
    let cursor = position.cursor
    let heartbeat = configuration.limits.heartbeat
    let (session, news) = await context.client.waiting {
      await job.reading { session in
        let news = await session.output(
          since: cursor, maxBytes: Self.eventBytes, waitingUpTo: heartbeat)
        return (session, news)
      } isOfForgotten: {
        $0.1.isForgotten && !$0.1.isClosed && $0.1.chunks.isEmpty
      }
    }
    var events = ByteBuffer()
    let isLost = news.isForgotten && !news.isClosed && news.chunks.isEmpty
    do throws(APIError) {
      if isLost { throw APIError.sessionNotFound(job.id) }
      guard context.grant.isInForce else { throw APIError.revoked }
      try job.checkReadable()
    } catch {
      position.isAtEnd = true
      events.writeEvent("error", error.json)
      return events
    }
    let output = news.shortened { session.output(since: cursor, maxBytes: $0) }
    let expected = output.sizeOfEvents
    guard expected < Self.leastCounted || take(expected, context) else { return nil }
    let beginning = ContinuousClock.now
    events.reserveCapacity(expected)
    // The position that the client has given has no meaning here.
    if output.isCursorForeign || output.isCursorAhead {
      // Where the stream goes on, as the event's id too: a client that reconnects before the next
      // chunk must not come back with its old position, which may be within the output by then.
      let next = output.isCursorForeign ? Cursor.start : output.cursor
      events.writeEvent(
        "reset",
        [
          "foreign_cursor": .bool(output.isCursorForeign),
          "cursor_ahead": .bool(output.isCursorAhead), "cursor": .string(next.description),
        ], id: "\(next.seq)")
    }
    let gapIndex = output.indexOfGap
    events.writeEvents(output.chunks[..<(gapIndex ?? 0)], start: job.startOfTimestamps ?? .zero)
    if gapIndex != nil { events.writeGap(output) }
    events.writeEvents(output.chunks[(gapIndex ?? 0)...], start: job.startOfTimestamps ?? .zero)
    // The exit is sent once, and again if it is set again; the end event includes it as well.
    if !output.hasMore, !output.isAlive || output.isOver {
      let ending = await job.ending(for: output)
      if let code = output.exitCode, position.exitTold != code {
        position.exitTold = code
        events.writeEvent(
          "exit", .object([("exit_code", .int(Int(code)))] + ending.members))
      }
      if output.isOver {
        let end: [(name: String, value: JSON)] = [
          ("lost_bytes", .int(output.lostBytes)), ("dropped_bytes", .int(ending.droppedBytes)),
          ("forgotten", .bool(ending.isForgotten)),
        ]
        events.writeEvent(
          "end", .object(end + ending.losses),
          id: output.cursor.description)
      }
    }
    if events.readableBytes == 0 { events.writeStaticString(": heartbeat\n\n") }
    if expected >= Self.leastCounted { adjust(expected, to: events.readableBytes, context) }
    position.cursor = output.cursor
    position.isAtEnd = output.isOver && !output.hasMore
    metrics.polled(output)
    metrics.worked(on: .events, for: .now - beginning)
    return events
  }

  /// The number of bytes of output in one write.
  private static var eventBytes: Int { 64 << 10 }
}

extension Response {
  /// Returns a response of server-sent events.
  ///
  /// - Parameter write: Writes the events; the stream ends when it returns.
  static func events(
    _ write: @escaping @Sendable (inout any ResponseBodyWriter) async throws -> Void
  ) -> Response {
    Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // nginx would otherwise hold events back.
        HTTPField.Name("X-Accel-Buffering")!: "no",
      ],
      body: ResponseBody { writer in
        try await write(&writer)
        try await writer.finish(nil)
      })
  }
}

extension Output {
  /// An upper bound of the bytes of the events for this output.
  fileprivate var sizeOfEvents: Int { ByteBuffer.sizeOfJSON(of: self) + 64 * chunks.count }

  /// Returns this output, or a read of fewer bytes if its events would be large: each small chunk
  /// costs a hundred bytes or more.
  fileprivate func shortened(_ read: (_ maxBytes: Int) -> Output) -> Output {
    var output = self
    while output.sizeOfEvents > 256 << 10, output.chunks.count > 1 {
      let bytes = output.chunks.payload.count
      let share = bytes * (128 << 10) / output.sizeOfEvents
      let shorter = read(max(1, min(share, bytes / 2)))
      guard shorter.chunks.count < output.chunks.count else { return shorter }
      output = shorter
    }
    return output
  }
}

extension Cursor {
  /// Whether a reader has received a session's last chunk, and knows that it is closed.
  fileprivate func isBehindTheEnd(of session: SessionReader) -> Bool {
    let output = session.output(since: self)
    return output.isComplete && output.chunks.isEmpty && output.missedChunks == 0
      && output.cursor.description == description
  }
}

extension ByteBuffer {
  fileprivate mutating func writeEvent(_ name: String, _ data: JSON, id: String? = nil) {
    if let id { writeString("id: \(id)\n") }
    writeString("event: \(name)\ndata: \(data.text)\n\n")
  }

  fileprivate mutating func writeEvents(_ chunks: Slice<Chunks>, start: Duration) {
    for chunk in chunks {
      writeString("id: \(chunk.seq)\nevent: chunk\ndata: ")
      writeJSON(chunk, start: start)
      writeStaticString("\n\n")
    }
  }

  /// The output that this reader can no longer get, which comes before the following chunks.
  fileprivate mutating func writeGap(_ output: Output) {
    writeEvent(
      "gap",
      [
        "missed_chunks": .int(output.missedChunks), "missed_bytes": .optional(output.missedBytes),
        "lost_bytes": .int(output.lostBytes),
      ])
  }
}
