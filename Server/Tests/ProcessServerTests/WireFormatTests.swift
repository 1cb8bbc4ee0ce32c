import Foundation
import Testing

@testable import ProcessServer

/// The wire format, byte for byte where clients rely on it.
@Suite(.timeLimit(.minutes(10))) struct WireFormatTests {
  @Test("The list of environments has the documented form")
  func environments() async throws {
    try await TestServer.run {
      $0.environmentName = "here"
    } _: { server in
      let reply = try await server.post("envs/list")
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == "application/json")
      let text = reply.text
      let head =
        #"{"envs":[{"name":"here","type":"executor","is_default":true,"tools":[{"name":"exec_command","kind":"core","description":""#
      #expect(text.hasPrefix(head))
      #expect(text.contains(#"{"name":"shell","kind":"core","description":""#))
      #expect(text.contains(#"{"name":"wait_for","kind":"core","description":""#))
      #expect(try #/"last_seen":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"}]}$/#.firstMatch(in: text) != nil)
    }
  }

  private static var usage: Regex<Substring> {
    #/\{"user_seconds":\d+\.\d{6},"system_seconds":\d+\.\d{6},"max_rss_bytes":[1-9]\d*\}/#
  }

  @Test("The output of an ended session has the documented form")
  func aSession() async throws {
    try await TestServer.run { server in
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"exec_command","arguments":{"command":"printf out; sleep 0.1; printf err >&2; exit 3"}}"#
      )
      #expect(reply.status == 200)
      let pattern =
        #/\{"isError":false,"content":\[\{"type":"text","text":"\{\\"session_id\\":\\"([0-9a-f]{32})\\"\}"\}\],"structuredContent":\{"session_id":"([0-9a-f]{32})"\}\}/#
      let match = try #require(try pattern.wholeMatch(in: reply.text))
      #expect(match.1 == match.2)
      let id = String(match.1)
      _ = try await server.output(id) { $0.closed }
      let output = try await server.get("processes/\(id)/output?since=0").text
      let cursor = try await server.output(id).cursor
      // Numbers with six digits behind the point.
      let usage = try #require(try Self.usage.firstMatch(in: output)).0
      #expect(
        output
          == #"{"chunks":[{"stream":"stdout","data_b64":"b3V0","seq":1,"offset":0},"#
          + #"{"stream":"stderr","data_b64":"ZXJy","seq":2,"offset":3}],"exit_code":3,"#
          + #""session_alive":false,"truncated":false,"lost_bytes":0,"closed":true,"#
          + #""missed_chunks":0,"missed_bytes":0,"gap_index":null,"next_since":2,"#
          + #""cursor":"\#(cursor)","#
          + #""has_more":false,"signal":null,"dropped_bytes":0,"timed_out":false,"#
          + #""oom_killed":null,"rusage":\#(usage),"foreign_cursor":false,"#
          + #""cursor_ahead":false,"forgotten":false,"wait_for":null}"#)
    }
  }

  @Test("The output of a running session has the documented form")
  func whileItRuns() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      let text = try await server.get("processes/\(id)/output?since=0").text
      let cursor = try await server.output(id).cursor
      #expect(
        text
          == #"{"chunks":[],"exit_code":null,"session_alive":true,"truncated":false,"#
          + #""lost_bytes":0,"closed":false,"missed_chunks":0,"missed_bytes":0,"#
          + #""gap_index":null,"next_since":0,"cursor":"\#(cursor)","has_more":false,"#
          + #""signal":null,"#
          + #""dropped_bytes":0,"timed_out":false,"oom_killed":null,"rusage":null,"#
          + #""foreign_cursor":false,"cursor_ahead":false,"forgotten":false,"wait_for":null}"#)
      #expect(try await server.write("x", to: id).text == #"{"ok":true}"#)
      #expect(try await server.post("processes/\(id)/terminate").text == #"{"ok":true}"#)
      #expect(try await server.output(id) { $0.closed }.signal == "SIGTERM")
      #expect(
        try await server.request("DELETE", "/api/sdk/processes/\(id)").text == #"{"ok":true}"#)
    }
  }

  @Test("A command that cannot start is a tool error with the reason")
  func aCommandThatCannotStart() async throws {
    try await TestServer.run { server in
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"exec_command","arguments":{"command":["/no/such/command"]}}"#)
      #expect(reply.status == 200)
      #expect(
        reply.text
          == #"{"isError":true,"content":[{"type":"text","text":"/no/such/command: no such file"}"#
          + #"],"code":"executable_not_found"}"#)
      let directory = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"exec_command","arguments":{"command":"true","cwd":"/no/such"}}"#)
      #expect(directory.text.hasPrefix(#"{"isError":true,"#))
      #expect(directory.text.contains("/no/such: cannot be the working directory"))
      #expect(directory.text.hasSuffix(#""code":"bad_working_directory"}"#))
      for (words, code) in [
        (#"["/"]"#, "not_executable"), (#"["true","\u0000"]"#, "invalid_command"),
      ] {
        let reply = try await server.post(
          "envs/local/tool/call",
          #"{"tool":"shell","arguments":{"command":\#(words)}}"#)
        #expect(reply.text.hasSuffix(#""code":"\#(code)"}"#), "\(reply.text)")
      }
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
    }
  }

  @Test("An error has a code and a message")
  func anError() async throws {
    try await TestServer.run { server in
      let text = try await server.get("processes/no-such/output").text
      #expect(
        text
          == #"{"error":{"code":"session_not_found","message":"there is no session no-such; it may "#
          + #"have been idle for too long, or deleted"}}"#)
    }
  }

  @Test("The health check answers GET and HEAD without a token")
  func health() async throws {
    try await TestServer.run { server in
      let reply = try await server.request("GET", "/healthz", token: nil)
      #expect(reply.status == 200)
      #expect(reply.text == #"{"ok":true}"#)
      let status = try await Wire.connect(port: server.port) { wire in
        try await wire.request("HEAD", "/healthz")
        return try await wire.head()?.status
      }
      #expect(status == 200)
    }
  }

  @Test("The list of processes gives the state and the counts of each")
  func theList() async throws {
    struct Reply: Decodable {
      struct Process: Decodable {
        var session_id: String
        var pid: Int
        var tty: Bool
        var session_alive: Bool
        var closed: Bool
        var exit_code: Int?
        var signal: String?
        var total_bytes: Int
        var lost_bytes: Int
        var last_seq: Int
      }
      var processes: [Process]
    }
    try await TestServer.run { server in
      let first = try await server.start("exec cat", #","tty":true"#)
      let second = try await server.start("printf four; kill -9 $$")
      _ = try await server.output(second) { $0.closed }
      let list = try await server.get("processes").decode(Reply.self).processes
      #expect(list.map(\.session_id) == [first, second])
      #expect(list.map(\.tty) == [true, false])
      #expect(list.map(\.session_alive) == [true, false])
      #expect(list[0].pid > 0)
      #expect(list[0].exit_code == nil)
      #expect(list[0].signal == nil)
      #expect(list[1].exit_code == 137)
      #expect(list[1].signal == "SIGKILL")
      #expect(list[1].closed)
      #expect(list[1].total_bytes == 4)
      #expect(list[1].lost_bytes == 0)
      #expect(list[1].last_seq == 1)
      let text = try await server.get("processes").text
      #expect(text.contains(#""command":"exec cat""#))
    }
  }

  @Test("The result of the tool shell has the documented form")
  func theShell() async throws {
    try await TestServer.run { server in
      func shell(_ arguments: String) async throws -> String {
        try await server.post(
          "envs/local/tool/call", #"{"tool":"shell","arguments":{\#(arguments)}}"#
        ).text.replacing(Self.usage) { _ in "USAGE" }
      }
      let text = try await shell(
        #""command":"echo \"$X\"; echo é >&2; exit 7","env":{"X":"a\"b"}"#)
      #expect(
        text
          == #"{"isError":false,"content":[{"type":"text","text":"a\"b\né\n"}],"#
          + #""structuredContent":{"output":"a\"b\né\n","exit_code":7,"signal":null,"#
          + #""timed_out":false,"oom_killed":null,"rusage":USAGE,"#
          + #""truncated":false,"lost_bytes":0,"dropped_bytes":0,"#
          + #""stdout":"a\"b\n","stderr":"é\n","stdout_b64":"YSJiCg==","stderr_b64":"w6kK","#
          + #""gap":null}}"#)
      let late = try await shell(#""command":"echo early; sleep 1000","timeout_ms":200"#)
      #expect(
        late.contains(#""output":"early\n","exit_code":143,"signal":"SIGTERM","timed_out":true"#))
      #expect(try await shell(#""command":["pwd"],"cwd":"/""#).contains(#""output":"/\n""#))
      #expect(try await shell(#""command":["/no/such"]"#).hasPrefix(#"{"isError":true"#))
      // It has no stdin, and leaves nothing behind.
      #expect(try await shell(#""command":"cat""#).contains(#""exit_code":0"#))
      let flood = try await shell(#""command":"head -c 3000000 /dev/zero | tr '\\0' x""#)
      #expect(flood.contains(#""truncated":true"#))
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
    }
  }

  /// Values that the JSON writer has to escape, as another reader reads them.
  @Test("The JSON writer escapes strings so that another reader reads them back")
  func textIsEscaped() throws {
    let text = "\"\\/\u{0}\u{1f}\n\r\t\u{7f}é\u{2028}🙂"
    let json: JSON = ["a": .string(text), "b": [1, nil, true], text: []]
    let object = try JSONSerialization.jsonObject(with: Data(json.text.utf8)) as? [String: Any]
    #expect(object?["a"] as? String == text)
    #expect((object?["b"] as? [Any])?.count == 3)
    #expect(object?.keys.contains(text) == true)
  }
}
