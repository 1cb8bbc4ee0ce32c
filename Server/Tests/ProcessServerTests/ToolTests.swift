import Foundation
import Testing

@testable import ProcessServer

/// What the tools take and answer.
@Suite(.timeLimit(.minutes(10))) struct ToolTests {
  private struct Started: Decodable {
    struct Content: Decodable {
      var session_id: String
      var is_repeated: Bool?
    }
    var structuredContent: Content
  }

  private struct Shell: Decodable {
    struct Content: Decodable {
      var output, stdout, stderr, stdout_b64, stderr_b64: String
      var exit_code: Int?
      var dropped_bytes: Int
      var timed_out: Bool
    }
    var structuredContent: Content
  }

  private func call(_ server: TestServer, _ tool: String, _ arguments: String) async throws -> Reply
  {
    try await server.post(
      "envs/local/tool/call", #"{"tool":"\#(tool)","arguments":{\#(arguments)}}"#)
  }

  private func shell(_ server: TestServer, _ arguments: String) async throws -> Shell.Content {
    try await call(server, "shell", arguments).decode(Shell.self).structuredContent
  }

  @Test("The tool shell returns both streams as text and as exact bytes")
  func streams() async throws {
    try await TestServer.run { server in
      let result = try await shell(
        server, #""command":"printf 'a\\377b'; sleep 0.1; printf 'c\\303' >&2; sleep 0.1; echo d""#)
      #expect(result.stdout == "a\u{fffd}bd\n")
      #expect(result.stderr == "c\u{fffd}")
      #expect(Data(base64Encoded: result.stdout_b64) == Data([0x61, 0xff, 0x62, 0x64, 0x0a]))
      #expect(Data(base64Encoded: result.stderr_b64) == Data([0x63, 0xc3]))
      #expect(result.dropped_bytes == 0)
      #expect(result.exit_code == 0)
    }
  }

  @Test(
    "A tool that does not exist is answered with 400",
    arguments: ["read_file", "write_file", "apply_patch", "copy_path", "", "Shell"])
  func unknown(tool: String) async throws {
    try await TestServer.run { server in
      let reply = try await call(server, tool, "")
      #expect(reply.status == 400)
      #expect(reply.code == "unknown_tool")
    }
  }

  @Test(
    "An invalid argument is refused with its name",
    arguments: [
      (#""command":"true","timeout_ms":1.5"#, "arguments.timeout_ms is 1.5: not an integer"),
      (#""command":"true","timeout_ms":0"#, "arguments.timeout_ms is 0: must be at least 1"),
      (#""command":"true","rows":65536"#, "arguments.rows is 65536: must be from 0 to 65535"),
      (#""command":"true","rows":1,"rows":2"#, "arguments.rows stands twice"),
      (#""command":["a",1]"#, "arguments.command must be a string"),
      (#""command":"true","env":{"A":1}"#, "arguments.env.A is not a string"),
      (#""cwd":"/""#, "arguments.command is missing"),
      (#""command":"true","name":"""#, "arguments.name has from 1 to 256 bytes"),
      (#""command":"true","cpu_seconds":0"#, "arguments.cpu_seconds is 0"),
      (#""command":"true","head_bytes":-1"#, "head_bytes is -1: must be from 0 to 1048576"),
      (#""command":"true","head_bytes":1048577"#, "is 1048577: must be from 0 to 1048576"),
      (#""command":"true","head_bytes":1.5"#, "arguments.head_bytes is 1.5: not an integer"),
      (#""command":"true","head_bytes":"1""#, "arguments.head_bytes is not an integer"),
    ])
  func wrongArguments(arguments: String, message: String) async throws {
    try await TestServer.run { server in
      let reply = try await call(server, "exec_command", arguments)
      #expect(reply.status == 400)
      #expect(reply.code == "bad_request")
      #expect(reply.text.contains(message), "\(reply.text)")
    }
  }

  @Test("Limits that need control groups are refused without them")
  func controlGroups() async throws {
    try await TestServer.run { server in
      for field in ["max_memory_bytes", "max_processes"] {
        let reply = try await call(server, "exec_command", #""command":"true","\#(field)":10"#)
        #expect(reply.status == 400)
        #expect(reply.code == "limits_unavailable")
        let other = try await call(server, "shell", #""command":"true","\#(field)":10"#)
        #expect(other.status == 400)
        #expect(other.code == "limits_unavailable")
        let wrong = try await call(server, "exec_command", #""command":"true","\#(field)":0"#)
        #expect(wrong.status == 400)
        #expect(wrong.code == "bad_request")
      }
      // Nothing of it counts.
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
      #expect(server.server.jobs.counts == JobTable.Counts())
    }
  }

  @Test("A command runs under the requested resource limits")
  func resourceLimits() async throws {
    try await TestServer.run { server in
      let result = try await shell(
        server, #""command":"ulimit -n; ulimit -t","open_files":77,"cpu_seconds":9"#)
      #expect(result.stdout == "77\n9\n")
      let busy = try await shell(server, #""command":"while :; do :; done","cpu_seconds":1"#)
      #expect(busy.exit_code == 128 + 24)
      #expect(!busy.timed_out)
    }
  }

  @Test("A command is ended when its time is up, and its output says so")
  func timeouts() async throws {
    try await TestServer.run { server in
      let late = try await server.start("echo x; exec sleep 1000", #","timeout_ms":300"#)
      let output = try await server.output(late) { $0.closed }
      #expect(output.text == "x\n")
      #expect(output.signal == "SIGTERM")
      #expect(try await server.get("processes/\(late)/output").text.contains(#""timed_out":true"#))
      #expect(try await server.get("processes/\(late)/events").text.contains(#""timed_out":true"#))
      let soon = try await server.start("exit 3", #","timeout_ms":60000"#)
      _ = try await server.output(soon) { $0.closed }
      #expect(try await server.get("processes/\(soon)/output").text.contains(#""timed_out":false"#))
    }
  }

  @Test("Concurrent and repeated starts with the same key of a workspace give the same session")
  func keys() async throws {
    try await TestServer.run { server in
      let arguments = #""command":"echo $$; exec sleep 1000","idempotency_key":"k 1""#
      let all = try await withThrowingTaskGroup(of: Started.Content.self) { group in
        for _ in 0..<10 {
          group.addTask {
            try await call(server, "exec_command", arguments).decode(Started.self).structuredContent
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(Set(all.map(\.session_id)).count == 1)
      #expect(all.count { $0.is_repeated == true } == 9)
      let list = try await server.get("processes").text
      #expect(list.matches(of: #/session_id/#).count == 1)
      // With other arguments it is a mistake; in another workspace, another key.
      let other = try await call(
        server, "exec_command", #""command":"true","idempotency_key":"k 1""#)
      #expect(other.status == 409)
      #expect(other.code == "label_taken")
      let bob = try await server.start(
        "echo $$; exec sleep 1000", #","idempotency_key":"k 1""#, token: TestServer.bob)
      #expect(bob != all[0].session_id)
      // When the session is gone, so is its key.
      try await server.request("DELETE", "/api/sdk/processes/\(all[0].session_id)")
      let again = try await call(server, "exec_command", arguments).decode(Started.self)
      #expect(again.structuredContent.session_id != all[0].session_id)
      #expect(again.structuredContent.is_repeated == nil)
    }
  }

  @Test("A command that cannot start leaves its key free")
  func keysOfFailures() async throws {
    try await TestServer.run { server in
      let arguments = #""command":["/no/such"],"idempotency_key":"k","name":"n""#
      for _ in 0..<3 {
        #expect(try await call(server, "exec_command", arguments).text.contains(#""isError":true"#))
      }
      let id = try await server.start("cat", #","idempotency_key":"k","name":"n""#)
      let list = try await server.get("processes").text
      #expect(list.contains(id))
      #expect(list.contains(#""name":"n""#))
      let repeated = try await server.start("cat", #","idempotency_key":"k","name":"n""#)
      #expect(repeated == id)
    }
  }

  @Test("A name belongs to one session of its workspace for as long as that session is known")
  func names() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat", #","name":"dev server""#)
      #expect(try await server.start("cat", #","name":"dev server""#) == id)
      let other = try await call(server, "exec_command", #""command":"true","name":"dev server""#)
      #expect(other.status == 409)
      #expect(other.code == "label_taken")
    }
  }
}
