import Foundation
import Testing

@testable import ProcessServer

/// The protocol of `POST /mcp`: revisions, messages, and what is none.
@Suite(.timeLimit(.minutes(10))) struct MCPProtocolTests {
  private static let stateless = "2026-07-28"

  private func stateless(
    _ server: TestServer, _ method: String, _ params: String = "", name: String? = nil,
    headers: [String] = []
  ) async throws -> Reply {
    let more = params.isEmpty ? "" : params + ","
    return try await server.mcp(
      message(method, "{\(more)\(TestServer.meta)}"), version: Self.stateless,
      headers: ["Mcp-Method: \(method)"] + (name.map { ["Mcp-Name: \($0)"] } ?? []) + headers)
  }

  @Test(
    "A handshake agrees on the client's revision, or on the newest that has handshakes",
    arguments: [
      ("2024-11-05", "2024-11-05"), ("2025-03-26", "2025-03-26"), ("2025-06-18", "2025-06-18"),
      ("2025-11-25", "2025-11-25"), ("2026-07-28", "2025-11-25"), ("1900-01-01", "2025-11-25"),
    ])
  func handshakes(asked: String, agreed: String) async throws {
    try await TestServer.run { server in
      let reply = try await server.mcp(
        handshake(asked), version: nil)
      #expect(reply.status == 200)
      #expect(reply.headers["content-type"] == "application/json")
      #expect(reply.headers["mcp-session-id"] == nil)
      let answer: MCPReply = try reply.decode()
      #expect(answer.id == .number(1))
      #expect(answer.result?.protocolVersion == agreed)
      #expect(answer.result?.serverInfo?.name == "processd")
      #expect(answer.result?.instructions?.isEmpty == false)
      let done = try await server.mcp(
        message("notifications/initialized", id: nil), version: agreed)
      #expect(done.status == 202)
      #expect(done.body.isEmpty)
      let ping: MCPReply = try await server.mcp(
        message("ping", id: #""a""#), version: agreed
      ).decode()
      #expect(ping.id == .text("a"))
      #expect(ping.error == nil)
    }
  }

  @Test("A client gets of the tools what its revision knows", arguments: MCPRevision.allCases)
  func definitions(revision: MCPRevision) async throws {
    try await TestServer.run { server in
      let reply =
        revision.isStateless
        ? try await stateless(server, "tools/list")
        : try await server.mcp(message("tools/list"), version: revision.rawValue)
      let result = try #require(try reply.decode(MCPReply.self).result)
      let tools = try #require(result.tools)
      #expect(
        tools.map(\.name) == [
          "exec_command", "read_output", "write_stdin", "wait_for", "send_signal", "terminate",
          "list",
        ])
      for tool in tools {
        #expect(tool.inputSchema.type == "object")
        #expect((tool.annotations == nil) == (revision < .march2025))
        #expect((tool.outputSchema == nil) == (revision < .june2025))
        #expect((tool.title == nil) == (revision < .june2025))
      }
      let annotations = tools.compactMap(\.annotations)
      #expect(annotations.filter(\.readOnlyHint).count == (annotations.isEmpty ? 0 : 3))
      #expect(result.resultType == (revision.isStateless ? "complete" : nil))
      #expect(result.cacheScope == (revision.isStateless ? "private" : nil))
      let call =
        revision.isStateless
        ? try await stateless(server, "tools/call", #""name":"list""#, name: "list")
        : try await server.mcp(toolCall("list", ""), version: revision.rawValue)
      let listed = try #require(try call.decode(MCPReply.self).result)
      #expect(listed.content?.count == 1)
      #expect((listed.structuredContent == nil) == (revision < .june2025))
    }
  }

  @Test("A client of 2026-07-28 finds out what the server speaks")
  func discover() async throws {
    try await TestServer.run { server in
      let reply = try await stateless(server, "server/discover")
      #expect(reply.status == 200)
      let result = try #require(try reply.decode(MCPReply.self).result)
      #expect(result.supportedVersions == MCPRevision.allCases.reversed().map(\.rawValue))
      #expect(result.resultType == "complete")
      #expect(result.ttlMs ?? 0 > 0)
      #expect(result._meta?["io.modelcontextprotocol/serverInfo"]?.name == "processd")
    }
  }

  @Test(
    "A request of 2026-07-28 whose header fields are not those of its body is refused",
    arguments: [
      ([], "MCP-Protocol-Version is missing"),
      (["MCP-Protocol-Version: 2025-11-25"], "MCP-Protocol-Version is 2025-11-25"),
      (["MCP-Protocol-Version: 2026-07-28"], "Mcp-Method is missing"),
      (["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/list"], "Mcp-Method is tools/list"),
      (["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call"], "Mcp-Name is missing"),
      (
        ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: LIST"],
        "Mcp-Name is LIST"
      ),
      (
        ["MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: =?base64?x?="],
        "Mcp-Name is missing"
      ),
      (
        [
          "MCP-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: list",
          "mcp-name: list",
        ], "Mcp-Name stands twice"
      ),
    ])
  func headers(headers: [String], problem: String) async throws {
    try await TestServer.run { server in
      let body = toolCall("list", "", meta: "," + TestServer.meta)
      let reply = try await server.mcp(body, version: nil, headers: headers)
      #expect(reply.status == 400)
      let answer: MCPReply = try reply.decode()
      #expect(answer.error?.code == -32020)
      #expect(answer.error?.message.contains(problem) == true, "\(reply.text)")
      #expect(answer.id == .number(1))
      let right = try await server.mcp(
        body, version: Self.stateless,
        headers: ["mcp-method: tools/call", "MCP-NAME: =?base64?bGlzdA==?="])
      #expect(right.status == 200)
    }
  }

  @Test("A request of 2026-07-28 without what it must say is refused")
  func envelope() async throws {
    try await TestServer.run { server in
      for params in [
        nil, "{}", #"{"_meta":{}}"#, #"{"_meta":1}"#,
        #"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
        #"{"_meta":{"io.modelcontextprotocol/clientCapabilities":{}}}"#,
        #"{"_meta":{"io.modelcontextprotocol/protocolVersion":1}}"#,
      ] {
        let reply = try await server.mcp(
          message("tools/list", params), version: Self.stateless,
          headers: ["Mcp-Method: tools/list"])
        #expect(reply.status == 400, "\(params ?? "")")
        #expect(try reply.decode(MCPReply.self).error?.code == -32602, "\(params ?? "")")
      }
    }
  }

  @Test("A revision that the server does not know is refused with those that it knows")
  func unknownRevision() async throws {
    try await TestServer.run { server in
      let future = TestServer.meta.replacingOccurrences(of: "2026-07-28", with: "2027-01-01")
      for body in [message("tools/list"), message("tools/list", "{\(future)}")] {
        let reply = try await server.mcp(body, version: "2027-01-01")
        #expect(reply.status == 400)
        let answer: MCPReply = try reply.decode()
        #expect(answer.error?.code == -32022)
        #expect(answer.error?.data?.requested == "2027-01-01")
        #expect(answer.error?.data?.supported.contains("2025-11-25") == true)
        #expect(answer.id == .number(1))
      }
    }
  }

  @Test("A method that does not exist is an error, and in 2026-07-28 a 404")
  func unknownMethod() async throws {
    try await TestServer.run { server in
      for method in ["resources/list", "server/discover", "", "tools/CALL"] {
        let reply = try await server.mcp(message(method))
        #expect(reply.status == 200, "\(method)")
        #expect(try reply.decode(MCPReply.self).error?.code == -32601, "\(method)")
      }
      for method in ["resources/list", "ping", "subscriptions/listen"] {
        let reply = try await stateless(server, method)
        #expect(reply.status == 404, "\(method)")
        #expect(try reply.decode(MCPReply.self).error?.code == -32601, "\(method)")
      }
    }
  }

  @Test(
    "What is no message is refused with the reason",
    arguments: [
      ("", -32700), ("{", -32700), ("x", -32700), ("{}x", -32700), (#"{"id":1,"id":1}"#, -32700),
      (String(repeating: "[", count: 1000), -32700), ("\u{0}", -32700),
      ("1", -32600), (#""x""#, -32600), ("null", -32600), ("{}", -32600), ("[]", -32600),
      (#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, -32600),
      (#"{"id":1,"method":"ping"}"#, -32600), (#"{"jsonrpc":"2.0","id":1}"#, -32600),
      (#"{"jsonrpc":"2.0","id":1,"method":1}"#, -32600),
      (#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, -32600),
      (#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, -32600),
      (#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, -32600),
      (#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, -32600),
      (#"{"jsonrpc":"2.0","id":1e99,"method":"ping"}"#, -32600),
      (
        #"{"jsonrpc":"2.0","id":"\#(String(repeating: "x", count: 1025))","method":"ping"}"#,
        -32600
      ),
      (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#, -32602),
      (#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#, -32602),
      (#"{"jsonrpc":"2.0","method":"ping","params":3}"#, -32602),
    ])
  func malformed(body: String, code: Int) async throws {
    try await TestServer.run { server in
      for version in [nil, "2025-11-25", Self.stateless] {
        let reply = try await server.mcp(body, version: version)
        #expect(reply.status == 400, "\(reply.text)")
        #expect(try reply.decode(MCPReply.self).error?.code == code, "\(reply.text)")
      }
    }
  }

  @Test("Parameters that are not what they should be are refused")
  func parameters() async throws {
    try await TestServer.run { server in
      for (body, problem) in [
        (message("tools/call"), "params.name is missing"),
        (message("tools/call", #"{"name":1}"#), "params.name is not a string"),
        (message("tools/call", #"{"name":"rm"}"#), "there is no tool rm"),
        (
          message("tools/call", #"{"name":"list","arguments":[]}"#),
          "params.arguments is not an object"
        ),
        (message("tools/list", #"{"cursor":"x"}"#), "params.cursor"),
        (message("initialize", #"{}"#), "params.protocolVersion is missing"),
      ] {
        let answer: MCPReply = try await server.mcp(body).decode()
        #expect(answer.error?.code == -32602, "\(body)")
        #expect(answer.error?.message.contains(problem) == true, "\(answer.error?.message ?? "")")
      }
    }
  }

  @Test("A batch is not performed any further when its answers are large")
  func largeBatches() async throws {
    try await TestServer.run { server in
      let id = try await server.exec("head -c 200000 /dev/zero")
      _ = try await server.output(id) { $0.closed }
      let read = toolCall(
        "read_output", #""session_id":"\#(id)","format":"exact","max_bytes":65536"#)
      let batch = "[" + Array(repeating: read, count: 32).joined(separator: ",") + "]"
      let text = try await server.mcp(batch, version: "2025-03-26").text
      #expect(text.utf8.count < 2 << 20)
      let refusals = text.ranges(of: "the answers to this batch are too large").count
      #expect(1..<32 ~= refusals)
      #expect(text.ranges(of: #""jsonrpc""#).count == 32)
    }
  }

  @Test("Revision 2025-03-26 alone has batches")
  func batches() async throws {
    try await TestServer.run { server in
      let notification = message("notifications/initialized", id: nil)
      let batch =
        "[\(message("ping", id: "7")),\(notification),1,\(message("none", id: #""b""#)),"
        + "\(message("initialize", id: "9", #"{"protocolVersion":"2025-03-26"}"#))]"
      for version in [nil, "2025-03-26"] {
        let reply = try await server.mcp(batch, version: version)
        #expect(reply.status == 200)
        let answers = try reply.decode([MCPReply].self)
        #expect(answers.map(\.id) == [.number(7), nil, .text("b"), .number(9)])
        #expect(answers.map(\.error?.code) == [nil, -32600, -32601, -32600])
        let quiet = try await server.mcp("[\(notification),\(notification)]", version: version)
        #expect(quiet.status == 202)
        #expect(quiet.body.isEmpty)
        let many = "[" + Array(repeating: notification, count: 33).joined(separator: ",") + "]"
        #expect(try await server.mcp(many, version: version).status == 400)
      }
      for version in ["2024-11-05", "2025-06-18", "2025-11-25", Self.stateless] {
        let reply = try await server.mcp(batch, version: version)
        #expect(reply.status == 400)
        #expect(try reply.decode(MCPReply.self).error?.code == -32600)
      }
    }
  }

  @Test("Answers of a client are taken by the revisions that have them")
  func responses() async throws {
    try await TestServer.run { server in
      let response = #"{"jsonrpc":"2.0","id":1,"result":{}}"#
      #expect(try await server.mcp(response).status == 202)
      #expect(try await server.mcp(response, version: Self.stateless).status == 400)
      let cancel = message("notifications/cancelled", id: nil, #"{"requestId":1}"#)
      for version in [nil, "2025-11-25", Self.stateless] {
        let reply = try await server.mcp(cancel, version: version)
        #expect(reply.status == 202)
        #expect(reply.body.isEmpty)
      }
    }
  }

  @Test("A page that is not of this machine is refused, whatever its token")
  func origin() async throws {
    try await TestServer.run {
      $0.allowedHosts = ["desk.local"]
    } _: { server in
      for origin in [
        "http://evil.example", "https://localhost.evil.example", "null", "", "http://",
        "localhost", "http://localhost@evil.example", "http://127.0.0.1.evil.example",
        "file://", "http://evil.example:8787",
      ] {
        let reply = try await server.mcp(message("ping"), headers: ["Origin: \(origin)"])
        #expect(reply.status == 403, "\(origin)")
        #expect(reply.code == "forbidden", "\(origin)")
      }
      for origin in [
        "http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:80",
        "http://desk.local", "https://DESK.local:1",
      ] {
        let reply = try await server.mcp(message("ping"), headers: ["Origin: \(origin)"])
        #expect(reply.status == 200, "\(origin)")
      }
      let two = try await server.mcp(
        message("ping"), headers: ["Origin: http://localhost", "Origin: http://evil.example"])
      #expect(two.status == 403)
    }
  }

  @Test("There is no stream to get, and no session to delete")
  func methods() async throws {
    try await TestServer.run { server in
      for method in ["GET", "DELETE", "PUT"] {
        let reply = try await server.request(method, "/mcp")
        #expect(reply.status == 405)
        #expect(reply.headers["allow"] == "POST")
      }
    }
  }

  @Test("A token is needed, and guessing is slowed down")
  func tokens() async throws {
    try await TestServer.run {
      $0.limits.failedLogins = 3
      $0.limits.failedLoginInterval = .seconds(1000)
    } _: { server in
      #expect(try await server.mcp(message("ping"), token: nil).status == 401)
      for _ in 0..<3 {
        let reply = try await server.mcp(message("ping"), token: "guess")
        #expect(reply.status == 401)
        #expect(reply.headers["www-authenticate"] == "Bearer")
      }
      #expect(try await server.mcp(message("ping"), token: "guess").status == 429)
      #expect(try await server.mcp(message("ping")).status == 200)
    }
  }

  @Test("A body that is too large is refused")
  func large() async throws {
    try await TestServer.run {
      $0.limits.bodyBytes = 1000
    } _: { server in
      let body = message("ping", #"{"x":"\#(String(repeating: "x", count: 1000))"}"#)
      let reply = try await server.mcp(body)
      #expect(reply.status == 413)
    }
  }

  @Test("A client that takes events gets heartbeats while it waits, and then the answer")
  func events() async throws {
    try await TestServer.run {
      $0.limits.heartbeat = .milliseconds(20)
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec("cat")
      let call = toolCall("wait_for", #""session_id":"\#(id)","text":"x","wait_ms":1000000"#)
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/mcp", token: TestServer.alice,
          headers: [
            "MCP-Protocol-Version: 2025-11-25", "Accept: application/json, text/event-stream",
          ], body: call)
        let head = try #require(try await wire.head())
        #expect(head.status == 200)
        #expect(head.headers["content-type"] == "text/event-stream")
        var text = ""
        while !text.hasSuffix(": heartbeat\n\n: heartbeat\n\n") {
          text += String(decoding: try #require(try await wire.part()), as: UTF8.self)
        }
        _ = try await server.write("x", to: id)
        while let part = try await wire.part() { text += String(decoding: part, as: UTF8.self) }
        let event = try #require(text.split(separator: "event: message\ndata: ").last)
        #expect(event.hasSuffix("\n\n"))
        let answer = try JSONDecoder().decode(MCPReply.self, from: Data(event.utf8))
        #expect(answer.structured.wait_for?.outcome == "matched")
      }
      // One that does not take them gets one answer, however late.
      async let late = server.mcp(call.replacingOccurrences(of: #""x""#, with: #""y""#))
      try await server.waits(1)
      try await Task.sleep(for: .milliseconds(100))
      _ = try await server.write("y", to: id)
      #expect(try await late.headers["content-type"] == "application/json")
    }
  }

  @Test("A client that hangs up waits no more")
  func hangingUp() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec("cat")
      let call = toolCall("wait_for", #""session_id":"\#(id)","wait_ms":1000000"#)
      try await Wire.connect(port: server.port) { wire in
        try await wire.request("POST", "/mcp", token: TestServer.alice, body: call)
        try await server.waits(1)
      }
      while try await server.metric("waits") > 0 { try await Task.sleep(for: .milliseconds(2)) }
      #expect(try server.session(id).output().isAlive)
    }
  }

  @Test("When a client hangs up, no more tools of its batch are called")
  func hangingUpInABatch() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec("cat")
      let wait = toolCall("wait_for", #""session_id":"\#(id)","wait_ms":1000000"#)
      let start = toolCall("exec_command", #""command":"true""#)
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/mcp", token: TestServer.alice,
          headers: ["MCP-Protocol-Version: 2025-03-26"], body: "[\(wait),\(start),\(start)]")
        try await server.waits(1)
      }
      while try await server.metric("waits") > 0 { try await Task.sleep(for: .milliseconds(2)) }
      for _ in 0..<20 {
        try await Task.sleep(for: .milliseconds(10))
        #expect(server.server.jobs.counts.jobs == 1)
      }
    }
  }

  @Test("The end of the server answers the requests that wait")
  func shutDown() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.exec("exec cat")
      async let waiting = server.tool("wait_for", #""session_id":"\#(id)","wait_ms":1000000"#)
      try await server.waits(1)
      await server.shutDown()
      let answer = try await waiting
      #expect(answer.structured.wait_for?.outcome == "exited")
      #expect(answer.structured.signal == "SIGTERM")
    }
  }
}
