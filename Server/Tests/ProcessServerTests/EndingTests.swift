import Foundation
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// How a process ended, as polls, events, the list and `shell` tell it.
@Suite(.timeLimit(.minutes(10))) struct EndingTests {
  private struct Usage: Decodable {
    var user_seconds: Double
    var system_seconds: Double
    var max_rss_bytes: Int
  }

  /// What answers and events have in common.
  private struct Ending: Decodable {
    var oom_killed: Bool?
    var rusage: Usage?
    var forgotten: Bool?
    var foreign_cursor: Bool?
    var cursor_ahead: Bool?
  }

  /// The data of the events of a stream, by their names.
  private func events(
    _ server: TestServer, _ id: String, _ query: String = ""
  ) async throws -> [(name: String, data: String)] {
    let text = try await server.get("processes/\(id)/events\(query)").text
    return text.matches(of: #/event: (.*)\ndata: (.*)\n/#).map { (String($0.1), String($0.2)) }
  }

  private func decode(_ text: String) throws -> Ending {
    try JSONDecoder().decode(Ending.self, from: Data(text.utf8))
  }

  @Test("The resource usage of a process is reported with its exit, and not before")
  func usage() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "read x; dd if=/dev/zero of=/dev/null bs=200M count=1 2>/dev/null; exit 3")
      let running = try await server.get("processes/\(id)/output")
      #expect(try running.decode(Ending.self).rusage == nil)
      _ = try await server.write("go\n", to: id)
      _ = try await server.output(id) { $0.closed }
      let polled = try await server.get("processes/\(id)/output").decode(Ending.self)
      let usage = try #require(polled.rusage)
      #expect(usage.max_rss_bytes >= 200 << 20)
      #expect(usage.max_rss_bytes < 4 << 30)
      #expect(usage.user_seconds + usage.system_seconds > 0.001)
      #expect(usage.user_seconds >= 0)
      #expect(usage.system_seconds >= 0)

      let told = try await events(server, id)
      let exit = try decode(try #require(told.first { $0.name == "exit" }).data)
      #expect(exit.rusage?.max_rss_bytes == usage.max_rss_bytes)
      #expect(exit.rusage?.user_seconds == usage.user_seconds)

      struct List: Decodable { var processes: [Ending] }
      let list = try await server.get("processes").decode(List.self)
      #expect(list.processes.first?.rusage?.max_rss_bytes == usage.max_rss_bytes)

      let raw = try await server.get("processes/\(id)/output?format=raw")
      #expect(raw.headers["processd-max-rss-bytes"] == "\(usage.max_rss_bytes)")
      #expect(raw.headers["processd-user-seconds"].flatMap(Double.init) == usage.user_seconds)
      #expect(raw.headers["processd-timed-out"] == "false")
      #expect(raw.headers["processd-oom-killed"] == nil)
    }
  }

  @Test("Without control groups the reason of a SIGKILL is reported as unknown")
  func unknownReason() async throws {
    try await TestServer.run { server in
      let id = try await server.start("kill -9 $$")
      _ = try await server.output(id) { $0.closed }
      let text = try await server.get("processes/\(id)/output").text
      #expect(text.contains(#""signal":"SIGKILL""#))
      #expect(text.contains(#""oom_killed":null"#))
    }
  }

  @Test("Polls and events report a cursor that is foreign or ahead")
  func foreignCursors() async throws {
    try await TestServer.run { server in
      let other = try await server.start("echo other")
      let foreign = try await server.output(other) { $0.closed }.cursor
      let id = try await server.start("echo mine")
      let own = try await server.output(id) { $0.closed }.cursor

      for (since, isForeign, isAhead) in [(foreign, true, false), ("99", false, true)] {
        let answer = try await server.get("processes/\(id)/output?since=\(since)")
        let ending = try answer.decode(Ending.self)
        #expect(ending.foreign_cursor == isForeign)
        #expect(ending.cursor_ahead == isAhead)
        let text = try answer.decode(OutputReply.self).text
        #expect(text == (isForeign ? "mine\n" : ""))

        let told = try await events(server, id, "?since=\(since)")
        #expect(told.first?.name == "reset")
        let reset = try decode(told.first?.data ?? "")
        #expect(reset.foreign_cursor == isForeign)
        #expect(reset.cursor_ahead == isAhead)
        #expect(told.dropFirst().map(\.name) == (isForeign ? ["chunk"] : []) + ["exit", "end"])
      }
      let plain = try await server.get("processes/\(id)/output?since=\(own)").decode(Ending.self)
      #expect(plain.foreign_cursor == false)
      #expect(plain.cursor_ahead == false)
      #expect(try await events(server, id).map(\.name) == ["chunk", "exit", "end"])
    }
  }

  @Test("Deleting a session tells its waiting clients that it is forgotten")
  func forgotten() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sleep 1000")
      #expect(try await server.get("processes/\(id)/output").decode(Ending.self).forgotten == false)
      async let poll = server.get("processes/\(id)/output?wait_ms=60000")
      async let stream = events(server, id)
      try await server.waits(2)
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      #expect(try await poll.decode(Ending.self).forgotten == true)
      let told = try await stream
      #expect(told.map(\.name) == ["exit", "end"])
      #expect(try decode(told.last?.data ?? "").forgotten == true)
      #expect(try await server.get("processes/\(id)/output").status == 404)
    }
  }

  // MARK: Limits on memory and processes

  /// Why commands can have no such limits here; nil if they can.
  private static func obstacle() async -> String? {
    var command = Command("true")
    command.memoryLimit = 64 << 20
    command.processLimit = 10
    do throws(LaunchError) {
      let process = try await CommandHost(cgroups: .ifAvailable).launch(
        command, into: Session(id: "probe", workspaceID: "tests"))
      _ = try? await process.waitUntilClosed()
      return nil
    } catch {
      return error.description
    }
  }

  @Test("A command above its memory or process limit is stopped, and its output says so")
  func limits() async throws {
    if let obstacle = await Self.obstacle() { try Test.cancel("\(obstacle)") }
    try await TestServer.run {
      $0.controlGroups = ControlGroups(.ifAvailable)
    } _: { server in
      let hungry = try await server.start(
        "dd if=/dev/zero of=/dev/null bs=512M count=1", #","max_memory_bytes":33554432"#)
      let output = try await server.output(hungry) { $0.closed }
      #expect(output.signal == "SIGKILL")
      #expect(
        try await server.get("processes/\(hungry)/output").decode(Ending.self).oom_killed == true)
      let told = try await events(server, hungry)
      let exit = try decode(try #require(told.first { $0.name == "exit" }).data)
      #expect(exit.oom_killed == true)

      let modest = try await server.start("kill -9 $$", #","max_memory_bytes":268435456"#)
      _ = try await server.output(modest) { $0.closed }
      #expect(
        try await server.get("processes/\(modest)/output").decode(Ending.self).oom_killed == false)

      let many = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"shell","arguments":{"max_processes":2,"end_background":true,"#
          + #""command":"sleep 1000 & sleep 1000 & sleep 1000 & echo all"}}"#
      )
      #expect(many.text.contains(#""exit_code":2"#))
      #expect(!many.text.contains("all"))
      #expect(many.text.contains(#""oom_killed":false"#))
    }
  }

  @Test("Without usable control groups limits are refused, and other commands run")
  func noControllers() async throws {
    if await Self.obstacle() == nil { try Test.cancel("they can be divided here") }
    try await TestServer.run {
      $0.controlGroups = ControlGroups(.ifAvailable)
    } _: { server in
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"exec_command","arguments":{"command":"true","max_processes":10}}"#)
      #expect(reply.status == 400)
      #expect(reply.code == "limits_unavailable")
      let id = try await server.start("echo ok")
      #expect(try await server.output(id) { $0.closed }.text == "ok\n")
    }
  }
}
