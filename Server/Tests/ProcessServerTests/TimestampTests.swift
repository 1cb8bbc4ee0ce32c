import Foundation
import Testing

@testable import ProcessServer

/// When chunks came, of a session that is told to keep that.
@Suite(.timeLimit(.minutes(10))) struct TimestampTests {
  /// The time in milliseconds since 1970.
  private func now() -> Int { Int(Date().timeIntervalSince1970 * 1_000) }

  @Test("Each chunk says when it came, to the resolution of a coarse clock")
  func chunks() async throws {
    try await TestServer.run { server in
      let before = now()
      let id = try await server.start("exec sh", #","timestamps":true"#)
      try await server.perform("printf one", writing: 3, in: id)
      try await server.perform("printf two", writing: 3, in: id)
      let after = now()
      let output = try await server.output(id)
      let times = output.chunks.compactMap(\.time_ms)
      #expect(times.count == 2)
      let start = try #require(output.start_ms)
      #expect(before - 20...after + 20 ~= start)
      #expect(start <= times[0])
      let raw = try await server.get("processes/\(id)/output?format=raw")
      #expect(raw.headers["processd-start-ms"] == "\(start)")
      #expect(times == times.sorted())
      #expect(try #require(times.first) >= before - 20)
      #expect(try #require(times.last) <= after + 20)
    }
  }

  @Test("Events say when their chunks came")
  func events() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo hello", #","timestamps":true"#)
      let events = try await server.get("processes/\(id)/events?since=0").text
      #expect(events.contains(#""offset":0,"time_ms":1"#))
    }
  }

  @Test("Without timestamps a chunk has no time", arguments: ["", #","timestamps":false"#])
  func none(_ argument: String) async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sh", argument)
      try await server.perform("printf one", writing: 3, in: id)
      let chunks = try await server.output(id).chunks
      #expect(chunks.map(\.time_ms) == [nil])
      #expect(try await server.output(id).start_ms == nil)
    }
  }
}
