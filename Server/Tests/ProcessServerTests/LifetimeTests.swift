import Foundation
import Testing

@testable import ProcessServer

/// How long sessions live, and how the server ends.
@Suite(.timeLimit(.minutes(10))) struct LifetimeTests {
  @Test("An ended session stays readable until it is idle for too long")
  func endedSessionsStayUntilTheyAreIdle() async throws {
    try await TestServer.run {
      $0.idleTimeout = .seconds(3)
    } _: { server in
      var id = ""
      var isKnown = false
      while !isKnown {
        id = try await server.start("echo x; exit 3")
        // On a busy machine it may have been idle for as long before this comes.
        let closed = try? await server.output(id) { $0.closed }
        #expect(closed.map { $0.text == "x\n" && $0.exit_code == 3 } ?? true)
        isKnown = closed != nil
      }
      // However often it is read.
      while true {
        let reply = try await server.get("processes/\(id)/output")
        if reply.status == 404 {
          #expect(reply.code == "session_not_found")
          break
        }
        #expect(try reply.decode(OutputReply.self).exit_code == 3)
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
      #expect(server.log.text.contains("idle for too long"))
    }
  }

  /// A request about a process that runs counts as activity; one about an ended one does not.
  @Test("A request counts as activity of a running process, and not of an ended one")
  func whoAsksKeepsAProcessFromBeingIdle() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec cat")
      let process = try server.server.jobs.job(id, of: "alice").process
      for (method, path, body) in [
        ("GET", "output", nil), ("POST", "stdin", #"{"data_b64":""}"#),
        ("POST", "signal", #"{"signal":"SIGCONT"}"#),
      ] {
        let before = process.lastActivity
        // Longer than a tick of the clock that activity is measured with.
        try await Task.sleep(for: .milliseconds(20))
        try await server.request(method, "/api/sdk/processes/\(id)/\(path)", body: body)
        #expect(process.lastActivity > before, "\(path)")
      }
      try await server.post("processes/\(id)/terminate")
      _ = try await server.output(id) { $0.closed }
      let before = process.lastActivity
      _ = try await server.output(id)
      _ = try await server.get("processes")
      #expect(process.lastActivity == before)
    }
  }

  /// A process that says nothing and that nobody asks about is ended.
  @Test("The server ends a process that is silent and that no client asks about")
  func whoIsForgottenIsEnded() async throws {
    try await TestServer.run {
      $0.idleTimeout = .milliseconds(50)
    } _: { server in
      let id = try await server.start("exec sleep 1000")
      while try await server.get("processes").text.contains(id) {
        try await Task.sleep(for: .milliseconds(5))
      }
      while try await server.metric("sessions_gone_total") < 1 {
        try await Task.sleep(for: .milliseconds(5))
      }
      #expect(try await server.get("processes/\(id)/output").status == 404)
    }
  }

  @Test("Deleting a session ends its process and the waits for it")
  func deletingEndsTheProcess() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("exec sleep 1000")
      async let waiting = server.output(id, "wait_ms=1000000")
      try await server.waits(1)
      #expect(try await server.request("DELETE", "/api/sdk/processes/\(id)").status == 200)
      #expect(try await server.get("processes/\(id)/output").status == 404)
      #expect(try await server.request("DELETE", "/api/sdk/processes/\(id)").status == 404)
      // The waiting client is told of the end.
      #expect(try await waiting.signal == "SIGTERM")
    }
  }

  /// The end: waiting clients are answered, processes ended, new clients refused.
  @Test("A shutdown ends the processes and answers the waiting clients")
  func shuttingDown() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("echo ready; exec sleep 1000")
      let stubborn = try await server.start(
        "trap '' TERM; echo ready; while :; do sleep 1; done")
      for id in [id, stubborn] { _ = try await server.output(id) { !$0.chunks.isEmpty } }
      async let first = server.output(id, "since=1&wait_ms=1000000")
      async let second = server.output(stubborn, "since=1&wait_ms=1000000")
      let events = Task {
        try await server.get("processes/\(id)/events").text
      }
      try await server.waits(3)
      await server.shutDown()
      #expect(try await first.signal == "SIGTERM")
      #expect(try await second.signal == "SIGKILL")
      let text = try await events.value
      #expect(text.contains("event: exit"))
      #expect(text.contains("event: end"))
    }
  }

  /// Clients that take no answer, or are in the middle of a request, do not hold up the end.
  @Test("A shutdown does not wait for clients that neither read nor finish their requests")
  func shuttingDownWithoutThem() async throws {
    try await TestServer.run {
      $0.limits.stallTime = .seconds(1000)
      $0.limits.requestTime = .seconds(1000)
      $0.limits.idleTime = .seconds(1000)
      $0.limits.farewell = .milliseconds(100)
    } _: { server in
      let id = try await server.start("head -c 1000000 /dev/zero; exit 0")
      _ = try await server.output(id) { $0.closed }
      try await Wire.connect(port: server.port, receiveBuffer: 4096) { reader in
        for _ in 0..<20 {
          try await reader.request(
            "GET", "/api/sdk/processes/\(id)/output", token: TestServer.alice)
        }
        try await Wire.connect(port: server.port) { writer in
          try await writer.request(
            "POST", "/api/sdk/envs/list", token: TestServer.alice,
            headers: ["Content-Length: 10"])
          while try await server.metric("connections") != 3 {
            try await Task.sleep(for: .milliseconds(5))
          }
          await server.shutDown()
          #expect(try await writer.isCutOff())
        }
      }
    }
  }

  @Test("The log contains no secrets, no input and no tokens")
  func logsTellNothing() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo $SECRET; cat", #","env":{"SECRET":"hush-hush"}"#)
      _ = try await server.write("whisper", to: id, eof: true)
      _ = try await server.output(id) { $0.closed }
      _ = try await server.get("processes", token: "a-wrong-token")
      _ = try await server.get("processes/\(id)/output?since=hush-hush")
      let log = server.log.text
      #expect(log.contains("started"))
      #expect(log.contains(id))
      for secret in [
        "hush-hush", "whisper", "SECRET", TestServer.alice, TestServer.bob, "a-wrong-token",
      ] {
        #expect(!log.contains(secret), "\(secret)")
      }
    }
  }
}
