import Foundation
import Processes
import Testing

@testable import ProcessServer

/// Arguments of `exec_command` about the streams and the end of a command.
@Suite(.timeLimit(.minutes(10))) struct ExecArgumentTests {
  @Test("With merge_stderr both streams are stdout, in the order in which they were written")
  func merged() async throws {
    try await TestServer.run { server in
      let line = "for i in 1 2 3; do echo out $i; echo err $i >&2; done"
      let id = try await server.start(line, #","merge_stderr":true"#)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n")
      #expect(output.chunks.allSatisfy { $0.stream == "stdout" })
    }
  }

  @Test("timeout_signal is what a command gets when its time is up", arguments: [#""hup""#, "1"])
  func timeoutSignal(signal: String) async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "exec sleep 1000", #","timeout_ms":50,"timeout_signal":\#(signal)"#)
      #expect(try await server.output(id) { $0.closed }.signal == "SIGHUP")
    }
  }

  @Test("grace_ms is the time from the first signal to SIGKILL when the time is up")
  func timeoutGrace() async throws {
    try await TestServer.run {
      $0.limits.grace = .seconds(1000)
    } _: { server in
      // A signal that ends nothing.
      let id = try await server.start(
        "exec sleep 1000", #","timeout_ms":50,"timeout_signal":"WINCH","grace_ms":20"#)
      #expect(try await server.output(id) { $0.closed }.signal == "SIGKILL")
    }
  }

  /// A command that ignores `SIGTERM`, and runs.
  private func stubborn(in server: TestServer, _ more: String = "") async throws -> String {
    let id = try await server.start(
      "trap '' TERM; echo ready; while :; do sleep 1; done", more)
    _ = try await server.output(id) { $0.text == "ready\n" }
    return id
  }

  @Test("terminate takes the grace of the start, or its own")
  func terminationGrace() async throws {
    try await TestServer.run {
      $0.limits.grace = .seconds(1000)
    } _: { server in
      let short = try await stubborn(in: server, #","grace_ms":20"#)
      #expect(try await server.post("processes/\(short)/terminate").status == 200)
      #expect(try await server.output(short) { $0.closed }.signal == "SIGKILL")
      let other = try await stubborn(in: server)
      try await server.post("processes/\(other)/terminate", #"{"grace_ms":0}"#)
      #expect(try await server.output(other) { $0.closed }.signal == "SIGKILL")
    }
  }

  @Test("A grace of its own does not delay the end of a command that is deleted")
  func deletedWithLongGrace() async throws {
    try await TestServer.run {
      $0.limits.grace = .milliseconds(20)
    } _: { server in
      let id = try await stubborn(in: server, #","grace_ms":1099511627776"#)
      let session = try server.session(id)
      try await server.post("processes/\(id)/terminate")
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      while !session.isClosed { try await Task.sleep(for: .milliseconds(5)) }
      #expect(session.exitCode == 137)
    }
  }

  @Test(
    "A value that such an argument does not take is refused, by its name",
    arguments: [
      (#""timeout_signal":"INT""#, "timeout_signal says more about timeout_ms, which is missing"),
      (#""timeout_ms":1,"timeout_signal":"NONE""#, "timeout_signal must be a signal's name"),
      (#""timeout_ms":1,"timeout_signal":0"#, "timeout_signal is 0: must be from 1 to 64"),
      (#""grace_ms":-1"#, "grace_ms is -1: must be from 0 to 1099511627776"),
      (#""merge_stderr":1"#, "merge_stderr is not true or false"),
      (#""lossless_ms":0"#, "lossless_ms is 0: must be from 1 to 600000"),
      (#""lossless_ms":600001"#, "lossless_ms is 600001: must be from 1 to 600000"),
    ])
  func refused(argument: String, problem: String) async throws {
    try await TestServer.run { server in
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"exec_command","arguments":{"command":"true",\#(argument)}}"#)
      #expect(reply.status == 400)
      #expect(reply.code == "bad_request")
      #expect(reply.text.contains("arguments.\(problem)"), "\(reply.text)")
    }
  }
}
