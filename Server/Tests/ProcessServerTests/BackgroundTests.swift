import Foundation
import Testing

@testable import ProcessServer

/// What commands leave in the background.
@Suite(.timeLimit(.minutes(10))) struct BackgroundTests {
  private func isAlive(_ pid: Int32) -> Bool {
    guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else {
      return false
    }
    return !status.contains(") Z ")
  }

  private func until(_ isSo: () async throws -> Bool) async throws {
    while try await !isSo() { try await Task.sleep(for: .milliseconds(5)) }
  }

  /// Starts a command that leaves a process behind which ignores SIGTERM, if told, and holds no
  /// output open.
  private func startBackground(
    _ server: TestServer, isStubborn: Bool = false
  ) async throws -> (id: String, pid: Int32) {
    let trap = isStubborn ? "trap '' TERM; " : ""
    let id = try await server.start(
      "(\(trap)exec >&- 2>&-; while :; do sleep 1; done) & echo $!")
    let output = try await server.output(id) { $0.closed }
    let pid = try #require(Int32(output.text.dropLast()))
    #expect(isAlive(pid))
    return (id, pid)
  }

  @Test("A background process counts as running, and ends when its session is deleted")
  func deleting() async throws {
    try await TestServer.run {
      $0.sessionsPerWorkspace = 1
    } _: { server in
      let (id, pid) = try await startBackground(server)
      #expect(try await server.metric("sessions_running") == 1)
      #expect(try await server.get("processes").text.contains(#""lingering":true"#))
      let call = #"{"tool":"exec_command","arguments":{"command":"true"}}"#
      #expect(try await server.post("envs/local/tool/call", call).status == 429)
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      try await until { !isAlive(pid) }
      try await until { try await server.metric("sessions_running") == 0 }
      #expect(try await server.post("envs/local/tool/call", call).status == 200)
    }
  }

  @Test("Terminating a session ends its background processes")
  func terminating() async throws {
    try await TestServer.run { server in
      let (id, pid) = try await startBackground(server)
      #expect(try await server.post("processes/\(id)/terminate").status == 200)
      try await until { !isAlive(pid) }
      try await until { try await server.get("processes").text.contains(#""lingering":false"#) }
    }
  }

  @Test("A deleted process counts as running until it is gone")
  func departing() async throws {
    try await TestServer.run {
      $0.sessionsPerWorkspace = 1
      $0.limits.grace = .seconds(3_600)
    } _: { server in
      let id = try await server.start(
        "trap '' TERM; echo $$; while :; do sleep 1; done")
      let output = try await server.output(id) { !$0.chunks.isEmpty }
      let pid = try #require(Int32(output.text.dropLast()))
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
      #expect(try await server.metric("sessions_running") == 1)
      let call = #"{"tool":"exec_command","arguments":{"command":"true"}}"#
      #expect(try await server.post("envs/local/tool/call", call).status == 429)
      #expect(kill(pid, SIGKILL) == 0)
      try await until {
        try await server.post("envs/local/tool/call", call).status == 200
      }
    }
  }

  @Test("A shutdown ends the background processes")
  func shuttingDown() async throws {
    try await TestServer.run { server in
      let (_, pid) = try await startBackground(server, isStubborn: true)
      await server.shutDown()
      try await until { !isAlive(pid) }
    }
  }

  @Test("A session receives late output until its pipes close")
  func lateOutput() async throws {
    try await TestServer.run { server in
      let id = try await server.start("(sleep 4; echo LATE) & echo hi")
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "hi\nLATE\n")
      #expect(try await server.get("processes/\(id)/output").text.contains(#""dropped_bytes":0"#))
    }
  }

  @Test("A client can limit the wait for late output, and learns how much was dropped")
  func limitedLinger() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "(while [ ! -e \"$GO\" ]; do sleep 0.02; done; echo LATE; echo >&2; exec sleep 1000) & echo hi",
        #","linger_ms":300,"env":{"GO":"\#(server.go)"}"#)
      defer { try? FileManager.default.removeItem(atPath: server.go) }
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "hi\n")
      #expect(FileManager.default.createFile(atPath: server.go, contents: nil))
      try await until {
        try await server.get("processes/\(id)/output").text.contains(#""dropped_bytes":6"#)
      }
      #expect(try await server.get("processes/\(id)/events").text.contains(#""dropped_bytes":6"#))
      #expect(try await server.get("processes").text.contains(#""dropped_bytes":6"#))
    }
  }

  @Test("The tool shell does not wait for background processes, and ends them only if asked")
  func shell() async throws {
    try await TestServer.run { server in
      func shell(_ more: String) async throws -> Reply {
        try await server.post(
          "envs/local/tool/call",
          #"{"tool":"shell","arguments":{"command":"sleep 1000 & echo $!"\#(more)}}"#)
      }
      func pid(_ reply: Reply) throws -> Int32 {
        try #require(Int32(reply.text.firstMatch(of: #/"output":"(\d+)/#)?.1 ?? ""))
      }
      let kept = try await shell("")
      #expect(kept.text.contains(#""exit_code":0,"#))
      #expect(isAlive(try pid(kept)))
      let id = try #require(kept.text.firstMatch(of: #/"session_id":"([0-9a-f]{32})"/#)?.1)
      #expect(try await server.get("processes").text.contains(id))
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      let keptPid = try pid(kept)
      try await until { !isAlive(keptPid) }
      let ended = try await shell(#","end_background":true"#)
      #expect(ended.text.contains(#""exit_code":0,"#))
      #expect(!ended.text.contains("session_id"))
      let endedPid = try pid(ended)
      try await until { !isAlive(endedPid) }
    }
  }
}
