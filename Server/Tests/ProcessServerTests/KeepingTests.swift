import Foundation
import Synchronization
import Testing

@testable import ProcessServer

/// What is kept of sessions, connections and keys that are gone: nothing.
@Suite(.timeLimit(.minutes(10))) struct KeepingTests {
  private struct Weak {
    weak var job: Job?
  }

  /// Waits until something is so.
  private func eventually(_ condition: () -> Bool) async throws -> Bool {
    for _ in 0..<6_000 {
      if condition() { return true }
      try await Task.sleep(for: .milliseconds(10))
    }
    return false
  }

  @Test("The server keeps no entry of a session that is gone, however it went")
  func sessions() async throws {
    try await TestServer.run {
      $0.retainedBytesPerWorkspace = 4 * Job.leastRetainedBytes
    } _: { server in
      let jobs = server.server.jobs
      var seen: [Weak] = []
      for round in 0..<5 {
        for (command, more) in [
          ("echo \(round)", ""), ("exit 3", #","idempotency_key":"key \#(round)""#),
          ("exec sleep 1000", #","name":"name \#(round)","idempotency_key":"other \#(round)""#),
          ("exec sleep 1000", #","timeout_ms":9007199254740991,"linger_ms":1099511627776"#),
          ("sleep 1000 & exit 0", #","linger_ms":1099511627776"#),
          ("kill -9 $$", #","timeout_ms":3600000"#),
          ("exec sleep 1000", #","timeout_ms":10,"grace_ms":1099511627776"#),
          ("exec cat /dev/zero", #","lossless_ms":600000"#),
        ] {
          let id = try await server.start(command, more)
          seen.append(Weak(job: try jobs.job(id, of: "alice")))
          // Half of them are evicted by those that come later, or live to the end.
          if round % 2 == 0 { try await server.request("DELETE", "/api/sdk/processes/\(id)") }
        }
        for arguments in [
          #""command":"exit 3""#, #""command":"sleep 1000","timeout_ms":10"#,
          #""command":"sleep 1000 & exit 0","end_background":true"#, #""command":["/no/such"]"#,
          #""command":"true","max_processes":10"#,
        ] {
          try await server.post(
            "envs/local/tool/call", #"{"tool":"shell","arguments":{\#(arguments)}}"#)
        }
        try await server.post(
          "envs/local/tool/call",
          #"{"tool":"exec_command","arguments":{"command":["/no/such"],"name":"none"}}"#)
      }
      #expect(jobs.counts.jobs > 0)
      #expect(jobs.counts.labels > 0)
      for job in jobs.jobs(of: "alice") { jobs.delete(job) }
      #expect(try await eventually { jobs.counts == JobTable.Counts() }, "\(jobs.counts)")
      #expect(try await eventually { seen.allSatisfy { $0.job == nil } })
    }
  }

  @Test("The server keeps no entry of a connection that is gone, whatever it was doing")
  func connections() async throws {
    try await TestServer.run { server in
      let connections = server.server.connections
      let id = try await server.start("exec cat /dev/zero")
      for path in ["output?wait_ms=60000", "output?since=99999999&wait_ms=60000", "events"] {
        for _ in 0..<5 {
          try await Wire.connect(port: server.port, receiveBuffer: 4096) { wire in
            try await wire.request(
              "GET", "/api/sdk/processes/\(id)/\(path)", token: TestServer.alice)
          }
        }
      }
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/api/sdk/envs/list", token: TestServer.bob,
          headers: ["Content-Length: 1000000"])
        try await wire.send(String(repeating: " ", count: 100_000))
      }
      #expect(try await eventually { connections.entryCount == 0 }, "\(connections.entryCount)")
      #expect(connections.waitCount == 0)
    }
  }

  @Test("Reading the tokens again leaves no more grants than tokens")
  func grants() async throws {
    let path = NSTemporaryDirectory() + "processd-tokens-\(randomID())"
    defer { try? FileManager.default.removeItem(atPath: path) }
    func write(_ text: String) {
      let isWritten = FileManager.default.createFile(
        atPath: path, contents: Data(text.utf8), attributes: [.posixPermissions: 0o600])
      #expect(isWritten)
    }
    write("first one\nsecond two\n")
    let access = try Access(.file(path: path))
    weak var revoked: Grant?
    for round in 0..<10 {
      revoked = try access.grant(authorization: "Bearer first")
      #expect(revoked != nil)
      write("first one\(round)\nsecond two\n")
      #expect(try access.reload().count == 1)
      #expect(revoked == nil)
    }
  }
}
