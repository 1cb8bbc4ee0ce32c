import Foundation
import Testing

@testable import ProcessServer

/// A server-sent event, as the standard has it parsed.
private struct Event: Sendable {
  var name = "message"
  var id: String?
  var data = ""

  func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(type, from: Data(data.utf8))
  }
}

/// The lines of a stream of events.
private struct EventReader {
  var pending: [UInt8] = []
  /// What a browser would send as Last-Event-ID.
  var lastID: String?

  /// The next event or comment; nil at the end of the stream.
  mutating func next(_ wire: inout Wire) async throws -> Event? {
    var event = Event()
    var hasData = false
    while let line = try await line(&wire) {
      if line.isEmpty {
        if hasData { return event }
        event = Event()
      } else if line.hasPrefix(":") {
        return Event(name: "comment")
      } else {
        let parts = line.split(separator: ":", maxSplits: 1)
        let value = String(parts[1].drop { $0 == " " })
        switch parts[0] {
        case "id":
          event.id = value
          lastID = value
        case "event": event.name = value
        case "data":
          event.data += value
          hasData = true
        default: break
        }
      }
    }
    return nil
  }

  private mutating func line(_ wire: inout Wire) async throws -> String? {
    while true {
      if let end = pending.firstIndex(of: UInt8(ascii: "\n")) {
        defer { pending.removeSubrange(...end) }
        return String(decoding: pending[..<end], as: UTF8.self)
      }
      guard let part = try await wire.part() else { return nil }
      pending += part
    }
  }
}

private struct Gap: Decodable {
  var missed_chunks: Int
  var missed_bytes: Int?
}

private struct Exit: Decodable {
  var exit_code: Int
  var signal: String?
}

/// Streams of server-sent events.
@Suite(.timeLimit(.minutes(10))) struct EventsTests {
  /// Reads events until the body, or the stream, says that it is enough.
  private func events(
    _ server: TestServer, _ id: String, since: String? = nil, lastEventID: String? = nil,
    _ body: (Event, inout EventReader) async throws -> Bool
  ) async throws -> EventReader {
    try await Wire.connect(port: server.port) { wire in
      try await wire.request(
        "GET", "/api/sdk/processes/\(id)/events" + (since.map { "?since=\($0)" } ?? ""),
        token: TestServer.alice, headers: lastEventID.map { ["Last-Event-ID: \($0)"] } ?? [])
      let head = try #require(try await wire.head())
      #expect(head.status == 200)
      #expect(head.headers["content-type"] == "text/event-stream")
      var reader = EventReader()
      while let event = try await reader.next(&wire) {
        guard try await body(event, &reader) else { return reader }
      }
      return reader
    }
  }

  @Test("A stream of events has the chunks, the exit and the end")
  func aWholeSession() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo out; sleep 0.05; echo err >&2; sleep 0.05; exit 3")
      var names: [String] = []
      var ids: [String?] = []
      var text = ""
      _ = try await events(server, id, since: "0") { event, _ in
        names.append(event.name)
        ids.append(event.id)
        if event.name == "chunk" {
          let chunk = try event.decode(OutputReply.Chunk.self)
          text += "\(chunk.stream) \(chunk.offset) \(chunk.text)"
        } else if event.name == "exit" {
          let exit = try event.decode(Exit.self)
          #expect(exit.exit_code == 3)
          #expect(exit.signal == nil)
        }
        return true
      }
      #expect(names == ["chunk", "chunk", "exit", "end"])
      #expect(ids[0...2] == ["1", "2", nil])
      #expect(text == "stdout 0 out\nstderr 4 err\n")
    }
  }

  /// A reader that is cut off after every few events, and goes on with Last-Event-ID, gets each
  /// chunk once.
  @Test("A client that resumes from Last-Event-ID receives every byte once and in order")
  func resuming() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "for i in $(seq 1 200); do echo $i; [ $((i % 20)) = 0 ] && sleep 0.02; done; exit 0")
      var bytes: [UInt8] = []
      var last: String?
      var isOver = false
      while !isOver {
        var count = 0
        let reader = try await events(server, id, lastEventID: last) { event, _ in
          if event.name == "end" { isOver = true }
          guard event.name == "chunk" else {
            #expect(event.name != "gap")
            return true
          }
          let chunk = try event.decode(OutputReply.Chunk.self)
          #expect(chunk.offset == bytes.count)
          #expect(event.id == "\(chunk.seq)")
          bytes += chunk.data
          count += 1
          return count < 3
        }
        last = reader.lastID ?? last
      }
      #expect(String(decoding: bytes, as: UTF8.self) == (1...200).map { "\($0)\n" }.joined())
      // A client that has come to the end and asks again is told not to.
      let again = try await server.request(
        "GET", "/api/sdk/processes/\(id)/events", headers: ["Last-Event-ID: \(last ?? "")"])
      #expect(again.status == 204)
      // A client that has only the last chunk, and was cut off before the exit, is told of that.
      var names: [String] = []
      let newest = try await server.output(id).next_since
      _ = try await events(server, id, lastEventID: "\(newest)") { event, _ in
        names.append(event.name)
        return true
      }
      #expect(names == ["exit", "end"])
    }
  }

  @Test("A stream that starts after a loss begins with a gap event")
  func aGapIsToldFirst() async throws {
    try await TestServer.run { server in
      let id = try await server.start("head -c 4000000 /dev/zero; exit 0")
      _ = try await server.output(id) { $0.closed }
      var missed: Int?
      var next: Int?
      var received = 0
      _ = try await events(server, id) { event, _ in
        if event.name == "gap" {
          #expect(next == nil)
          #expect(missed == nil)
          let gap = try event.decode(Gap.self)
          missed = gap.missed_bytes
          #expect(gap.missed_chunks > 0)
        } else if event.name == "chunk" {
          let chunk = try event.decode(OutputReply.Chunk.self)
          if next == nil { #expect(chunk.offset == missed) }
          next = chunk.offset + chunk.data.count
          received += chunk.data.count
        }
        return true
      }
      #expect((missed ?? 0) + received == 4_000_000)
      #expect(next == 4_000_000)
    }
  }

  @Test("A silent stream has comments as heartbeats")
  func heartbeats() async throws {
    try await TestServer.run {
      $0.limits.heartbeat = .milliseconds(5)
    } _: { server in
      let id = try await server.start("read x; echo $x; cat")
      var comments = 0
      _ = try await events(server, id) { event, _ in
        if event.name == "comment" { comments += 1 }
        if comments == 3 { _ = try await server.write("on\n", to: id) }
        return event.name != "chunk"
      }
      #expect(comments >= 3)
    }
  }

  /// The exit comes at once, what others write later after it, and then the end.
  @Test("Output after the exit follows the exit event, and precedes the end")
  func lateOutput() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "(while [ ! -e \"$GO\" ]; do sleep 0.1; echo; done) & echo early; exit 9",
        #","env":{"GO":"\#(server.go)"}"#)
      defer { try? FileManager.default.removeItem(atPath: server.go) }
      var names: [String] = []
      _ = try await events(server, id) { event, _ in
        if names.last != event.name { names.append(event.name) }
        if names == ["chunk", "exit", "chunk"] {
          #expect(FileManager.default.createFile(atPath: server.go, contents: nil))
        }
        return true
      }
      #expect(names == ["chunk", "exit", "chunk", "end"])
    }
  }

  @Test("A client that hangs up ends its stream")
  func hangingUpEndsAStream() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo x; cat")
      for _ in 0..<10 { _ = try await events(server, id) { _, _ in false } }
      while try await server.metric("connections") > 1 {
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(try await server.output(id).session_alive)
    }
  }

  /// A reader that does not read is a gap later on, and holds up neither the process nor others.
  @Test("A slow reader gets gap events, and delays neither the process nor others")
  func aSlowReaderIsToldOfItsGap() async throws {
    try await TestServer.run { server in
      let id = try await server.start("read x; head -c 50000000 /dev/zero; echo; exit 0")
      var total = 0
      var isWaiting = true
      try await Wire.connect(port: server.port, receiveBuffer: 4096) { wire in
        try await wire.request(
          "GET", "/api/sdk/processes/\(id)/events", token: TestServer.alice)
        _ = try await wire.head()
        _ = try await server.write("\n", to: id)
        // The process ends, although nobody reads.
        _ = try await server.output(id) { $0.closed }
        isWaiting = false
        var reader = EventReader()
        var gaps = 0
        while let event = try await reader.next(&wire) {
          switch event.name {
          case "gap":
            gaps += 1
            total += try #require(try event.decode(Gap.self).missed_bytes)
          case "chunk": total += try event.decode(OutputReply.Chunk.self).data.count
          default: break
          }
        }
        #expect(gaps > 0)
      }
      #expect(total == 50_000_001)
      #expect(!isWaiting)
    }
  }
}
