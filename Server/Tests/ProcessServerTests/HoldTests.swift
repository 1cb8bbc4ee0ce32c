import Testing

@testable import ProcessServer

/// A request that waits for a process keeps it from being idle.
@Suite(.timeLimit(.minutes(10))) struct HoldTests {
  @Test("A long poll outlasts the idle timeout, and so does its session")
  func polls() async throws {
    try await TestServer.run {
      $0.idleTimeout = .seconds(2)
    } _: { server in
      while true {
        let id = try await server.start("sleep 6; echo done; exec sleep 1000")
        let reply = try await server.get("processes/\(id)/output?since=0&wait_ms=60000")
        // On a busy machine it may have been idle before the poll came.
        if reply.status == 404 { continue }
        let output = try reply.decode(OutputReply.self)
        #expect(output.text == "done\n")
        #expect(output.session_alive)
        break
      }
    }
  }

  @Test("The tool shell outlasts the idle timeout")
  func shell() async throws {
    try await TestServer.run {
      $0.idleTimeout = .seconds(2)
    } _: { server in
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"shell","arguments":{"command":"sleep 6; echo done"}}"#)
      #expect(reply.text.contains(#""output":"done\n","exit_code":0"#))
    }
  }

  @Test("A stream of events outlasts the idle timeout, and its end does not end the process")
  func events() async throws {
    try await TestServer.run {
      $0.idleTimeout = .seconds(2)
    } _: { server in
      var status = 404
      while status == 404 {
        let id = try await server.start("sleep 6; echo done; exec sleep 1000")
        status = try await Wire.connect(port: server.port) { wire in
          try await wire.request("GET", "/api/sdk/processes/\(id)/events", token: TestServer.alice)
          let head = try #require(try await wire.head())
          guard head.status == 200 else { return head.status }
          var text = ""
          while !text.contains("event: chunk") {
            text += String(decoding: try #require(try await wire.part()), as: UTF8.self)
          }
          #expect(!text.contains("event: exit"))
          return 200
        }
      }
      // Nobody follows it any more: it is ended.
      while try await server.metric("sessions") > 0 {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  @Test("A command with keep_alive is not ended when it is silent")
  func keptAlive() async throws {
    try await TestServer.run {
      $0.idleTimeout = .seconds(1)
    } _: { server in
      let kept = try await server.start("exec sleep 1000", #","keep_alive":true"#)
      let other = try await server.start("exec sleep 1000")
      while try await server.get("processes").text.contains(other) {
        try await Task.sleep(for: .milliseconds(5))
      }
      try await Task.sleep(for: .seconds(3))
      let list = try await server.get("processes").text
      #expect(list.contains(kept))
      #expect(list.contains(#""keep_alive":true"#))
    }
  }

  @Test("A wait from before the first chunk takes no more memory than one from after it")
  func waitingFromTheStart() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sleep 1000")
      let before = residentMiB()
      for position in ["-1", "0", "-9223372036854775808", "-1.5", "-1.-1"] {
        let start = ContinuousClock.now
        let output = try await server.output(id, "since=\(position)&wait_ms=700")
        #expect(output.chunks.isEmpty, "\(position)")
        #expect(output.session_alive, "\(position)")
        #expect(.now - start >= .milliseconds(600), "\(position)")
      }
      for query in ["since=-1", "since=-5"] {
        try await Wire.connect(port: server.port) { wire in
          try await wire.request(
            "GET", "/api/sdk/processes/\(id)/events?\(query)", token: TestServer.alice)
          _ = try await wire.head()
          #expect(
            try await wire.part().map { String(decoding: $0, as: UTF8.self) } == "retry: 1000\n\n")
          try await Task.sleep(for: .milliseconds(700))
        }
      }
      #expect(residentMiB() - before < 200)
    }
  }

  private func residentMiB() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? "0 0"
    return (Int(text.split(separator: " ")[1]) ?? 0) * 4096 >> 20
  }
}
