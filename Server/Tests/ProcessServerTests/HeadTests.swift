import Foundation
import NIOCore
import Processes
import Testing

@testable import ProcessServer

/// The beginning of the output, which a session keeps if it is told to.
@Suite(.timeLimit(.minutes(10))) struct HeadTests {
  private static let flood = #"head -c 3145728 /dev/zero | tr '\0' a"#

  /// Starts a shell, and lets it write a head, a flood of which `lost` bytes are lost, and an end.
  private func start(_ server: TestServer) async throws -> (id: String, lost: Int) {
    let id = try await server.start("exec sh", #","head_bytes":10"#)
    try await server.perform("printf 'head '", writing: 5, in: id)
    try await server.perform("printf 'erré' >&2", writing: 5, in: id)
    try await server.perform(Self.flood, writing: 3 << 20, in: id)
    try await server.perform("printf end", writing: 3, in: id)
    return (id, try server.session(id).lostBytes)
  }

  @Test("A read from the start returns the head, the place and size of the gap, and the end")
  func readingAll() async throws {
    try await TestServer.run { server in
      let (id, lost) = try await start(server)
      let output = try await server.output(id, "since=0")
      #expect(output.chunks[0].text == "head ")
      #expect(output.chunks[1].text == "erré")
      #expect(output.gap_index == 2)
      #expect(output.chunks[2].offset == 10 + lost)
      #expect(output.missed_bytes == lost)
      #expect(output.missed_chunks == output.chunks[2].seq - 3)
      #expect(output.truncated)
      #expect(output.lost_bytes == lost)
      #expect(output.chunks.last?.text == "end")
    }
  }

  @Test("An answer has no place of a gap unless something was missed")
  func noGap() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sh", #","head_bytes":10"#)
      try await server.perform("printf head", writing: 4, in: id)
      try await server.perform("printf 'more than fits'", writing: 14, in: id)
      let whole = try await server.output(id)
      #expect(whole.text == "headmore than fits")
      #expect(whole.gap_index == nil)
      #expect(!whole.truncated)
      let (flooded, _) = try await start(server)
      let head = try await server.output(flooded, "max_bytes=10")
      #expect(head.text == "head erré")
      #expect(head.gap_index == nil)
      #expect(head.has_more)
      let rest = try await server.output(flooded, "since=\(head.cursor)")
      #expect(rest.gap_index == 0)
    }
  }

  @Test("A session without a head has its gap before the first chunk")
  func withoutAHead() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sh")
      try await server.perform(Self.flood, writing: 3 << 20, in: id)
      let output = try await server.output(id)
      #expect(output.gap_index == 0)
      #expect(output.missed_bytes == output.chunks[0].offset)
    }
  }

  @Test(
    "A client that resumes over a head accounts for every byte", arguments: [true, false], [1, 7])
  func resuming(withCursors: Bool, maxBytes: Int) async throws {
    try await TestServer.run { server in
      let (id, lost) = try await start(server)
      var position = "0"
      var received = 0
      var missed = 0
      while true {
        let output = try await server.output(id, "since=\(position)&max_bytes=\(maxBytes)")
        #expect(output.gap_index == (output.missed_chunks > 0 ? 0 : nil))
        missed += try #require(output.missed_bytes)
        #expect(output.chunks.first.map { $0.offset == received + missed } ?? true)
        received += output.chunks.map(\.data.count).reduce(0, +)
        position = withCursors ? output.cursor : "\(output.next_since)"
        if !output.has_more { break }
      }
      #expect(missed == lost)
      let total = try server.session(id).totalBytes
      #expect(received + missed == total)
    }
  }

  @Test("A stream of events has the gap between the head and what follows")
  func events() async throws {
    try await TestServer.run { server in
      let (id, lost) = try await start(server)
      try await server.post("processes/\(id)/terminate")
      let text = try await server.get("processes/\(id)/events?since=0").text
      let names = text.matches(of: #/event: (.*)\n/#).map { String($0.1) }
      #expect(names.prefix(4) == ["chunk", "chunk", "gap", "chunk"])
      #expect(names.count { $0 == "gap" } == 1)
      #expect(text.contains(#""missed_bytes":\#(lost),"#))
      // A client that was cut off within the head goes on there.
      let rest = try await server.request(
        "GET", "/api/sdk/processes/\(id)/events", headers: ["Last-Event-ID: 1"])
      let later = rest.text.matches(of: #/event: (.*)\n/#).map { String($0.1) }
      #expect(later.prefix(3) == ["chunk", "gap", "chunk"])
      #expect(rest.text.contains(#""missed_bytes":\#(lost),"#))
    }
  }

  @Test("Text says where its gap is, and joins no character across it; plain text joins no line")
  func formats() async throws {
    try await TestServer.run { server in
      let id = try await server.start("exec sh", #","head_bytes":6"#)
      // The head ends within a line with the first byte of an é, and the rest has all the others.
      try await server.perform(#"printf 'a\bb\nc\303'"#, writing: 6, in: id)
      try await server.perform(
        #"head -c 3145728 /dev/zero | tr '\0' '\251'"#, writing: 3 << 20, in: id)
      func get(_ query: String) async throws -> Reply {
        try await server.get("processes/\(id)/output?\(query)")
      }
      let raw = try await get("format=raw")
      #expect(raw.body.prefix(7) == [0x61, 0x08, 0x62, 0x0a, 0x63, 0xc3, 0xa9])
      #expect(raw.headers["processd-gap-at"] == "6")
      #expect(raw.headers["processd-offset"] == "0")
      #expect(raw.headers["processd-missed-bytes"] == "\(try server.session(id).lostBytes)")
      let text = try await get("format=text")
      #expect(text.text.hasPrefix("a\u{8}b\nc\u{fffd}\u{fffd}\u{fffd}"))
      #expect(text.headers["processd-gap-at"] == "8")
      let plain = try await get("format=text&plain=1")
      #expect(plain.text.hasPrefix("b\nc?\n??"))
      #expect(plain.headers["processd-gap-at"] == "5")
      let head = try await get("format=text&max_bytes=6")
      #expect(head.headers["processd-gap-at"] == nil)
    }
  }

  @Test("A tail that begins in what is lost begins behind it, and one in the head begins there")
  func tails() async throws {
    try await TestServer.run { server in
      let (id, lost) = try await start(server)
      let retained = try await server.output(id, "tail_bytes=1500000")
      #expect(retained.missed_bytes == 0)
      #expect(retained.gap_index == nil)
      #expect(retained.chunks[0].offset == 10 + lost)
      let total = try server.session(id).totalBytes
      let all = try await server.output(id, "tail_bytes=\(total - 6)")
      #expect(all.chunks[0].text == "erré")
      #expect(all.gap_index == 1)
      #expect(all.missed_bytes == lost)
      #expect(try await server.output(id, "tail_bytes=\(Int.max)").chunks[0].text == "head ")
      #expect(try await server.output(id, "tail_bytes=3").text == "end")
    }
  }

  @Test("A command's output fills the head to its last byte, and the list has its size")
  func ofACommand() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "echo first; head -c 5000000 /dev/zero; echo last", #","head_bytes":1000"#)
      let output = try await server.output(id) { $0.closed }
      let gap = try #require(output.gap_index)
      #expect(output.chunks[..<gap].map(\.data.count).reduce(0, +) == 1000)
      #expect(output.chunks[0].text.hasPrefix("first\n"))
      #expect(output.chunks.last?.text.hasSuffix("last\n") == true)
      #expect(try await server.get("processes").text.contains(#""head_bytes":1000,"#))
      let received = output.chunks.map(\.data.count).reduce(0, +)
      #expect(received + (output.missed_bytes ?? 0) == 5_000_011)
      let other = try await server.start("true", #","head_bytes":null"#)
      #expect(try server.session(other).headCapacity == 0)
      let largest = try await server.start("true", #","head_bytes":1048576"#)
      #expect(try server.session(largest).headCapacity == 1 << 20)
    }
  }

  /// Whether a session that a command has flooded is still known when another one starts.
  private func isKept(_ server: TestServer, _ more: String) async throws -> Bool {
    let id = try await server.start("head -c 4000000 /dev/zero", more)
    _ = try await server.output(id) { $0.closed }
    let job = try server.server.jobs.job(id, of: "alice")
    while job.isActive { try await Task.sleep(for: .milliseconds(5)) }
    // What is retained is looked at when the next one starts.
    _ = try await server.start("true")
    defer { server.server.jobs.delete(job) }
    return try await server.get("processes/\(id)/output?max_bytes=1").status == 200
  }

  @Test("What a workspace's ended sessions retain counts with their heads")
  func retention() async throws {
    try await TestServer.run {
      $0.retainedBytesPerWorkspace = 3 << 19
    } _: { server in
      let isKeptWithout = try await isKept(server, "")
      let isKeptWithOne = try await isKept(server, #","head_bytes":1048576"#)
      #expect(isKeptWithout)
      #expect(!isKeptWithOne)
    }
  }

  @Test("The tool shell returns the head, and where in each stream the gap is")
  func shell() async throws {
    struct Result: Decodable {
      struct Content: Decodable { var text: String }
      struct Gap: Decodable { var missed_bytes, output_at, stdout_at, stderr_at: Int }
      struct Structured: Decodable {
        var output, stdout, stderr: String
        var lost_bytes: Int
        var gap: Gap?
      }
      var content: [Content]
      var structuredContent: Structured
    }
    try await TestServer.run { server in
      let command =
        "echo oh >&2; sleep 0.2; printf 1234; sleep 0.2; head -c 4000000 /dev/zero | tr '\\\\0' x"
      let reply = try await server.post(
        "envs/local/tool/call",
        #"{"tool":"shell","arguments":{"command":"\#(command)","head_bytes":7}}"#)
      let result = try reply.decode(Result.self)
      let gap = try #require(result.structuredContent.gap)
      #expect(result.structuredContent.output.hasPrefix("oh\n1234xxx"))
      #expect(gap.missed_bytes == result.structuredContent.lost_bytes)
      #expect(gap.output_at == 7)
      #expect(gap.stdout_at == 4)
      #expect(gap.stderr_at == 3)
      let missed = "oh\n1234\n[\(gap.missed_bytes) bytes are missing here]\nxxx"
      #expect(result.content[0].text.hasPrefix(missed))
      #expect(result.structuredContent.stdout.utf8.count + gap.missed_bytes == 4_000_004)
    }
  }
}
