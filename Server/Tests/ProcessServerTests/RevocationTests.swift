import Foundation
import Testing

@testable import ProcessServer

/// A token that is taken away.
@Suite(.timeLimit(.minutes(10))) struct RevocationTests {
  private func run(
    _ policy: APIServer.RevocationPolicy,
    _ body: (TestServer, _ rewrite: (String) throws -> Void) async throws -> Void
  ) async throws {
    let path = NSTemporaryDirectory() + "processd-revoke-\(randomID())"
    func write(_ text: String) throws {
      #expect(
        FileManager.default.createFile(
          atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600]))
    }
    try write("\(TestServer.alice) alice\nsecond-of-alice alice\n\(TestServer.bob) bob\n")
    defer { try? FileManager.default.removeItem(atPath: path) }
    try await TestServer.run {
      $0.tokens = .file(path: path)
      $0.onRevoke = policy
      $0.limits.waitTime = .seconds(1000)
      $0.limits.heartbeat = .milliseconds(20)
    } _: { server in
      try await body(server) { text in
        try write(text)
        try server.server.reloadTokens()
      }
    }
  }

  @Test("Revoking a token ends the waits of an agent, with 401 or an error in its stream")
  func agents() async throws {
    try await run(.keep) { server, rewrite in
      let id = try await server.exec("exec cat")
      let call = toolCall("wait_for", #""session_id":"\#(id)","wait_ms":1000000"#)
      async let waiting = server.mcp(call)
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/mcp", token: TestServer.alice, headers: ["Accept: text/event-stream"],
          body: call)
        #expect(try await wire.head()?.headers["content-type"] == "text/event-stream")
        try await server.waits(2)
        try rewrite("second-of-alice alice\n\(TestServer.bob) bob\n")
        var text = ""
        while let part = try await wire.part() { text += String(decoding: part, as: UTF8.self) }
        #expect(text.contains(#"data: {"jsonrpc":"2.0","id":1,"error":{"code":-32603,"#))
        #expect(text.contains("this token is not known here any more"))
      }
      #expect(try await waiting.status == 401)
      #expect(try await server.mcp(call).status == 401)
    }
  }

  @Test("A token that is revoked while a request's body arrives does nothing any more")
  func slowBodies() async throws {
    try await run(.keep) { server, rewrite in
      let bodies = [
        ("/mcp", toolCall("exec_command", #""command":"true""#)),
        (
          "/api/sdk/envs/local/tool/call",
          #"{"tool":"exec_command","arguments":{"command":"true"}}"#
        ),
      ]
      for (path, body) in bodies {
        try rewrite("\(TestServer.alice) alice\n\(TestServer.bob) bob\n")
        try await Wire.connect(port: server.port) { wire in
          try await wire.send(
            "POST \(path) HTTP/1.1\r\nHost: localhost\r\n"
              + "Authorization: Bearer \(TestServer.alice)\r\n"
              + "Content-Length: \(body.utf8.count)\r\n\r\n\(body.dropLast())")
          // Its token has come in time.
          while server.server.connections.incoming.total == 0 {
            try await Task.sleep(for: .milliseconds(2))
          }
          try rewrite("\(TestServer.bob) bob\n")
          try await wire.send("}")
          #expect(try await wire.response().status == 401)
        }
      }
      #expect(server.server.jobs.jobs(of: "alice").isEmpty)
    }
  }

  @Test("Revoking a token ends its waits and streams with 401, and not those of other tokens")
  func waits() async throws {
    try await run(.keep) { server, rewrite in
      let id = try await server.start("exec cat")
      async let poll = server.get("processes/\(id)/output?wait_ms=1000000")
      async let search = server.get("processes/\(id)/output?wait_for=never&wait_ms=1000000")
      async let shell = server.post(
        "envs/local/tool/call", #"{"tool":"shell","arguments":{"command":"sleep 1000"}}"#)
      async let stream = server.get("processes/\(id)/events")
      async let others = server.get(
        "processes/\(id)/output?wait_ms=1000000", token: "second-of-alice")
      try await server.waits(5)
      try rewrite("second-of-alice alice\n\(TestServer.bob) bob\n")
      let polled = try await poll
      #expect(polled.status == 401)
      #expect(polled.code == "unauthorized")
      #expect(try await search.status == 401)
      #expect(try await shell.status == 401)
      let text = try await stream.text
      #expect(text.contains("event: error\n"))
      #expect(text.contains(#""code":"unauthorized""#))
      #expect(!text.contains("event: end"))
      let list = try await server.get("processes", token: "second-of-alice")
      #expect(list.text.contains(#""session_alive":true"#))
      let job = try server.server.jobs.job(id, of: "alice")
      _ = try await server.request(
        "POST", "/api/sdk/processes/\(id)/stdin", token: "second-of-alice",
        body: #"{"data_b64":"eAo="}"#)
      #expect(try await others.decode(OutputReply.self).text == "x\n")
      #expect(job.process.isRunning)
    }
  }

  @Test("Revoking a token ends its processes if so configured, and not those of other tokens")
  func processes() async throws {
    try await run(.end) { server, rewrite in
      let first = try await server.start("exec sleep 1000")
      let second = try await server.start("exec sleep 1000", token: "second-of-alice")
      let others = try await server.start("exec sleep 1000", token: TestServer.bob)
      let job = try server.server.jobs.job(first, of: "alice")
      try rewrite("second-of-alice alice\n\(TestServer.bob) bob\n")
      #expect(await job.process.waitForExit(upTo: nil)?.signalName == "SIGTERM")
      let list = try await server.get("processes", token: "second-of-alice").text
      #expect(!list.contains(first))
      #expect(list.contains(second))
      #expect(try await server.get("processes", token: TestServer.bob).text.contains(others))
    }
  }

  @Test("A token that stays in the file keeps its sessions, in whatever form it is written")
  func unchanged() async throws {
    try await run(.end) { server, rewrite in
      let id = try await server.start("exec cat")
      async let poll = server.output(id, "wait_ms=1000000")
      try await server.waits(1)
      let digest = SHA256Digest(of: TestServer.alice.utf8).bytes.map {
        String($0 >> 4, radix: 16) + String($0 & 15, radix: 16)
      }.joined()
      try rewrite("# new\nsha256:\(digest.uppercased()) alice\n")
      _ = try await server.write("x", to: id)
      #expect(try await poll.text == "x")
      // In another workspace it is another token.
      try rewrite("\(TestServer.alice) bob\n")
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
      #expect(try await server.get("processes/\(id)/output").status == 404)
    }
  }
}
