import Testing

@testable import ProcessServer

/// What is wrong is said so, with a code: never with a status of 500.
@Suite(.timeLimit(.minutes(10))) struct ErrorTests {
  @Test("A malformed request is answered with 400 and changes nothing")
  func badRequests() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      let call = "envs/local/tool/call"
      let bodies: [(String, String)] = [
        (call, "{"), (call, "[]"), (call, "null"), (call, "\"x\""), (call, "{}"), (call, "\u{0}"),
        (call, #"{"tool":7}"#), (call, #"{"tool":"exec_command"}"#),
        (call, #"{"tool":"exec_command","arguments":[]}"#),
        (call, #"{"tool":"exec_command","arguments":{}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":5}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":[]}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":["a",1]}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":"true","cwd":1}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":"true","env":["A=B"]}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":"true","tty":1}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":"true","rows":-1}}"#),
        (call, #"{"tool":"exec_command","arguments":{"command":"true","cols":70000}}"#),
        (call, #"{"tool":"shell","arguments":{"command":"true","timeout_ms":0}}"#),
        (call, #"{"tool":"shell","arguments":{"command":"true","timeout_ms":1e30}}"#),
        (call, String(repeating: "[", count: 100_000)),
        ("envs/list", "{"), ("envs/list", "7"),
        ("processes/\(id)/stdin", #"{}"#), ("processes/\(id)/stdin", #"{"data_b64":"*"}"#),
        ("processes/\(id)/stdin", #"{"data_b64":"YQ"}"#),
        ("processes/\(id)/stdin", #"{"data_b64":5}"#),
        ("processes/\(id)/stdin", #"{"data_b64":"","eof":"yes"}"#),
        ("processes/\(id)/terminate", "nonsense"), ("processes/\(id)/terminate", "[1]"),
        ("processes/\(id)/signal", "{}"), ("processes/\(id)/signal", #"{"signal":"SIGNONE"}"#),
        ("processes/\(id)/signal", #"{"signal":0}"#), ("processes/\(id)/signal", #"{"signal":65}"#),
        ("processes/\(id)/resize", #"{"rows":1}"#),
        ("processes/\(id)/resize", #"{"rows":1,"cols":65536}"#),
      ]
      for (path, body) in bodies {
        let reply = try await server.post(path, body)
        #expect(reply.status == 400, "\(path) \(body.prefix(80))")
        #expect(reply.code == "bad_request", "\(path) \(body.prefix(80))")
      }
      for query in [
        "since=x", "since=1.5.x", "since=", "since=99999999999999999999", "since=1%002",
        "wait_ms=-1", "wait_ms=x", "wait_ms=1e3", "max_bytes=0", "max_bytes=-5", "max_bytes=x",
      ] {
        let reply = try await server.get("processes/\(id)/output?\(query)")
        #expect(reply.status == 400, "\(query)")
        #expect(reply.code == "bad_request", "\(query)")
      }
      #expect(try await server.get("processes/\(id)/events?since=x").status == 400)
      let last = try await server.request(
        "GET", "/api/sdk/processes/\(id)/events", headers: ["Last-Event-ID: x"])
      #expect(last.status == 400)
      // What was refused has changed nothing.
      let output = try await server.output(id)
      #expect(output.session_alive)
      #expect(output.chunks.isEmpty)
    }
  }

  /// Odd, and yet to be understood.
  @Test("Unusual but valid requests are accepted")
  func whatIsAccepted() async throws {
    try await TestServer.run { server in
      let id = try await server.start("printf ab; cat")
      _ = try await server.output(id) { !$0.chunks.isEmpty }
      for query in [
        "since=-5", "since=0&since=0", "", "since=0&unknown=1", "max_bytes=1",
        "since=0&wait_ms=99999999999",
      ] {
        #expect(try await server.output(id, query).text == "ab", "\(query)")
      }
      let ahead = try await server.output(id, "since=9223372036854775807&wait_ms=60000")
      #expect(ahead.chunks.isEmpty)
      #expect(ahead.next_since == 1)
      #expect(try await server.post("processes/\(id)/terminate", "").status == 200)
      #expect(try await server.post("processes/\(id)/terminate", #"{"x":1}"#).status == 200)
    }
  }

  @Test("A request without a valid token is answered with 401")
  func withoutAToken() async throws {
    try await TestServer.run {
      $0.limits.failedLogins = 1000
    } _: { server in
      let id = try await server.start("cat")
      let routes = [
        ("POST", "envs/list"), ("POST", "envs/local/tool/call"), ("GET", "processes"),
        ("DELETE", "processes/\(id)"), ("GET", "processes/\(id)/output"),
        ("GET", "processes/\(id)/events"), ("POST", "processes/\(id)/stdin"),
        ("POST", "processes/\(id)/terminate"), ("POST", "processes/\(id)/signal"),
        ("POST", "processes/\(id)/resize"),
      ]
      let headers = [
        [], ["Authorization: Bearer"], ["Authorization: Bearer  "],
        ["Authorization: Bearer wrong"], ["Authorization: Basic \(TestServer.alice)"],
        ["Authorization: \(TestServer.alice)"], ["Authorization: Bearer \(TestServer.alice)x"],
        ["Authorization: Bearer \(TestServer.alice.dropLast())"],
        ["Authorization: Bearer \(String(repeating: "x", count: 5000))"],
        ["Authorization: Bearer \(TestServer.alice) x"],
      ]
      for (method, path) in routes {
        for header in headers {
          let reply = try await server.request(
            method, "/api/sdk/" + path, token: nil, headers: header, body: "{}")
          #expect(reply.status == 401, "\(method) \(path) \(header)")
          #expect(reply.code == "unauthorized", "\(method) \(path) \(header)")
          #expect(reply.headers["www-authenticate"] == "Bearer")
        }
      }
      #expect(try await server.output(id).session_alive)
      // The scheme's name is not case sensitive.
      let lower = try await server.request(
        "GET", "/api/sdk/processes", token: nil,
        headers: ["authorization: bearer \(TestServer.alice)"])
      #expect(lower.status == 200)
    }
  }

  @Test("A request for something that does not exist is answered with 404")
  func whatDoesNotExist() async throws {
    try await TestServer.run { server in
      let id = String(repeating: "0", count: 32)
      let routes = [
        ("DELETE", "processes/\(id)"), ("GET", "processes/\(id)/output"),
        ("GET", "processes/\(id)/events"), ("POST", "processes/\(id)/stdin"),
        ("POST", "processes/\(id)/terminate"), ("POST", "processes/\(id)/signal"),
        ("POST", "processes/\(id)/resize"), ("GET", "processes/%00%ff%2e%2e/output"),
      ]
      for (method, path) in routes {
        let reply = try await server.request(method, "/api/sdk/" + path, body: "{}")
        #expect(reply.status == 404, "\(method) \(path)")
        #expect(reply.code == "session_not_found", "\(method) \(path)")
      }
      let call = #"{"tool":"exec_command","arguments":{"command":"true"}}"#
      #expect(try await server.post("envs/other/tool/call", call).code == "env_not_found")
      let tool = try await server.post("envs/local/tool/call", #"{"tool":"x","arguments":{}}"#)
      #expect(tool.status == 400)
      #expect(tool.code == "unknown_tool")
      for (method, path) in [
        ("GET", "/page"), ("GET", "/api"), ("GET", "/api/sdk/nothing"),
        ("GET", "/../../etc/passwd"), ("PUT", "/healthz/x"),
      ] {
        let reply = try await server.request(method, path)
        #expect(reply.status == 404, "\(method) \(path)")
        #expect(reply.code == "not_found", "\(method) \(path)")
      }
    }
  }

  @Test("A request to an ended process is answered with 409")
  func whatComesTooLate() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exit 4", #","tty":true"#)
      _ = try await server.output(id) { $0.closed }
      let late = try await server.write("x", to: id)
      #expect(late.status == 409)
      #expect(late.code == "process_ended")
      let signal = try await server.post("processes/\(id)/signal", #"{"signal":"INT"}"#)
      #expect(signal.status == 409)
      #expect(signal.code == "process_ended")
      let resize = try await server.post("processes/\(id)/resize", #"{"rows":1,"cols":1}"#)
      #expect(resize.status == 409)
      #expect(resize.code == "process_ended")
      // Nothing is wrong with ending what has ended.
      #expect(try await server.post("processes/\(id)/terminate").status == 200)
      #expect(try await server.output(id).exit_code == 4)
    }
  }

  @Test("A request for a stdin or a terminal that a process lacks is answered with 409")
  func whatTheProcessDoesNotHave() async throws {
    try await TestServer.run { server in
      let id = try await server.start("sleep 1000", #","pipe_stdin":false"#)
      let stdin = try await server.write("x", to: id)
      #expect(stdin.status == 409)
      #expect(stdin.code == "no_stdin")
      let resize = try await server.post("processes/\(id)/resize", #"{"rows":1,"cols":1}"#)
      #expect(resize.status == 409)
      #expect(resize.code == "no_terminal")
    }
  }

  /// What is no HTTP has an answer too, of the same form, and then an end.
  @Test("Input that is not HTTP is answered with 400 and ends the connection")
  func noHTTP() async throws {
    try await TestServer.run { server in
      for text in [
        "nonsense\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        "POST /api/sdk/envs/list HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
      ] {
        let reply = try await Wire.connect(port: server.port) { wire in
          try await wire.send(text)
          let reply = try await wire.response()
          #expect(try await wire.isCutOff())
          return reply
        }
        #expect(reply.status == 400, "\(text.debugDescription)")
        #expect(reply.code == "bad_request", "\(text.debugDescription)")
      }
      // Even in the middle of a body.
      let chunk = try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/api/sdk/envs/list", token: TestServer.alice,
          headers: ["Transfer-Encoding: chunked"])
        try await wire.send("zz\r\n")
        return try await wire.response()
      }
      #expect(chunk.status == 400)
      #expect(chunk.code == "bad_request")
      #expect(try await server.request("GET", "/healthz", token: nil).text == #"{"ok":true}"#)
    }
  }
}
