import Testing

@testable import ProcessServer

/// What HTTP/1 asks of a server, byte for byte.
@Suite(.timeLimit(.minutes(10))) struct HTTPTests {
  private func exchange(_ server: TestServer, _ text: String) async throws -> (Reply, Bool) {
    try await Wire.connect(port: server.port) { wire in
      try await wire.send(text)
      let reply = try await wire.response()
      return (reply, try await wire.isCutOff())
    }
  }

  @Test("A request without exactly one Host is refused, and the connection ends")
  func hosts() async throws {
    try await TestServer.run { server in
      for head in ["", "Host: localhost\r\nHost: localhost\r\n", "host: a\r\nHost: localhost\r\n"] {
        let (reply, isCutOff) = try await exchange(
          server, "GET /healthz HTTP/1.1\r\n\(head)\r\n")
        #expect(reply.status == 400)
        #expect(reply.code == "bad_request")
        #expect(isCutOff)
      }
    }
  }

  @Test("A client from the loopback that names another host is refused")
  func foreignHosts() async throws {
    try await TestServer.run {
      $0.allowedHosts = ["proxy.example"]
    } _: { server in
      for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", "", "0"] {
        let (reply, isCutOff) = try await exchange(
          server, "GET /healthz HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        #expect(reply.status == 403, "\(host)")
        #expect(reply.code == "forbidden", "\(host)")
        #expect(isCutOff, "\(host)")
      }
      for host in [
        "localhost", "LOCALHOST:8787", "localhost.", "127.0.0.1:1", "127.1.2.3", "[::1]",
        "[::1]:80", "proxy.example", "Proxy.Example:443",
      ] {
        let (reply, _) = try await exchange(
          server, "GET /healthz HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
        #expect(reply.status == 200, "\(host)")
      }
    }
  }

  @Test(
    "An HTTP/1.0 response is not chunked, and its connection ends unless the client asks otherwise")
  func old() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo x")
      _ = try await server.output(id) { $0.closed }
      let (health, isCutOff) = try await exchange(server, "GET /healthz HTTP/1.0\r\n\r\n")
      #expect(health.status == 200)
      #expect(health.text == #"{"ok":true}"#)
      #expect(isCutOff)
      #expect(health.headers["connection"] == "close")
      let token = "Authorization: Bearer \(TestServer.alice)"
      let events = try await Wire.connect(port: server.port) { wire in
        try await wire.send(
          "GET /api/sdk/processes/\(id)/events HTTP/1.0\r\nConnection: keep-alive\r\n\(token)\r\n\r\n"
        )
        let head = try #require(try await wire.head())
        #expect(head.headers["transfer-encoding"] == nil)
        #expect(head.headers["connection"] == "close")
        var lines: [String] = []
        while let line = try await wire.line() { lines.append(line) }
        return lines
      }
      #expect(events.first == "retry: 1000")
      #expect(events.contains("event: end"))
      try await Wire.connect(port: server.port) { wire in
        for _ in 0..<3 {
          try await wire.send("GET /healthz HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
          let reply = try await wire.response()
          #expect(reply.status == 200)
          #expect(reply.headers["connection"] == "keep-alive")
        }
        try await wire.send("GET /healthz HTTP/1.0\r\n\r\n")
        #expect(try await wire.response().status == 200)
        #expect(try await wire.isCutOff())
      }
      let (chunked, _) = try await exchange(
        server,
        "POST /api/sdk/envs/list HTTP/1.0\r\n\(token)\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
      )
      #expect(chunked.status == 400)
    }
  }

  @Test(
    "The connection ends after the response if the client asks for it in any form",
    arguments: ["close", "Close", "keep-alive, close"])
  func closing(value: String) async throws {
    try await TestServer.run { server in
      let (reply, isCutOff) = try await exchange(
        server, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: \(value)\r\n\r\n")
      #expect(reply.status == 200)
      #expect(isCutOff)
      #expect(reply.headers["connection"] == "close")
    }
  }

  @Test("The extensions between the chunks of a body are bounded")
  func chunkExtensions() async throws {
    try await TestServer.run { server in
      let head =
        "POST /api/sdk/envs/list HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        + "Authorization: Bearer \(TestServer.alice)\r\n\r\n"
      try await Wire.connect(port: server.port) { wire in
        try await wire.send(head + "1;")
        for _ in 0..<40 { try await wire.send(String(repeating: "x", count: 1000)) }
        let reply = try await wire.response()
        #expect(reply.status == 400)
        #expect(reply.code == "bad_request")
        #expect(try await wire.isCutOff())
      }
      // Many small chunks are none of that.
      try await Wire.connect(port: server.port) { wire in
        try await wire.send(head)
        for _ in 0..<50 {
          try await wire.send(String(repeating: "1\r\n \r\n", count: 1000))
        }
        try await wire.send("2;name=value\r\n{}\r\n0\r\n\r\n")
        #expect(try await wire.response().status == 200)
      }
    }
  }
}
