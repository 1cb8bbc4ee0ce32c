import HTTPTypes
import Hummingbird
import NIOCore
import Processes

extension API {
  /// `GET /processes/{sid}/events?since=N`: the output as server-sent events, to its end.
  func events(request: Request, context: APIContext) async throws -> Response {
    let job = try job(context)
    let start: Cursor
    if let last = request.headers[HTTPField.Name("Last-Event-ID")!] {
      start = try Request.cursor(last[...], called: "Last-Event-ID")
      // Whoever has the end event, and comes again, is told not to.
      if start.isBehindTheEnd(of: job.session) { return Response(status: .noContent) }
    } else {
      start = try request.cursor("since") ?? .start
    }
    job.touch()
    let connection = connections.connection(of: context.channel)
    return Response(
      status: .ok,
      headers: [
        .contentType: "text/event-stream", .cacheControl: "no-store",
        // nginx would otherwise hold events back.
        HTTPField.Name("X-Accel-Buffering")!: "no",
      ],
      body: ResponseBody { writer in
        try await send(job, since: start, to: &writer, on: connection)
        try await writer.finish(nil)
      })
  }

  /// How much of the output goes into one write.
  private static var eventBytes: Int { 256 << 10 }

  private func send(
    _ job: Job, since start: Cursor, to writer: inout any ResponseBodyWriter,
    on connection: Connection
  ) async throws {
    var cursor = start
    var exitTold: String?
    try await writer.write(ByteBuffer(string: "retry: 1000\n\n"))
    while connection.mayWait {
      let position = cursor
      let heartbeat = configuration.limits.heartbeat
      let output = await connection.waiting {
        await job.session.output(
          since: position, maxBytes: Self.eventBytes, waitingUpTo: heartbeat)
      }
      let beginning = ContinuousClock.now
      var events = ByteBuffer()
      events.reserveCapacity(ByteBuffer.sizeOfJSON(of: output) + 64 * output.chunks.count)
      if output.missedChunks > 0 || output.missedBytes != 0 { events.writeGap(output) }
      for chunk in output.chunks {
        events.writeString("id: \(chunk.seq)\nevent: chunk\ndata: ")
        events.writeJSON(chunk)
        events.writeStaticString("\n\n")
      }
      // The exit is told once, and again should it be set again; the end tells it as well.
      if !output.hasMore, let code = output.exitCode {
        let signal = await job.signalName(for: output)
        let exit: JSON = ["exit_code": .int(Int(code)), "signal": .optional(signal)]
        if exitTold != exit.text {
          exitTold = exit.text
          events.writeEvent("exit", exit)
        }
        if output.isClosed {
          events.writeEvent(
            "end", ["lost_bytes": .int(output.lostBytes)], id: output.cursor.description)
        }
      }
      if events.readableBytes == 0 { events.writeStaticString(": heartbeat\n\n") }
      cursor = output.cursor
      metrics.polled(output)
      metrics.worked(on: .events, for: .now - beginning)
      try await writer.write(events)
      if output.isComplete { return }
    }
  }
}

extension Cursor {
  /// Whether a reader has been told of a session's last chunk, and that it is closed.
  fileprivate func isBehindTheEnd(of session: Session) -> Bool {
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

  /// What this reader can no longer have: before the chunks that follow.
  fileprivate mutating func writeGap(_ output: Output) {
    writeEvent(
      "gap",
      [
        "missed_chunks": .int(output.missedChunks), "missed_bytes": .optional(output.missedBytes),
        "lost_bytes": .int(output.lostBytes),
      ])
  }
}
