import Foundation
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// How `processctl` finds the daemon, and what it says when it cannot do what it was told.
@Suite(.timeLimit(.minutes(10))) struct ClientCommandTests {
  private static let id = String(repeating: "0", count: 32)

  /// What a daemon answers about a session that has ended without output.
  private static let output =
    #"{"chunks":[],"exit_code":0,"session_alive":false,"truncated":false,"lost_bytes":0,"#
    + #""closed":true,"missed_chunks":0,"missed_bytes":0,"gap_index":null,"next_since":1,"#
    + #""cursor":"1.3.0.27","has_more":false,"signal":null,"dropped_bytes":0,"#
    + #""timed_out":false,"oom_killed":null,"rusage":null,"foreign_cursor":false,"#
    + #""cursor_ahead":false,"forgotten":false,"wait_for":null}"#

  @Test("A unix socket serves like a port")
  func unixSocket() async throws {
    let path = NSTemporaryDirectory() + "processctl-\(randomID()).sock"
    try await TestServer.run {
      $0.unixPath = path
    } _: { server in
      let result = try await Processctl("unix://" + path).run("run", "echo", "x")
      #expect(result.stdout == "x\n")
      #expect(result.status == 0)
    }
  }

  @Test("An argument that is not UTF-8 is refused with 64: repaired, it would be another")
  func otherEncodings() async throws {
    let result = try await Processctl("http://127.0.0.1:1").run(
      "run", in: #""$0" "$@" printf %s "$(printf 'a\377')""#)
    #expect(result.status == 64)
    #expect(result.stderr.hasPrefix("processctl: argument 4 is not UTF-8"))
  }

  @Test("Output to a closed stdout is lost with 74, and goes into no other file")
  func closedDescriptors() async throws {
    try await TestServer.run { server in
      for words in ["aaaaaaaa", "aaaaaaa"] {
        let result = try await Processctl(server).run(
          "run", "printf", words, in: #""$0" "$@" <&- >&-"#)
        #expect(result.status == 74)
        #expect(result.stderr.contains("Bad file descriptor"))
      }
    }
  }

  @Test("Stdin that cannot be read is told, and fails a write")
  func unreadableInput() async throws {
    try await TestServer.run { server in
      let run = try await Processctl(server).run(
        "run", "--stdin", "cat", in: #""$0" "$@" </"#)
      #expect(run.stderr.contains("cannot read stdin: Is a directory"))
      let id = try await server.start("cat")
      let write = try await Processctl(server).run("write", id, "-", "--eof", in: #""$0" "$@" </"#)
      #expect(write.status == 74)
      #expect(write.stderr == "processctl: cannot read stdin: Is a directory\n")
      #expect(try await server.output(id, "since=0").session_alive)
    }
  }

  @Test("--server goes before PROCESSD_URL")
  func serverOption() async throws {
    try await TestServer.run { server in
      let url = "http://localhost:\(server.port)/"
      let result = try await Processctl("http://127.0.0.1:1").run("list", "--server", url)
      #expect(result.status == 0)
    }
  }

  @Test("--token-file is read as the daemon's own file of tokens")
  func tokenFile() async throws {
    try await TestServer.run { server in
      let path = server.go
      defer { try? FileManager.default.removeItem(atPath: path) }
      let lines = "# ours\n\nsha256:00 w\n\(TestServer.alice) alice\n"
      try lines.write(toFile: path, atomically: true, encoding: .utf8)
      var processctl = Processctl(server)
      processctl.token = nil
      #expect(try await processctl.run("list", "--token-file", path).status == 0)
    }
  }

  @Test("A wrong token ends it with 77, and so does none", arguments: ["wrong", nil, "a\nb"])
  func wrongToken(token: String?) async throws {
    try await TestServer.run { server in
      var processctl = Processctl(server)
      processctl.token = token
      let result = try await processctl.run("run", "echo", "x")
      #expect(result.status == 77)
      #expect(result.stdout == "")
      #expect(result.stderr.hasPrefix("processctl: "))
    }
  }

  @Test("Another workspace's session is denied with 77")
  func foreignSession() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo x", token: TestServer.bob)
      #expect(try await Processctl(server).run("read", id).status == 77)
    }
  }

  @Test("No daemon ends it with 69", arguments: ["http://127.0.0.1:1", "unix:///nonexistent/x"])
  func noDaemon(url: String) async throws {
    let result = try await Processctl(url).run("list")
    #expect(result.status == 69)
    #expect(result.stderr.hasPrefix("processctl: no daemon answers at \(url): "))
  }

  @Test(
    "An unknown session ends it with 66",
    arguments: [
      ["read"], ["follow"], ["write", "x"], ["signal", "INT"], ["end"], ["wait"],
      ["wait", "--for", "x"], ["delete"],
    ])
  func noSession(arguments: [String]) async throws {
    try await TestServer.run { server in
      let words = [arguments[0], Self.id] + arguments.dropFirst()
      let process = try await Processctl(server).launch(words)
      #expect(try await process.waitUntilClosed() == .exited(66))
    }
  }

  @Test("An id that none can be ends it with 66 without a request")
  func impossibleSession() async throws {
    #expect(try await Processctl("http://127.0.0.1:1").run("read", "../x").status == 66)
  }

  @Test(
    "A usage error ends it with 64",
    arguments: [
      ["run"], ["run", "--jsn", "x"], ["run", "--timeout", "soon", "x"], ["write", "00"],
      ["run", "--detach", "--json", "x"], ["read", "00", "--tail", "1", "--since", "1"],
      ["read", "00", "--plain", "--json"], ["wait", "00", "--since", "1"],
      ["follow", "00", "--since", "x"], ["list", "--server", "ftp://x"],
      ["delete"], ["delete", "00", "--closed"], ["list", "--server", "http://127.0.0.1:99999"],
      ["list", "--server", "http://u:p@127.0.0.1"], ["list", "--server", "http://127.0.0.1?x"],
    ])
  func usage(arguments: [String]) async throws {
    let process = try await Processctl("http://127.0.0.1:1").launch(arguments)
    #expect(try await process.waitUntilClosed() == .exited(64))
  }

  @Test("What is no processd, or too old, ends it with 76")
  func otherServer() async throws {
    for answer in [
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi",
    ] {
      #expect(try await status(of: ["list"], at: answer) == 76)
    }
  }

  @Test(
    "An answer that no daemon gives ends it with 76",
    arguments: [
      (#""gap_index":null"#, #""gap_index":1"#), (#""gap_index":null"#, #""gap_index":-1"#),
      (#""exit_code":0"#, #""exit_code":256"#), (#""exit_code":0"#, #""exit_code":-2147483648"#),
      (#""missed_chunks":0"#, #""missed_chunks":9223372036854775807"#),
      (#""chunks":[]"#, #""chunks":[{"stream":"x","data_b64":"","seq":1,"offset":0}]"#),
      (#""chunks":[]"#, #""chunks":[{"stream":"stdout","data_b64":"\"","seq":1,"offset":0}]"#),
    ])
  func hostileServer(old: String, new: String) async throws {
    for body in [Self.output, Self.output.replacing(old, with: new)] {
      let answer = "HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
      let expected: Int32 = body == Self.output ? 0 : 76
      #expect(try await status(of: ["read", Self.id], at: answer) == expected)
    }
  }

  @Test("A signal ends run while the daemon does not answer the start")
  func hangingStart() async throws {
    let (asked, isAsked) = AsyncStream<Void>.makeStream()
    try await ScriptedServer.run { request in
      if request.contains("/tool/call ") { isAsked.yield() }
      return request.contains("/envs/list ")
        ? ScriptedServer.json(#"{"envs":[{"name":"local","is_default":true}]}"#) : []
    } _: { url in
      let process = try await Processctl(url).launch(["run", "true"])
      for await _ in asked { break }
      try process.signal(.interrupt)
      #expect(try await process.waitUntilClosed() == .exited(130))
      let text = process.session.output().payload(of: .stderr).description
      #expect(text.contains("it may have started the command"))
    }
  }

  @Test(
    "wait with a time limit ends with 69 soon after it if the daemon hangs, or dribbles",
    arguments: [
      [], ["HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"] + Array(repeating: " ", count: 9_000),
    ], [[], ["--for", "x"]])
  func hangingWait(pieces: [String], more: [String]) async throws {
    try await ScriptedServer.run { _ in
      pieces
    } _: { url in
      let process = try await Processctl(url).launch(["wait", Self.id, "--timeout", "50ms"] + more)
      #expect(try await process.waitUntilClosed() == .exited(69))
      let text = process.session.output().payload(of: .stderr).description
      #expect(text.contains("no whole answer came within 10.0"))
    }
  }

  @Test("A follower that loses the daemon says what may have become of its session")
  func lostDaemon() async throws {
    let chunk = #"{"stream":"stdout","data_b64":"b25lCg==","seq":1,"offset":0}"#
    let output = Self.output.replacing(#""chunks":[]"#, with: #""chunks":[\#(chunk)]"#)
      .replacing(#""session_alive":false"#, with: #""session_alive":true"#)
    let (followers, follower) = AsyncStream<HostedProcess>.makeStream()
    try await ScriptedServer.run { request in
      request.contains("since=0")
        ? ScriptedServer.json(output)
        : ["HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
    } _: { url in
      follower.yield(
        try await Processctl(url).start("follow", Self.id, until: "one\n"))
    }
    let process = try #require(await followers.first { _ in true })
    #expect(try await process.waitUntilClosed() == .exited(69))
    let lines = process.session.output().payload(of: .stderr).description.split(separator: "\n")
    #expect(lines.count == 2)
    #expect(lines.first?.hasSuffix("; trying again") == true)
    let end = "; if it has --state-dir, the session goes on: processctl follow \(Self.id)"
    #expect(lines.last?.hasSuffix(end) == true)
  }

  @Test("Output that was missed in spite of --lossless or --output ends run with 74")
  func missedOutput() async throws {
    let output = Self.output.replacing(
      #""missed_chunks":0,"missed_bytes":0,"gap_index":null"#,
      with: #""missed_chunks":1,"missed_bytes":5,"gap_index":0"#)
    try await ScriptedServer.run { request in
      if request.contains("/envs/list ") {
        return ScriptedServer.json(#"{"envs":[{"name":"local","is_default":true}]}"#)
      }
      if request.contains("/tool/call ") {
        return ScriptedServer.json(
          #"{"isError":false,"content":[],"structuredContent":{"session_id":"\#(Self.id)"}}"#)
      }
      return ScriptedServer.json(request.hasPrefix("GET ") ? output : #"{"ok":true}"#)
    } _: { url in
      let path = NSTemporaryDirectory() + "processctl-\(randomID()).log"
      defer { try? FileManager.default.removeItem(atPath: path) }
      #expect(try await Processctl(url).run("run", "true").status == 0)
      #expect(try await Processctl(url).run("run", "--lossless", "true").status == 74)
      let file = try await Processctl(url).run("run", "--output", path, "true")
      #expect(file.status == 74)
      #expect(file.stderr.contains("\(path) is not complete: 5 bytes came faster than it took"))
    }
  }

  /// Runs processctl with a server that always gives one answer.
  private func status(of arguments: [String], at answer: String) async throws -> Int32 {
    let (statuses, status) = AsyncStream<Int32>.makeStream()
    try await ScriptedServer.run { _ in
      [answer]
    } _: { url in
      let process = try await Processctl(url).launch(arguments)
      status.yield(try await process.waitUntilClosed().code)
    }
    return await statuses.first { _ in true } ?? -1
  }
}
