import Foundation
import Processes
import Testing

@testable import ProcessServer

/// What the tools do for an agent.
@Suite(.timeLimit(.minutes(10))) struct MCPToolTests {
  @Test("A short command takes one call")
  func short() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let answer = try await server.tool(
        "exec_command", #""command":"echo out; echo err >&2; exit 3","wait_ms":1000000"#)
      #expect(answer.result?.isError == false)
      let result = answer.structured
      #expect(result.exit_code == 3)
      #expect(result.session_alive == false)
      #expect(result.text == "out\nerr\n" || result.text == "err\nout\n")
      #expect(result.output_bytes == 8)
      #expect(result.offset == 0)
      #expect(result.end_offset == 8)
      #expect(result.left_out_bytes == 0)
      #expect(result.missed_bytes == 0)
      #expect(answer.text.contains("exit_code: 3\n"))
      #expect(answer.text.contains("out\n"))
      #expect(answer.text.contains(try #require(result.cursor)))
    }
  }

  @Test("A command that runs on is read from the cursor of each answer")
  func running() async throws {
    try await TestServer.run { server in
      let first = try await server.tool("exec_command", #""command":["cat"],"wait_ms":0"#)
      let id = try #require(first.structured.session_id)
      #expect(first.structured.session_alive == true)
      #expect(first.text.contains("The command still runs."))
      var cursor = try #require(first.structured.cursor)
      for line in ["one", "two"] {
        let written = try await server.tool(
          "write_stdin", #""session_id":"\#(id)","text":"\#(line)\n""#)
        #expect(written.structured.pending_bytes == 0)
        let read = try await server.tool(
          "read_output", #""session_id":"\#(id)","since":"\#(cursor)","wait_ms":1000000"#)
        #expect(read.structured.text == "\(line)\n")
        cursor = try #require(read.structured.cursor)
      }
      let nothing = try await server.tool(
        "read_output", #""session_id":"\#(id)","since":"\#(cursor)""#)
      #expect(nothing.structured.parts?.isEmpty == true)
      #expect(nothing.result?.content?.count == 1)
      let all = try await server.tool("read_output", #""session_id":"\#(id)""#)
      #expect(all.structured.text == "one\ntwo\n")
      let end = try await server.tool(
        "write_stdin", #""session_id":"\#(id)","data_b64":"dGhyZWU=","eof":true"#)
      #expect(end.text == "Written: 5 bytes, and stdin was ended.")
      let exit = try await server.tool(
        "wait_for", #""session_id":"\#(id)","since":"\#(cursor)","wait_ms":60000"#)
      #expect(exit.structured.wait_for?.outcome == "exited")
      #expect(exit.structured.exit_code == 0)
      #expect(exit.structured.text == "three")
    }
  }

  @Test("A wait for a text says whether it came, or the exit, or neither")
  func waits() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec("echo listening; read x; echo bye")
      let found = try await server.tool(
        "wait_for", #""session_id":"\#(id)","text":"listening","wait_ms":1000000"#)
      #expect(found.structured.wait_for?.outcome == "matched")
      #expect(found.structured.wait_for?.offset == 0)
      #expect(found.structured.wait_for?.end_offset == 9)
      #expect(found.text.hasPrefix("matched: "))
      let late = try await server.tool(
        "wait_for", #""session_id":"\#(id)","text":"never","wait_ms":1"#)
      #expect(late.structured.wait_for?.outcome == "timed_out")
      #expect(late.text.hasPrefix("timed_out: "))
      let soon = try await server.tool("wait_for", #""session_id":"\#(id)","wait_ms":1"#)
      #expect(soon.structured.wait_for?.outcome == "timed_out")
      async let gone = server.tool(
        "wait_for", #""session_id":"\#(id)","data_b64":"bmV2ZXI=","wait_ms":1000000"#)
      try await server.waits(1)
      _ = try await server.write("\n", to: id)
      #expect(try await gone.structured.wait_for?.outcome == "exited")
      #expect(try await gone.text.hasPrefix("exited: "))
      let stderr = try await server.tool(
        "wait_for",
        #""session_id":"\#(id)","text":"bye","stream":"stderr","wait_ms":1000000"#)
      #expect(stderr.structured.wait_for?.outcome == "exited")
    }
  }

  @Test("Output that does not fit is left out, and comes by its cursor")
  func leftOut() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let answer = try await server.tool(
        "exec_command", #""command":"seq 10000","wait_ms":1000000,"max_bytes":1000"#)
      let result = answer.structured
      let parts = try #require(result.parts)
      #expect(parts.map(\.kind) == ["output", "left_out", "output"])
      #expect(result.text.utf8.count <= 1000)
      #expect(result.left_out_bytes == parts[1].bytes)
      #expect(parts.compactMap(\.bytes).reduce(0, +) == result.end_offset)
      #expect(answer.text.contains("[\(try #require(parts[1].bytes)) bytes left out here: "))
      // All of it, by reading on.
      let id = try #require(result.session_id)
      var text = ""
      var cursor = "0"
      repeat {
        let next = try await server.tool(
          "read_output",
          #""session_id":"\#(id)","since":"\#(cursor)","part":"head","max_bytes":7000"#
        ).structured
        text += next.text
        cursor = try #require(next.cursor)
        if next.has_more == false { break }
        #expect(next.remaining_bytes ?? 0 > 0)
      } while true
      #expect(text == (1...10_000).map { "\($0)\n" }.joined())
    }
  }

  @Test("Output that is gone is told apart from output that is left out")
  func missed() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let answer = try await server.tool(
        "exec_command",
        #""command":"head -c 3145728 /dev/zero | tr '\\0' a","wait_ms":1000000,"head_bytes":100"#)
      let result = answer.structured
      let missed = try #require(result.missed_bytes)
      let shown = try #require(result.output_bytes)
      let leftOut = try #require(result.left_out_bytes)
      #expect(missed > 0 && leftOut > 0)
      #expect(shown + leftOut + missed == 3 << 20)
      #expect(shown <= Excerpt.standardBudget)
      #expect(answer.text.contains("[\(missed) bytes are missing here]\n"))
    }
  }

  @Test("Output comes as plain text, as text and exactly")
  func formats() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let run = try await server.tool(
        "exec_command", #""command":"printf '\\033[31mred\\033[0m\\377'","wait_ms":1000000"#)
      #expect(run.structured.text == "red?")
      let id = try #require(run.structured.session_id)
      let text = try await server.tool(
        "read_output", #""session_id":"\#(id)","format":"text""#)
      #expect(text.structured.text == "\u{1b}[31mred\u{1b}[0m\u{fffd}")
      let exact = try await server.tool(
        "read_output", #""session_id":"\#(id)","format":"exact""#)
      let data = try #require(exact.structured.parts?.first?.data_b64)
      #expect(Data(base64Encoded: data) == Data(Array("\u{1b}[31mred\u{1b}[0m".utf8) + [0xff]))
      #expect(exact.text.contains(data))
    }
  }

  @Test("A command is ended, and the list shows it")
  func ends() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec("exec sleep 1000", #","name":"sleeper""#)
      let list = try await server.tool("list", "")
      #expect(list.structured.processes?.map(\.session_id) == [id])
      #expect(list.structured.processes?.first?.session_alive == true)
      #expect(list.text.contains(#""name":"sleeper""#))
      let ended = try await server.tool("terminate", #""session_id":"\#(id)""#)
      #expect(ended.result?.isError == false)
      let exit = try await server.tool(
        "wait_for", #""session_id":"\#(id)","wait_ms":1000000"#)
      #expect(exit.structured.signal == "SIGTERM")
      #expect(exit.text.contains("signal: SIGTERM"))
      // It counts as running until what started it has noticed its end.
      var again = ""
      while again != "The command had ended already." {
        again = try await server.tool("terminate", #""session_id":"\#(id)""#).text
      }
      let late = try await server.tool(
        "exec_command", #""command":"exec sleep 1000","timeout_ms":50,"wait_ms":1000000"#)
      #expect(late.structured.timed_out == true)
      #expect(late.text.contains("its time was up"))
    }
  }

  @Test("send_signal sends a signal by its name or number", arguments: [#""usr1""#, "10"])
  func signals(signal: String) async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec(
        "trap 'exit 6' \(signal == "10" ? "10" : "USR1"); echo ready; while :; do sleep 1; done")
      _ = try await server.tool(
        "wait_for", #""session_id":"\#(id)","text":"ready","wait_ms":1000000"#)
      let sent = try await server.tool("send_signal", #""session_id":"\#(id)","signal":\#(signal)"#)
      #expect(sent.result?.isError == false)
      #expect(sent.text.hasSuffix(" was sent."))
      let exit = try await server.tool("wait_for", #""session_id":"\#(id)","wait_ms":1000000"#)
      #expect(exit.structured.exit_code == 6)
      let late = try await server.tool("send_signal", #""session_id":"\#(id)","signal":1"#)
      #expect(late.result?.isError == true)
      #expect(late.text.contains("the process has ended"))
    }
  }

  @Test("exec_command keeps the order of both streams with merge_stderr")
  func merged() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let answer = try await server.tool(
        "exec_command",
        #""command":"echo a; echo b >&2; echo c","merge_stderr":true,"wait_ms":1000000"#)
      #expect(answer.structured.text == "a\nb\nc\n")
    }
  }

  @Test("A list that does not fit says how many sessions are left out")
  func longList() async throws {
    try await TestServer.run { server in
      var ids: [String] = []
      for _ in 0..<6 {
        ids.append(try await server.exec(": \(String(repeating: "x", count: 5000)); exec cat"))
      }
      let list = try await server.tool("list", #""max_bytes":1200"#)
      #expect(list.result?.content?.first?.text.utf8.count ?? 0 < 1300)
      let shown = try #require(list.structured.processes)
      #expect(shown.map(\.session_id) == Array(ids.reversed().prefix(shown.count)))
      #expect(list.structured.left_out == 6 - shown.count)
      #expect(list.text.contains("list with skip=\(shown.count)]"))
      let rest = try await server.tool("list", #""skip":\#(shown.count)"#)
      #expect(shown.count + (rest.structured.processes?.count ?? 0) == 6)
      let none = try await server.tool("list", #""skip":9223372036854775807"#)
      #expect(none.text == "There are no more sessions.")
    }
  }

  @Test("The same key of a workspace gives the same session")
  func keys() async throws {
    try await TestServer.run { server in
      let call = #""command":["cat"],"wait_ms":0,"idempotency_key":"k""#
      let first = try await server.tool("exec_command", call)
      let second = try await server.tool("exec_command", call)
      #expect(first.structured.session_id == second.structured.session_id)
      #expect(first.structured.is_repeated == nil)
      #expect(second.structured.is_repeated == true)
    }
  }

  @Test(
    "A tool that cannot do what it is asked says why, to the model",
    arguments: [
      ("exec_command", "", "command is missing"),
      ("exec_command", #""command":["/no/such"]"#, "/no/such"),
      ("exec_command", #""command":"true","cwd":"/no/such""#, "/no/such"),
      ("exec_command", #""command":"true","max_memory_bytes":1"#, "--cgroups"),
      ("exec_command", #""command":"true","timeout":1"#, "exec_command has no argument timeout"),
      ("exec_command", #""command":"true","max_bytes":255"#, "must be from 256 to 65536"),
      ("exec_command", #""command":"true","max_bytes":65537"#, "must be from 256 to 65536"),
      ("exec_command", #""command":"true","wait_ms":-1"#, "wait_ms is -1"),
      ("read_output", "", "session_id is missing"),
      ("read_output", #""session_id":"x""#, "there is no session x"),
      ("read_output", #""session_id":"SID","since":"y""#, "since=y: not a seq, and not a cursor"),
      ("read_output", #""session_id":"SID","format":"raw""#, "one of plain, text, exact"),
      ("read_output", #""session_id":"SID","part":"x""#, "one of both, head, tail"),
      ("write_stdin", #""session_id":"SID""#, "text is missing"),
      ("write_stdin", #""session_id":"SID","text":"a","data_b64":"YQ==""#, "excludes text"),
      ("write_stdin", #""session_id":"SID","data_b64":"a""#, "data_b64 is not base64"),
      ("wait_for", #""session_id":"SID","text":"""#, "text has 0 bytes"),
      ("wait_for", #""session_id":"SID","text":"a","data_b64":"YQ==""#, "excludes text"),
      ("wait_for", #""session_id":"SID","stream":"stdout""#, "stream is for a text"),
      ("wait_for", #""session_id":"SID","text":"a","stream":"x""#, "must be stdout or stderr"),
      ("send_signal", #""session_id":"SID""#, "signal is missing"),
      ("send_signal", #""session_id":"SID","signal":"NONE""#, "signal must be a signal's name"),
      ("send_signal", #""session_id":"SID","signal":65"#, "signal is 65: must be from 1 to 64"),
      ("exec_command", #""command":"true","lossless_ms":1"#, "has no argument lossless_ms"),
      ("terminate", #""session_id":1"#, "session_id is not a string"),
      ("list", #""skip":-1"#, "skip is -1"),
    ])
  func failures(tool: String, arguments: String, problem: String) async throws {
    try await TestServer.run { server in
      let id = try await server.exec("exec cat")
      let reply = try await server.tool(
        tool, arguments.replacingOccurrences(of: "SID", with: id))
      #expect(reply.error == nil)
      #expect(reply.result?.isError == true)
      #expect(reply.result?.structuredContent == nil)
      #expect(reply.text.contains(problem), "\(reply.text)")
    }
  }

  @Test("What cannot be written says so")
  func stdin() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let none = try await server.exec("exec sleep 1000", #","pipe_stdin":false"#)
      let refused = try await server.tool(
        "write_stdin", #""session_id":"\#(none)","text":"x""#)
      #expect(refused.text.contains("has no stdin"))
      let ended = try await server.tool(
        "exec_command", #""command":"true","wait_ms":1000000"#)
      let id = try #require(ended.structured.session_id)
      let late = try await server.tool("write_stdin", #""session_id":"\#(id)","text":"x""#)
      #expect(late.result?.isError == true)
      #expect(late.text.contains("the process has ended"))
    }
  }

  @Test("A session of another workspace is as unknown as one that never was")
  func isolation() async throws {
    try await TestServer.run { server in
      let id = try await server.exec("exec cat")
      let never = String(repeating: "0", count: 32)
      for (tool, more) in [
        ("read_output", ""), ("write_stdin", #","text":"x""#), ("wait_for", ""), ("terminate", ""),
        ("send_signal", #","signal":"INT""#),
      ] {
        let other = try await server.tool(
          tool, #""session_id":"\#(id)"\#(more)"#, token: TestServer.bob)
        let unknown = try await server.tool(
          tool, #""session_id":"\#(never)"\#(more)"#, token: TestServer.bob)
        #expect(other.result?.isError == true)
        #expect(other.text == unknown.text.replacingOccurrences(of: never, with: id))
      }
      let list = try await server.tool("list", "", token: TestServer.bob)
      #expect(list.structured.processes?.isEmpty == true)
      #expect(try server.session(id).output().isAlive)
    }
  }

  @Test("A cursor of another session begins at the start, and the answer says so")
  func foreignCursor() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let call = #""command":"echo x","wait_ms":1000000"#
      let first = try await server.tool("exec_command", call).structured
      let second = try await server.tool("exec_command", call).structured
      let id = try #require(second.session_id)
      let cursor = try #require(first.cursor)
      let mixed = try await server.tool(
        "read_output", #""session_id":"\#(id)","since":"\#(cursor)""#)
      #expect(mixed.structured.foreign_cursor == true)
      #expect(mixed.structured.text == "x\n")
      #expect(mixed.text.contains("since was of another session"))
    }
  }

  @Test("An answer of the largest budget fits into an event of 1 MiB, whatever is in it")
  func largest() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let call = toolCall(
        "exec_command",
        #""command":"head -c 200000 /dev/zero","wait_ms":1000000,"format":"text","max_bytes":65536"#
      )
      let reply = try await server.mcp(call)
      #expect(reply.status == 200)
      #expect(reply.body.count < 1 << 20)
      #expect(try reply.decode(MCPReply.self).structured.output_bytes == 65_536)
    }
  }
}
