import Foundation
import Processes
import Testing

@testable import ProcessHost
@testable import ProcessServer

/// Commands that wait for a client which must get all of their output. The tests look into the
/// server's own reader, which a held session has in its holder.
@Suite(.disabled(if: Holding.isOfAllTests), .timeLimit(.minutes(10))) struct LosslessTests {
  /// Starts a command that writes 3 MB, and returns when it waits for its reader.
  private func heldUp(in server: TestServer) async throws -> (id: String, reader: LosslessReader) {
    let id = try await server.start("exec head -c 3000000 /dev/zero", #","lossless_ms":600000"#)
    let process = try server.server.jobs.job(id, of: "alice").process as? OwnProcess
    let reader = try #require(process?.losslessReader)
    while !reader.gate.isShut { try await Task.sleep(for: .milliseconds(1)) }
    return (id, reader)
  }

  @Test("A command with lossless_ms waits for the reader that acknowledges, which misses nothing")
  func slowReader() async throws {
    try await TestServer.run { server in
      let (id, reader) = try await heldUp(in: server)
      let session = try server.session(id)
      #expect(session.lostBytes == 0)
      #expect(session.output().isAlive)
      var (total, cursor) = (0, "0")
      while true {
        let output = try await server.output(
          id, "since=\(cursor)&acknowledge=1&wait_ms=60000&max_bytes=100000")
        #expect(output.missed_chunks == 0)
        total += output.chunks.reduce(0) { $0 + $1.data.count }
        cursor = output.cursor
        if output.closed, !output.has_more { break }
      }
      #expect(total == 3_000_000)
      #expect(reader.isWaitedFor)
    }
  }

  @Test("An answer that was lost can be asked for again: it is not acknowledged yet")
  func lostAnswer() async throws {
    try await TestServer.run { server in
      let (id, reader) = try await heldUp(in: server)
      let first = try await server.output(id, "since=0&acknowledge=1&max_bytes=100000")
      let again = try await server.output(id, "since=0&acknowledge=1&max_bytes=100000")
      #expect(first.text == again.text)
      #expect(again.missed_bytes == 0)
      #expect(reader.gate.isShut)
    }
  }

  @Test("A reader that does not acknowledge neither lets the command go on nor holds it up")
  func otherReaders() async throws {
    try await TestServer.run { server in
      let (id, reader) = try await heldUp(in: server)
      let total = try server.session(id).totalBytes
      let cursor = try await server.output(id, "since=0").cursor
      _ = try await server.output(id, "since=\(cursor)")
      #expect(reader.gate.isShut)
      #expect(try server.session(id).totalBytes == total)
    }
  }

  @Test("A command waits no longer than lossless_ms for a sign of its reader")
  func vanishedReader() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec head -c 3000000 /dev/zero", #","lossless_ms":100"#)
      _ = try await server.output(id, "since=0&acknowledge=1")
      let output = try await server.output(id) { $0.closed }
      #expect(output.exit_code == 0)
      #expect(output.lost_bytes > 0)
    }
  }

  @Test("Acknowledging the same position again is a sign of the reader")
  func signOfLife() async throws {
    try await TestServer.run { server in
      let (id, reader) = try await heldUp(in: server)
      while reader.gate.stallStart == nil { try await Task.sleep(for: .milliseconds(1)) }
      let first = try #require(reader.gate.stallStart)
      _ = try await server.output(id, "since=0&acknowledge=1&max_bytes=1")
      #expect(try #require(reader.gate.stallStart) > first)
    }
  }

  @Test("A command whose session is deleted waits for no reader")
  func deletion() async throws {
    try await TestServer.run { server in
      let (id, reader) = try await heldUp(in: server)
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      #expect(!reader.isWaitedFor)
    }
  }

  @Test("What cannot be acknowledged is refused")
  func refusals() async throws {
    try await TestServer.run { server in
      let (id, _) = try await heldUp(in: server)
      let other = try await server.start("echo x")
      let foreign = try await server.output(other) { $0.closed }.cursor
      for query in ["", "&since=1", "&since=\(foreign)", "&since=99999.99999999", "&tail_bytes=1"] {
        let reply = try await server.get("processes/\(id)/output?acknowledge=1\(query)")
        #expect(reply.status == 400, "\(query)")
        #expect(reply.text.contains("acknowledge=1 takes a since that is 0, or the cursor"))
      }
      let reply = try await server.get("processes/\(other)/output?since=0&acknowledge=1")
      #expect(reply.status == 409)
      #expect(reply.code == "not_lossless")
    }
  }
}
