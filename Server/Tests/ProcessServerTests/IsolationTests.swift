import Testing

@testable import ProcessServer

/// No workspace has anything to do with another's sessions.
@Suite(.timeLimit(.minutes(10))) struct IsolationTests {
  @Test("A workspace can neither see nor change another workspace's sessions")
  func othersSessionsAreForbidden() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      let routes = [
        ("DELETE", "processes/\(id)", ""), ("GET", "processes/\(id)/output", ""),
        ("GET", "processes/\(id)/events", ""),
        ("POST", "processes/\(id)/stdin", #"{"data_b64":"YQ==","eof":true}"#),
        ("POST", "processes/\(id)/terminate", "{}"),
        ("POST", "processes/\(id)/signal", #"{"signal":"SIGKILL"}"#),
        ("POST", "processes/\(id)/resize", #"{"rows":1,"cols":1}"#),
      ]
      for (method, path, body) in routes {
        let reply = try await server.request(
          method, "/api/sdk/" + path, token: TestServer.bob, body: body)
        #expect(reply.status == 403, "\(method) \(path)")
        #expect(reply.code == "forbidden", "\(method) \(path)")
      }
      #expect(try await server.get("processes", token: TestServer.bob).text == #"{"processes":[]}"#)
      // None of it had an effect.
      #expect(try await server.write("still here", to: id, eof: true).status == 200)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "still here")
      #expect(output.exit_code == 0)
      #expect(try await server.get("processes").text.contains(id))
    }
  }

  @Test("Each workspace has its own limit on sessions")
  func limitsAreEachWorkspacesOwn() async throws {
    try await TestServer.run {
      $0.sessionsPerWorkspace = 3
    } _: { server in
      for _ in 0..<3 { _ = try await server.start("cat") }
      let call = #"{"tool":"exec_command","arguments":{"command":"cat"}}"#
      let refused = try await server.post("envs/local/tool/call", call)
      #expect(refused.status == 429)
      #expect(refused.code == "session_limit")
      let shell = try await server.post(
        "envs/local/tool/call", #"{"tool":"shell","arguments":{"command":"true"}}"#)
      #expect(shell.status == 429)
      // Another one is not affected, and an end makes room.
      let other = try await server.start("cat", token: TestServer.bob)
      #expect(try await server.output(other, token: TestServer.bob).session_alive)
      let list = try await server.get("processes").text
      let first = try #require(
        list.split(separator: #""session_id":""#).dropFirst().first?.prefix(32))
      try await server.post("processes/\(first)/terminate")
      _ = try await server.output(String(first)) { !$0.session_alive }
      // It counts until nothing of it is left, which may take a moment longer.
      while try await server.post("envs/local/tool/call", call).status != 200 {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(try await server.post("envs/local/tool/call", call).status == 429)
    }
  }

  /// Requests that come all at once do not slip through together.
  @Test("Concurrent requests do not exceed the limit on sessions")
  func theLimitHoldsUnderARush() async throws {
    try await TestServer.run {
      $0.sessionsPerWorkspace = 5
    } _: { server in
      let call = #"{"tool":"exec_command","arguments":{"command":"cat"}}"#
      let replies = try await withThrowingTaskGroup(of: Int.self) { group in
        for _ in 0..<20 {
          group.addTask { try await server.post("envs/local/tool/call", call).status }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(replies.count { $0 == 200 } == 5)
      #expect(replies.count { $0 == 429 } == 15)
    }
  }

  @Test("A start evicts the oldest ended sessions of a workspace that retains too much")
  func endedSessionsAreEvicted() async throws {
    try await TestServer.run {
      $0.retainedBytesPerWorkspace = 700_000
    } _: { server in
      var ids: [String] = []
      for _ in 0..<3 {
        let id = try await server.start("head -c 300000 /dev/zero")
        _ = try await server.output(id) { $0.closed }
        ids.append(id)
      }
      let others = try await server.start("head -c 1000 /dev/zero", token: TestServer.bob)
      let running = try await server.start("cat")
      #expect(try await server.get("processes/\(ids[0])/output").status == 404)
      #expect(try await server.output(ids[1]).next_since > 0)
      #expect(try await server.output(ids[2]).next_since > 0)
      #expect(try await server.output(running).session_alive)
      #expect(try await server.output(others, token: TestServer.bob).exit_code != 1)
      #expect(server.log.text.contains("evicted"))
    }
  }

  @Test("Session ids are 128 random bits")
  func idsAreRandom() {
    let ids = Set((0..<10_000).map { _ in randomID() })
    #expect(ids.count == 10_000)
    #expect(ids.allSatisfy { $0.count == 32 && $0.allSatisfy(\.isHexDigit) })
    // Each of the 128 bits is set in about half of them: within eight standard deviations.
    for place in 0..<32 {
      for bit in 0..<4 {
        let set = ids.count { id in
          let digit = id[id.index(id.startIndex, offsetBy: place)].hexDigitValue ?? 0
          return digit >> bit & 1 == 1
        }
        #expect((4_600...5_400).contains(set))
      }
    }
  }
}
