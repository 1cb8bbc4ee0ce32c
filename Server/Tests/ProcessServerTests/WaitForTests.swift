import Foundation
import Processes
import Testing

@testable import ProcessServer

/// Waits for bytes, by polls and by the tool. Where something is waited for, it is for longer than
/// the suite's time limit.
@Suite(.timeLimit(.minutes(10))) struct WaitForTests {
  private static let flood = #"head -c 3145728 /dev/zero | tr '\0' a"#

  /// Runs a server on which waits last as long as clients ask for.
  private func run(_ body: (TestServer) async throws -> Void) async throws {
    try await TestServer.run({ $0.limits.waitTime = .seconds(1000) }, body)
  }

  private func search(
    _ server: TestServer, _ id: String, _ query: String
  ) async throws -> OutputReply.Search {
    try #require(try await server.output(id, query).wait_for)
  }

  private func call(_ server: TestServer, _ arguments: String) async throws -> Reply {
    try await server.post(
      "envs/local/tool/call", #"{"tool":"wait_for","arguments":{\#(arguments)}}"#)
  }

  @Test("A wait ends with a match that chunks and the other stream divide")
  func acrossChunks() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      async let waiting = server.output(id, "wait_for=listening%20on&wait_ms=1000000")
      try await server.waits(1)
      try await server.perform("printf 'now list'", writing: 8, in: id)
      try await server.perform("echo oh >&2", writing: 3, in: id)
      try await server.perform("printf 'ening o'", writing: 7, in: id)
      #expect(try await server.metric("waits") == 1)
      try await server.perform("printf 'n 80'", writing: 4, in: id)
      let output = try await waiting
      #expect(output.text.hasPrefix("now listoh\nening on 80"))
      let search = try #require(output.wait_for)
      #expect(search.outcome == "matched")
      #expect(search.offset == 4)
      #expect(search.end_offset == 19)
      #expect(search.missed_bytes == 0)
      #expect(output.session_alive)
    }
  }

  @Test("What is retained is searched without a wait")
  func retained() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      try await server.perform("printf abcabc", writing: 6, in: id)
      let first = try await search(server, id, "wait_for=bc")
      #expect(first.outcome == "matched")
      #expect(first.offset == 1)
      // The search's cursor leads to each other match once.
      let second = try await search(server, id, "wait_for=bc&since=\(first.cursor)")
      #expect(second.offset == 4)
      let third = try await search(server, id, "wait_for=bc&since=\(second.cursor)")
      #expect(third.outcome == "timed_out")
      #expect(third.offset == nil)
      #expect(third.end_offset == nil)
    }
  }

  @Test("A match in the head is found after a flood, and one behind the gap with what was missed")
  func headAndGap() async throws {
    try await run { server in
      let id = try await server.start("exec sh", #","head_bytes":8"#)
      let session = try server.session(id)
      try await server.perform("printf 'the head'", writing: 8, in: id)
      try await server.perform(Self.flood, writing: 3 << 20, in: id)
      try await server.perform("printf 'the end'", writing: 7, in: id)
      let head = try await search(server, id, "wait_for=head&max_bytes=1")
      #expect(head.offset == 4)
      #expect(head.missed_bytes == 0)
      let end = try await search(server, id, "wait_for=end&max_bytes=1")
      #expect(end.offset == 8 + 3 << 20 + 4)
      #expect(end.missed_bytes == session.lostBytes)
      #expect(session.lostBytes > 0)
      // Head and tail do not join.
      #expect(try await search(server, id, "wait_for=heada&max_bytes=1").outcome == "timed_out")
    }
  }

  @Test("The exit ends a wait, and the close ends the next one")
  func exits() async throws {
    try await run { server in
      let id = try await server.start("read x; echo almos; exit 3")
      async let waiting = server.output(id, "wait_for=almost&wait_ms=1000000")
      try await server.waits(1)
      _ = try await server.write("\n", to: id)
      let output = try await waiting
      let exited = try #require(output.wait_for)
      #expect(exited.outcome == "exited")
      #expect(exited.missed_bytes == 0)
      #expect(output.exit_code == 3)
      #expect(output.text == "almos\n")
      let closed = try await search(
        server, id, "wait_for=almost&wait_ms=1000000&since=\(exited.cursor)")
      #expect(closed.outcome == "closed")
      #expect(try await search(server, id, "wait_for=almos&wait_ms=1000000").outcome == "matched")
    }
  }

  @Test("A wait whose time is up goes on with its own cursor, and finds a match that had begun")
  func goingOn() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      try await server.perform(#"printf 'one\nlist'"#, writing: 8, in: id)
      let output = try await server.output(id, "wait_for=listen&wait_ms=5")
      let first = try #require(output.wait_for)
      #expect(first.outcome == "timed_out")
      #expect(output.session_alive)
      try await server.perform("printf en", writing: 2, in: id)
      let second = try await search(server, id, "wait_for=listen&since=\(first.cursor)")
      #expect(second.outcome == "matched")
      #expect(second.offset == 4)
      // The answer's own cursor is that of its output, each byte of which comes once.
      #expect(try await server.output(id, "since=\(output.cursor)").text == "en")
    }
  }

  @Test("The server's limit on waits holds for a wait for a literal")
  func serverLimit() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .milliseconds(5)
    } _: { server in
      let id = try await server.start("exec sh")
      let result = try await search(server, id, "wait_for=x&wait_ms=9223372036854775807")
      #expect(result.outcome == "timed_out")
    }
  }

  @Test("A wait can search one stream alone")
  func streams() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      try await server.perform("printf ready", writing: 5, in: id)
      try await server.perform("printf ready >&2", writing: 5, in: id)
      let stderr = try await search(server, id, "wait_for=ready&wait_for_stream=stderr")
      #expect(stderr.offset == 5)
      let stdout = try await search(server, id, "wait_for=ready&wait_for_stream=stdout")
      #expect(stdout.offset == 0)
    }
  }

  @Test(
    "A literal is any bytes, percent-encoded",
    arguments: [
      ("%00%ff", [0, 0xff]), ("a+b", [0x61, 0x20, 0x62]), ("a%2Bb", [0x61, 0x2b, 0x62]),
      ("%2541", [0x25, 0x34, 0x31]), ("%c0%AF", [0xc0, 0xaf]), ("%C3%A9", [0xc3, 0xa9]),
      ("a=b", [0x61, 0x3d, 0x62]), ("%26%23", [0x26, 0x23]), (".*", [0x2e, 0x2a]),
      ("%ED%A0%80", [0xed, 0xa0, 0x80]), ("%0d%0a", [0x0d, 0x0a]),
    ] as [(String, [UInt8])])
  func literals(encoded: String, bytes: [UInt8]) async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      let octal = bytes.map { "\\" + String(Int($0) + 512, radix: 8).suffix(3) }.joined()
      try await server.perform("printf -- '-\(octal)-'", writing: bytes.count + 2, in: id)
      let result = try await search(server, id, "wait_for=\(encoded)")
      #expect(result.offset == 1)
      #expect(result.end_offset == 1 + bytes.count)
      let data = Data(bytes).base64EncodedString()
      let reply = try await call(server, #""session_id":"\#(id)","data_b64":"\#(data)""#)
      #expect(reply.text.contains(#""outcome":"matched","offset":1,"#))
    }
  }

  @Test(
    "A wait that is not well-formed is refused with what is wrong",
    arguments: [
      ("wait_for=", "wait_for has 0 bytes: must have from 1 to 1024"),
      ("wait_for", "wait_for has 0 bytes"),
      ("wait_for=\(String(repeating: "x", count: 1025))", "wait_for has 1025 bytes"),
      ("wait_for=a&wait_for=b", "wait_for stands twice"),
      ("wait_for=%", "is not percent-encoded"), ("wait_for=%4", "is not percent-encoded"),
      ("wait_for=%zz", "is not percent-encoded"), ("wait_for=%%41", "is not percent-encoded"),
      ("wait_for=%-1", "is not percent-encoded"), ("wait_for=%EF%BC%91%", "not percent-encoded"),
      ("wait_for=x%u0041", "is not percent-encoded"),
      ("wait_for=\u{e9}", "not an HTTP/1.1 request"),
      ("wait_for=x&wait_for_stream=", "wait_for_stream=: must be stdout or stderr"),
      ("wait_for=x&wait_for_stream=stdin", "wait_for_stream=stdin: must be stdout or stderr"),
      ("wait_for_stream=stdout", "wait_for_stream is for wait_for"),
      ("wait_for=x&wait_ms=-1", "wait_ms=-1"), ("wait_for=x&since=y", "since=y"),
      ("wait_for=x&max_bytes=0", "max_bytes=0"), ("wait_for=x&plain=1", "add format=text"),
    ])
  func refused(query: String, message: String) async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      let reply = try await server.get("processes/\(id)/output?\(query)")
      #expect(reply.status == 400)
      #expect(reply.code == "bad_request")
      #expect(reply.text.contains(message), "\(reply.text)")
    }
  }

  @Test("A literal of the greatest length is found")
  func longest() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      let literal = String(repeating: "ab", count: 511) + "ac"
      for part in ["ab", literal, "x"] {
        try await server.perform("printf \(part)", writing: part.utf8.count, in: id)
      }
      let result = try await search(server, id, "wait_for=\(literal)")
      #expect(result.offset == 2)
      #expect(result.end_offset == 1026)
      // Of another parameter, the name merely looks like it.
      #expect(try await server.output(id, "wait%5Ffor=%25&wait_for2=").wait_for == nil)
    }
  }

  @Test("Header fields say how a wait ended when the body is text")
  func formats() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      try await server.perform("printf 'one two'", writing: 7, in: id)
      for format in ["format=raw", "format=text", "format=text&plain=1"] {
        let reply = try await server.get("processes/\(id)/output?\(format)&wait_for=two")
        #expect(reply.text == "one two")
        #expect(reply.headers["processd-wait-for"] == "matched")
        #expect(reply.headers["processd-wait-for-offset"] == "4")
        #expect(reply.headers["processd-wait-for-end-offset"] == "7")
        #expect(reply.headers["processd-wait-for-missed-bytes"] == "0")
        let cursor = try #require(reply.headers["processd-wait-for-cursor"])
        let next = try await server.get(
          "processes/\(id)/output?\(format)&wait_for=two&since=\(cursor)")
        #expect(next.headers["processd-wait-for"] == "timed_out")
        #expect(next.headers["processd-wait-for-offset"] == nil)
        let plain = try await server.get("processes/\(id)/output?\(format)")
        #expect(plain.headers["processd-wait-for"] == nil)
      }
    }
  }

  // MARK: What ends a wait

  @Test("Deleting a session ends the waits for a literal of it")
  func deletion() async throws {
    try await run { server in
      let id = try await server.start("exec sleep 1000")
      async let waiting = server.output(id, "wait_for=never&wait_ms=1000000")
      try await server.waits(1)
      #expect(try await server.request("DELETE", "/api/sdk/processes/\(id)").status == 200)
      let output = try await waiting
      #expect(output.wait_for?.outcome == "exited")
      #expect(output.signal == "SIGTERM")
      #expect(output.forgotten)
      #expect(try await server.get("processes/\(id)/output?wait_for=never").status == 404)
    }
  }

  @Test("A session that is dropped without an end ends a wait with 404")
  func dropping() async throws {
    try await run { server in
      let id = try await server.start("exec sleep 1000")
      let session = try server.session(id)
      async let waiting = server.get("processes/\(id)/output?wait_for=never&wait_ms=1000000")
      try await server.waits(1)
      session.noteForgotten()
      let reply = try await waiting
      #expect(reply.status == 404)
      #expect(reply.code == "session_not_found")
    }
  }

  @Test("A shutdown answers the waits for a literal")
  func shutdown() async throws {
    try await run { server in
      let id = try await server.start("exec sleep 1000")
      async let waiting = server.output(id, "wait_for=never&wait_ms=1000000")
      async let tool = call(server, #""session_id":"\#(id)","text":"never","wait_ms":1000000"#)
      try await server.waits(2)
      await server.shutDown()
      #expect(try await waiting.wait_for?.outcome == "exited")
      #expect(try await tool.text.contains(#""outcome":"exited""#))
    }
  }

  @Test("A wait for a literal holds the session until the client hangs up")
  func hangingUp() async throws {
    try await run { server in
      let id = try await server.start("exec cat")
      let job = try server.server.jobs.job(id, of: "alice")
      for _ in 0..<10 {
        let before = job.process.lastActivity
        try await Wire.connect(port: server.port) { wire in
          try await wire.request(
            "GET", "/api/sdk/processes/\(id)/output?wait_for=x&wait_ms=1000000",
            token: TestServer.alice)
          try await server.waits(1)
          #expect(job.isHeld)
          // Longer than a tick of the clock that activity is measured with.
          try await Task.sleep(for: .milliseconds(20))
        }
        while job.isHeld { try await Task.sleep(for: .milliseconds(2)) }
        #expect(job.process.lastActivity > before)
      }
      #expect(try await server.metric("waits") == 0)
      #expect(try await server.output(id).session_alive)
    }
  }

  // MARK: Many

  @Test("200 waits during a flood hold up nobody, take little memory, and all end")
  func many() async throws {
    try await run { server in
      let id = try await server.start("exec cat /dev/zero")
      let other = try await server.start("exec cat")
      _ = try await server.output(id, "wait_ms=1000000&max_bytes=1")
      let before = residentMiB()
      let results = try await withThrowingTaskGroup(of: OutputReply.Search.self) { group in
        for _ in 0..<200 {
          group.addTask {
            try await search(server, id, "wait_for=never%01&wait_ms=1000000&max_bytes=1")
          }
        }
        try await server.waits(200)
        // Other requests are answered meanwhile.
        for round in 0..<10 {
          _ = try await server.write("\(round)\n", to: other)
          let found = try await search(
            server, other, "wait_for=\(round)%0a&wait_ms=1000000")
          #expect(found.outcome == "matched")
        }
        #expect(residentMiB() - before < 200)
        #expect(try await server.metric("waits") == 200)
        try await server.post("processes/\(id)/terminate")
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(results.count == 200)
      #expect(results.allSatisfy { $0.outcome == "exited" })
      #expect(results.allSatisfy { $0.missed_bytes != nil })
    }
  }

  private func residentMiB() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? "0 0"
    return (Int(text.split(separator: " ")[1]) ?? 0) * 4096 >> 20
  }

  // MARK: The tool

  private struct Result: Decodable {
    struct Content: Decodable { var text: String }
    var isError: Bool
    var content: [Content]
    var structuredContent: OutputReply
  }

  @Test("The tool wait_for returns what happened, the output as text, and the whole answer")
  func tool() async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      async let waiting = call(
        server, #""session_id":"\#(id)","text":"é\u0001","wait_ms":1000000,"stream":null"#)
      try await server.waits(1)
      try await server.perform(#"printf 'é\001\n'"#, writing: 4, in: id)
      let result = try await waiting.decode(Result.self)
      #expect(!result.isError)
      #expect(result.content.map(\.text) == ["matched", "é\u{1}\n"])
      #expect(result.structuredContent.text == "é\u{1}\n")
      #expect(result.structuredContent.wait_for?.outcome == "matched")
      #expect(result.structuredContent.wait_for?.end_offset == 3)
      let cursor = try #require(result.structuredContent.wait_for?.cursor)
      for since in ["1", "1.0", #""1""#, #""\#(cursor)""#] {
        let later = try await call(
          server, #""session_id":"\#(id)","text":"é","since":\#(since),"wait_ms":0"#)
        #expect(later.text.contains(#""outcome":"timed_out""#), "\(since)")
      }
      let again = try await call(
        server, #""session_id":"\#(id)","text":"é","since":-1,"max_bytes":1"#)
      #expect(again.text.contains(#""outcome":"matched","offset":0"#))
    }
  }

  @Test("The tool wait_for marks in its text where output was missed")
  func toolAfterALoss() async throws {
    try await run { server in
      let id = try await server.start("exec sh", #","head_bytes":4"#)
      let session = try server.session(id)
      try await server.perform("printf head", writing: 4, in: id)
      try await server.perform(Self.flood, writing: 3 << 20, in: id)
      try await server.perform("printf end", writing: 3, in: id)
      let reply = try await call(server, #""session_id":"\#(id)","text":"end","stream":"stdout""#)
      let result = try reply.decode(Result.self)
      let lost = session.lostBytes
      #expect(result.content[1].text.hasPrefix("head\n[\(lost) bytes are missing here]\naaa"))
      #expect(result.structuredContent.gap_index == 1)
      #expect(result.structuredContent.wait_for?.missed_bytes == lost)
    }
  }

  @Test(
    "An invalid argument of the tool wait_for is refused with its name",
    arguments: [
      (#""text":"x""#, "arguments.session_id is missing"),
      (#""session_id":7,"text":"x""#, "arguments.session_id is not a string"),
      (#""session_id":"ID""#, "arguments.text or data_b64 is missing"),
      (#""session_id":"ID","text":"""#, "arguments.text has 0 bytes: must have from 1 to 1024"),
      (#""session_id":"ID","data_b64":"""#, "arguments.data_b64 has 0 bytes"),
      (#""session_id":"ID","data_b64":"*""#, "arguments.data_b64 is not base64"),
      (#""session_id":"ID","text":"x","data_b64":"eA==""#, "arguments.data_b64 excludes text"),
      (#""session_id":"ID","text":7"#, "arguments.text is not a string"),
      (#""session_id":"ID","text":"x","stream":"stdin""#, "arguments.stream=stdin: must be"),
      (#""session_id":"ID","text":"x","since":"y""#, "arguments.since=y: not a seq"),
      (#""session_id":"ID","text":"x","since":1.5"#, "arguments.since is 1.5: not an integer"),
      (#""session_id":"ID","text":"x","since":[]"#, "arguments.since is not a string"),
      (#""session_id":"ID","text":"x","wait_ms":-1"#, "arguments.wait_ms is -1"),
      (#""session_id":"ID","text":"x","max_bytes":0"#, "arguments.max_bytes is 0"),
    ])
  func toolRefuses(arguments: String, message: String) async throws {
    try await run { server in
      let id = try await server.start("exec sh")
      let reply = try await call(server, arguments.replacing("ID", with: id))
      #expect(reply.status == 400)
      #expect(reply.code == "bad_request")
      #expect(reply.text.contains(message), "\(reply.text)")
    }
  }

  @Test("The tool wait_for finds no session that is gone, and none of another workspace")
  func toolAndSessions() async throws {
    try await run { server in
      let gone = try await call(server, #""session_id":"0123","text":"x""#)
      #expect(gone.status == 404)
      #expect(gone.code == "session_not_found")
      let id = try await server.start("exec sh", token: TestServer.bob)
      let other = try await call(server, #""session_id":"\#(id)","text":"x""#)
      #expect(other.status == 403)
      #expect(other.code == "forbidden")
    }
  }
}
