import Foundation
import Testing

@testable import ProcessServer

/// Output without base64, and from near its end.
@Suite(.timeLimit(.minutes(10))) struct FormatTests {
  private func raw(
    _ server: TestServer, _ id: String, _ query: String, headers: [String] = []
  ) async throws -> Reply {
    try await server.request(
      "GET", "/api/sdk/processes/\(id)/output?\(query)", headers: headers)
  }

  @Test("Raw output is the bytes unchanged, and header fields give the rest")
  func rawOutput() async throws {
    try await TestServer.run { server in
      let id = try await server.start("printf 'a\\377'; sleep 0.1; printf b >&2; kill -9 $$")
      let closed = try await server.output(id) { $0.closed }
      for (query, headers) in [
        ("format=raw", []), ("since=0", ["Accept: application/octet-stream"]),
      ] {
        let reply = try await raw(server, id, query, headers: headers)
        #expect(reply.body == [0x61, 0xff, 0x62])
        #expect(reply.headers["content-type"] == "application/octet-stream")
        for (name, value) in [
          ("next-since", "2"), ("cursor", closed.cursor), ("offset", "0"), ("missed-chunks", "0"),
          ("missed-bytes", "0"), ("lost-bytes", "0"), ("dropped-bytes", "0"), ("has-more", "false"),
          ("session-alive", "false"), ("closed", "true"), ("exit-code", "137"),
          ("signal", "SIGKILL"),
        ] { #expect(reply.headers["processd-\(name)"] == value, "\(name)") }
      }
      let rest = try await raw(server, id, "format=raw&since=1")
      #expect(rest.body == [0x62])
      #expect(rest.headers["processd-offset"] == "2")
      let nothing = try await raw(server, id, "format=raw&since=\(closed.cursor)")
      #expect(nothing.body.isEmpty)
      #expect(nothing.headers["processd-offset"] == nil)
      let text = try await raw(server, id, "format=text")
      #expect(text.text == "a\u{fffd}b")
      #expect(text.headers["content-type"] == "text/plain; charset=utf-8")
      #expect(text.headers["processd-next-since"] == "2")
      let wrong = try await raw(server, id, "format=xml")
      #expect(wrong.status == 400)
      #expect(wrong.code == "bad_request")
    }
  }

  @Test("Plain text has no escape sequences, and each line as a terminal would leave it")
  func plainText() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        #"printf '\033[32m10%%\r100%%\033[0m\nab\b\377\n'; exit 0"#)
      let closed = try await server.output(id) { $0.closed }
      let plain = try await raw(server, id, "format=text&plain=1")
      #expect(plain.status == 200)
      #expect(plain.text == "100%\na?\n")
      #expect(plain.headers["content-type"] == "text/plain; charset=utf-8")
      #expect(plain.headers["processd-cursor"] == closed.cursor)
      #expect(plain.headers["processd-exit-code"] == "0")
      let text = try await raw(server, id, "format=text&plain=0")
      #expect(text.text == "\u{1b}[32m10%\r100%\u{1b}[0m\nab\u{8}\u{fffd}\n")
      for query in ["plain=1", "format=raw&plain=1", "format=json&plain=1"] {
        let wrong = try await raw(server, id, query)
        #expect(wrong.status == 400, "\(query)")
        #expect(wrong.text.contains("add format=text"), "\(query)")
      }
      #expect(try await raw(server, id, "format=text&plain=2").status == 400)
      #expect(try await raw(server, id, "format=text&plain=x").status == 400)
      #expect(try await raw(server, id, "format=json&plain=0").status == 200)
    }
  }

  @Test("A reader can begin a number of bytes before the end, or at the end")
  func tails() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "for i in 1 2 3; do printf 12345; sleep 0.1; done; read x; printf late; exec sleep 1000")
      _ = try await server.output(id) { $0.text.count == 15 }
      for (bytes, count) in [("0", 0), ("1", 5), ("5", 5), ("6", 10), ("15", 15), ("1000000", 15)] {
        let output = try await server.output(id, "tail_bytes=\(bytes)")
        #expect(output.text.count == count, "\(bytes)")
        #expect(output.missed_bytes == 0, "\(bytes)")
        #expect(output.chunks.last?.seq ?? output.next_since == output.next_since)
      }
      #expect(try await server.output(id, "from=now").chunks.isEmpty)
      #expect(try await server.output(id, "since=-5").text.count == 15)
      async let later = server.output(id, "from=now&wait_ms=60000")
      try await server.waits(1)
      _ = try await server.write("\n", to: id)
      #expect(try await later.text == "late")
      for query in [
        "from=then", "tail_bytes=-1", "tail_bytes=x", "from=now&since=0", "tail_bytes=1&from=now",
        "tail_bytes=1&since=0&from=now", "tail_bytes=-1&since=0", "tail_bytes=1&since=x",
      ] {
        #expect(try await server.get("processes/\(id)/output?\(query)").status == 400, "\(query)")
        #expect(try await server.get("processes/\(id)/events?\(query)").status == 400, "\(query)")
      }
    }
  }

  @Test("A reader that fell behind can go on with the newest, and knows how much it left out")
  func tailSinceACursor() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sh")
      try await server.perform("printf first", writing: 5, in: id)
      let first = try await server.output(id)
      // Nothing is new, however many bytes are asked for.
      let none = try await server.output(id, "since=\(first.cursor)&tail_bytes=100")
      #expect(none.chunks.isEmpty)
      #expect(none.cursor == first.cursor)
      async let news = server.output(id, "since=\(first.cursor)&tail_bytes=100&wait_ms=60000")
      try await server.waits(1)
      try await server.perform("printf second", writing: 6, in: id)
      #expect(try await news.text == "second")
      try await server.perform("printf third", writing: 5, in: id)
      let newest = try await server.output(id, "since=\(first.cursor)&tail_bytes=3")
      #expect(newest.text == "third")
      #expect(newest.missed_bytes == 0)
      #expect(newest.chunks[0].offset - first.text.utf8.count == 6)
      #expect(try await server.output(id, "since=1&tail_bytes=7").text == "secondthird")
      #expect(try await server.output(id, "since=1&tail_bytes=99").text == "secondthird")
      #expect(try await server.output(id, "since=1&tail_bytes=0").chunks.isEmpty)
      let end = try await server.output(id, "since=99&tail_bytes=3")
      #expect(end.cursor_ahead)
      try await server.post("processes/\(id)/terminate")
      let events = try await server.get("processes/\(id)/events?since=1&tail_bytes=3").text
      #expect(events.matches(of: #/event: chunk/#).count == 1)
    }
  }

  @Test("A reader with another session's cursor is told so, and reads from the start")
  func tailSinceAForeignCursor() async throws {
    try await TestServer.run { server in
      let one = try await server.start("printf one")
      let cursor = try await server.output(one, "wait_ms=60000").cursor
      let other = try await server.start("exec sh")
      try await server.perform("printf ten", writing: 3, in: other)
      try await server.perform("printf eleven", writing: 6, in: other)
      let output = try await server.output(other, "since=\(cursor)&tail_bytes=2")
      #expect(output.text == "teneleven")
      let isForeign = output.foreign_cursor
      #expect(isForeign)
    }
  }

  @Test("Output that was lost before the requested beginning does not count as missed")
  func tailOfAFlood() async throws {
    try await TestServer.run { server in
      let id = try await server.start("head -c 5000000 /dev/zero; printf end; exit 0")
      _ = try await server.output(id) { $0.closed }
      let all = try await server.output(id, "tail_bytes=99999999")
      #expect(!all.truncated)
      #expect(all.missed_bytes == 0)
      #expect(all.lost_bytes > 3_000_000)
      let end = try await server.get("processes/\(id)/events?tail_bytes=1").text
      #expect(end.contains("event: chunk"))
      #expect(!end.contains("event: gap"))
    }
  }
}
