import Foundation
import Testing

@testable import ProcessServer

/// Reading by polls. Where something is waited for, it is for a minute: a wait that is not ended by
/// what should end it runs into the suite's time limit, or gives another answer.
@Suite(.timeLimit(.minutes(10))) struct PollingTests {
  @Test("Output ends a wait")
  func outputEndsAWait() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("read x; echo got $x; cat")
      async let waiting = server.output(id, "since=0&wait_ms=1000000")
      try await server.waits(1)
      _ = try await server.write("this\n", to: id)
      let output = try await waiting
      #expect(output.text == "got this\n")
      #expect(output.session_alive)
    }
  }

  @Test("The exit of the process ends a wait")
  func exitEndsAWait() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("read x; exit 5")
      async let waiting = server.output(id, "wait_ms=1000000")
      try await server.waits(1)
      _ = try await server.write("\n", to: id)
      let output = try await waiting
      #expect(output.exit_code == 5)
      #expect(!output.session_alive)
      #expect(output.signal == nil)
    }
  }

  @Test("Terminating the process ends a wait")
  func terminateEndsAWait() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("exec sleep 1000")
      async let waiting = server.output(id, "wait_ms=1000000")
      try await server.waits(1)
      try await server.post("processes/\(id)/terminate")
      let output = try await waiting
      #expect(output.exit_code == 143)
      #expect(output.signal == "SIGTERM")
    }
  }

  /// A client that has been told of the exit, and waits for what other processes may still write,
  /// is not told again at once.
  @Test("A wait from a cursor that knows of the exit ends only with something new")
  func aCursorKnowsOfTheExit() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start(
        "(while [ ! -e \"$GO\" ]; do sleep 0.2; echo; done) & exit 6",
        #","env":{"GO":"\#(server.go)"}"#)
      defer { try? FileManager.default.removeItem(atPath: server.go) }
      var output = try await server.output(id) { !$0.session_alive }
      for round in 0... {
        let cursor = output.cursor
        output = try await server.output(id, "since=\(cursor)&wait_ms=1000000")
        #expect(output.exit_code == 6)
        if output.closed { break }
        // Not for the exit, but for something new.
        #expect(!output.chunks.isEmpty)
        if round == 2 {
          // A bare seq does not know of the exit, and need not wait.
          _ = try await server.output(id, "since=\(output.next_since)&wait_ms=1000000")
          #expect(FileManager.default.createFile(atPath: server.go, contents: nil))
        }
      }
    }
  }

  @Test("A wait ends when its time, or the server's limit on it, is up")
  func aWaitEndsByItself() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      let output = try await server.output(id, "wait_ms=50")
      #expect(output.chunks.isEmpty)
      #expect(output.session_alive)
    }
    // However long a client wants to wait, and however the server is limited.
    try await TestServer.run {
      $0.limits.waitTime = .milliseconds(50)
    } _: { server in
      let id = try await server.start("cat")
      #expect(try await server.output(id, "wait_ms=9223372036854775807").session_alive)
    }
  }

  @Test("A wait for a closed session ends at once")
  func nothingToWaitFor() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("echo a; exit 0")
      let output = try await server.output(id) { $0.closed }
      for position in ["0", "\(output.next_since)", output.cursor] {
        let again = try await server.output(id, "since=\(position)&wait_ms=1000000")
        #expect(again.closed)
        #expect(again.exit_code == 0)
      }
    }
  }

  /// A client that hangs up is not waited for: nothing of it is left although its wait would have
  /// had long to go.
  @Test("A client that hangs up ends its wait")
  func hangingUpEndsAWait() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("cat")
      for _ in 0..<10 {
        try await Wire.connect(port: server.port) { wire in
          try await wire.request(
            "GET", "/api/sdk/processes/\(id)/output?wait_ms=1000000", token: TestServer.alice)
          try await server.waits(1)
        }
      }
      // The one that asks is left.
      while try await server.metric("connections") > 1 {
        try await Task.sleep(for: .milliseconds(10))
      }
      #expect(try await server.output(id).session_alive)
    }
  }

  @Test("The same output ends the waits of 50 clients")
  func manyWaitAtOnce() async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start("read x; echo $x")
      let texts = try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<50 {
          group.addTask { try await server.output(id, "wait_ms=1000000").text }
        }
        try await server.waits(50)
        _ = try await server.write("all\n", to: id)
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(texts.count == 50)
      #expect(texts.allSatisfy { $0 == "all\n" })
    }
  }

  @Test("A poll with max_bytes returns at least one chunk, and tells whether there are more")
  func maxBytes() async throws {
    try await TestServer.run { server in
      let id = try await server.start("for i in 1 2 3 4; do printf 12345; sleep 0.05; done")
      let all = try await server.output(id) { $0.closed }
      let total = all.chunks.map(\.data.count).reduce(0, +)
      #expect(total == 20)
      #expect(!all.has_more)
      let first = try await server.output(id, "max_bytes=1")
      #expect(first.chunks.count == 1)
      #expect(first.has_more == (all.chunks.count > 1))
      #expect(first.next_since == 1)
      #expect(first.chunks.first?.text.hasPrefix("12345") == true)
    }
  }

  /// What a reader gets that resumes with each answer's position is what was written, each byte
  /// once, in order; over new connections, with positions of either kind, in pieces of any size.
  @Test(
    "A client that resumes from each answer receives every byte once and in order",
    arguments: [true, false])
  func resuming(withCursors: Bool) async throws {
    try await TestServer.run {
      $0.limits.waitTime = .seconds(1000)
    } _: { server in
      let id = try await server.start(
        "for i in $(seq 1 300); do echo line $i; [ $((i % 50)) = 0 ] && sleep 0.02; done")
      var position = "0"
      var bytes: [UInt8] = []
      var seqs: [Int] = []
      var limit = 1
      while true {
        let output = try await server.output(
          id, "since=\(position)&wait_ms=1000000&max_bytes=\(limit)")
        for chunk in output.chunks {
          #expect(chunk.offset == bytes.count)
          bytes += chunk.data
          seqs.append(chunk.seq)
        }
        #expect(output.missed_chunks == 0)
        #expect(output.missed_bytes == 0)
        #expect(!output.truncated)
        if output.closed && !output.has_more { break }
        position = withCursors ? output.cursor : "\(output.next_since)"
        limit = limit * 3 % 1000 + 1
      }
      let expected = (1...300).map { "line \($0)\n" }.joined()
      #expect(String(decoding: bytes, as: UTF8.self) == expected)
      #expect(seqs == Array(1...seqs.count))
    }
  }

  /// One connection serves many requests, also when they come before their answers.
  @Test("A connection answers pipelined requests in order")
  func pipelining() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo a; cat")
      _ = try await server.output(id) { !$0.chunks.isEmpty }
      try await Wire.connect(port: server.port) { wire in
        for since in 0..<20 {
          try await wire.request(
            "GET", "/api/sdk/processes/\(id)/output?since=\(since % 2)", token: TestServer.alice)
        }
        for since in 0..<20 {
          let output = try await wire.response().decode(OutputReply.self)
          #expect(output.chunks.count == 1 - since % 2)
        }
      }
    }
  }

  /// A reader that comes too late is told how much it missed: in chunks always, in bytes if it has
  /// a cursor.
  @Test("A late reader learns how many chunks and bytes it missed")
  func missedIsCounted() async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "echo first; read x; head -c 5000000 /dev/zero; echo last; exit 0")
      let first = try await server.output(id) { !$0.chunks.isEmpty }
      _ = try await server.write("\n", to: id)
      let closed = try await server.output(id) { $0.closed }
      #expect(closed.truncated)
      #expect(closed.lost_bytes > 3_000_000)
      let output = try await server.output(id, "since=\(first.cursor)")
      let received = output.chunks.map(\.data.count).reduce(0, +)
      let missed = try #require(output.missed_bytes)
      #expect(6 + missed + received == 5_000_011)
      #expect(output.missed_chunks == output.chunks[0].seq - 2)
      #expect(output.chunks[0].offset == 6 + missed)
      #expect(output.lost_bytes == 6 + missed)
      #expect(output.chunks.last?.text.hasSuffix("last\n") == true)
      // One that is up to date has missed nothing, whatever was lost.
      let now = try await server.output(id, "since=\(output.cursor)")
      #expect(!now.truncated)
      #expect(now.missed_chunks == 0)
      #expect(now.lost_bytes == 6 + missed)
    }
  }

  @Test("Output of any bytes arrives unchanged in length and value")
  func anyBytes() async throws {
    try await TestServer.run { server in
      let id = try await server.start("head -c 200000 /dev/urandom")
      let output = try await server.output(id) { $0.closed }
      #expect(output.chunks.map(\.data.count).reduce(0, +) == 200_000)
      #expect(Set(output.chunks.flatMap(\.data)).count == 256)
    }
  }

  @Test("The metrics count sessions, bytes and polls, and keep the counts of gone sessions")
  func metricsCount() async throws {
    try await TestServer.run { server in
      let id = try await server.start("head -c 3000000 /dev/zero; exit 0")
      let output = try await server.output(id) { $0.closed }
      let (lost, missed) = (output.lost_bytes, output.missed_bytes ?? 0)
      #expect(try await server.metric("sessions") == 1)
      #expect(try await server.metric("sessions_running") == 0)
      #expect(try await server.metric("captured_bytes_total") == 3_000_000)
      #expect(try await server.metric("lost_bytes_total") == lost)
      #expect(try await server.metric("missed_bytes_total") >= missed)
      #expect(try await server.metric("polls_total") > 0)
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      // What is gone stays counted.
      #expect(try await server.metric("sessions") == 0)
      #expect(try await server.metric("captured_bytes_total") == 3_000_000)
      while try await server.metric("sessions_gone_total") < 1 {}
      #expect(try await server.metric("captured_bytes_total") == 3_000_000)
      #expect(try await server.metric("lost_bytes_total") == lost)
      let page = try await server.request("GET", "/metrics", token: nil)
      #expect(page.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
      for line in page.text.split(separator: "\n") where !line.hasPrefix("#") {
        let pattern = #/processd_[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [0-9.e+-]+/#
        #expect(try pattern.wholeMatch(in: line) != nil, "\(line)")
      }
      #expect(page.text.contains(#"request_seconds_bucket{route="output",le="+Inf"}"#))
    }
  }
}
