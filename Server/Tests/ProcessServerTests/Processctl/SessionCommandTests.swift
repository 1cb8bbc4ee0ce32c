import Foundation
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// The subcommands of `processctl` that take a session's id.
@Suite(.timeLimit(.minutes(10))) struct SessionCommandTests {
  /// Starts a command, and returns when it has ended.
  private func ended(_ command: String, in server: TestServer) async throws -> String {
    let id = try await server.start(command)
    _ = try await server.output(id) { $0.closed && !$0.session_alive }
    return id
  }

  @Test("list has a line for each session, in which nothing can control a terminal")
  func list() async throws {
    try await TestServer.run { server in
      let first = try await ended("echo \u{1b}[31m; exit 3", in: server)
      let second = try await server.start("sleep 1000")
      let lines = try await Processctl(server).run("list").stdout.split(separator: "\n")
      #expect(lines.count == 2)
      #expect(
        lines[0].wholeMatch(of: #/(\w+)  exit 3 +6  echo \u{fffd}\[31m; exit 3/#)?.1 == first[...])
      #expect(lines[1].wholeMatch(of: #/(\w+)  running +0  sleep 1000/#)?.1 == second[...])
    }
  }

  @Test("list --json is the daemon's answer")
  func listJSON() async throws {
    try await TestServer.run { server in
      _ = try await ended("echo x", in: server)
      let answer = try await server.get("processes").text
      #expect(try await Processctl(server).run("list", "--json").stdout == answer + "\n")
    }
  }

  @Test("read writes what is retained, and how much is lost")
  func read() async throws {
    try await TestServer.run { server in
      let id = try await ended("echo err >&2; sleep 0.1; seq 1000000", in: server)
      let result = try await Processctl(server).run("read", id)
      let loss = try #require(
        result.stderr.wholeMatch(
          of: #/processctl: (\d+) bytes \(\d+ chunks\) lost; the last (\d+) follow\n/#))
      #expect(Int(loss.1)! + Int(loss.2)! == 6_888_900)
      #expect(Int(loss.2) == result.bytes.count)
      #expect(result.status == 0)
    }
  }

  @Test("read --since goes on from the cursor of --json")
  func readSince() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo one; read x; echo two")
      _ = try await server.output(id) { $0.text == "one\n" }
      let summary = try await Processctl(server).run("read", "--json", id).stdout
      let cursor = try #require(summary.firstMatch(of: #/"cursor":"([^"]+)"/#)).1
      _ = try await server.write("x\n", to: id)
      _ = try await server.output(id) { $0.text == "one\ntwo\n" }
      #expect(
        try await Processctl(server).run("read", id, "--since", String(cursor)).stdout == "two\n")
    }
  }

  @Test("read --tail writes the last lines of both streams")
  func readTail() async throws {
    try await TestServer.run { server in
      let id = try await ended("seq 5; sleep 0.1; printf 'six\nseven' >&2", in: server)
      let result = try await Processctl(server).run("read", id, "--tail", "3")
      #expect(result.stdout == "5\n")
      #expect(result.stderr == "six\nseven")
      #expect(try await Processctl(server).run("read", id, "--tail", "0").stdout == "")
      #expect(
        try await Processctl(server).run("read", id, "--tail", "99").stdout == "1\n2\n3\n4\n5\n")
    }
  }

  @Test("read --plain writes text without escape sequences")
  func readPlain() async throws {
    try await TestServer.run { server in
      let id = try await ended(#"printf '\033[1mbold\033[0m\n10%%\r20%%\n'"#, in: server)
      #expect(try await Processctl(server).run("read", id, "--plain").stdout == "bold\n20%\n")
      #expect(
        try await Processctl(server).run("read", id, "--plain", "--tail", "1").stdout == "20%\n")
    }
  }

  @Test("follow writes what is retained and all that comes, to the end, and ends with 0")
  func follow() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo one; read x; echo two >&2; exit 9")
      let process = try await Processctl(server).start("follow", id, until: "one\n")
      _ = try await server.write("x\n", to: id)
      #expect(try await process.waitUntilClosed() == .exited(0))
      #expect(process.session.output().payload(of: .stdout).description == "one\n")
      #expect(process.session.output().payload(of: .stderr).description == "two\n")
    }
  }

  @Test("A follower that came too late for a flood says what it missed, to the byte")
  func flood() async throws {
    try await TestServer.run { server in
      let id = try await ended("seq 1000000", in: server)
      let result = try await Processctl(server).run("follow", id)
      let gap = try #require(
        result.stderr.wholeMatch(
          of: #/processctl: (\d+) bytes \(\d+ chunks\) missed here: they came faster .*\n/#))
      #expect(Int(gap.1)! + result.bytes.count == 6_888_896)
    }
  }

  @Test("follow goes on where it was when its connection is cut, without loss or repetition")
  func resume() async throws {
    try await TestServer.run { server in
      try await CuttingProxy.run(to: server.port) { proxy in
        let id = try await server.start("echo one; read x; echo two; read x; echo three")
        let process = try await Processctl("http://127.0.0.1:\(proxy.port)").start(
          "follow", id, until: "one\n")
        proxy.cut()
        _ = try await server.write("x\n", to: id)
        _ = await process.session.wait(for: "two\n", upTo: .seconds(60))
        proxy.cut()
        _ = try await server.write("x\n", to: id)
        #expect(try await process.waitUntilClosed() == .exited(0))
        let output = process.session.output()
        #expect(output.payload(of: .stdout).description == "one\ntwo\nthree\n")
        // On a busy machine it may take long enough to be told.
        let lines = output.payload(of: .stderr).description.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasSuffix("trying again") || $0.hasSuffix("answers again") })
      }
    }
  }

  @Test("processctl says that it tries to reach the daemon again, and that it has")
  func reconnecting() async throws {
    try await TestServer.run { server in
      // After the first connection, six that bring nothing, for six seconds in all; on a busy
      // machine one or two of them are used before the first is cut.
      try await CuttingProxy.run(to: server.port, cuttingAfter: [.max, 0, 0, 0, 0, 0, 0]) { proxy in
        let id = try await server.start("echo one; read x; echo two")
        let process = try await Processctl("http://127.0.0.1:\(proxy.port)").start(
          "follow", id, until: "one\n")
        proxy.cut()
        _ = try await server.write("x\n", to: id)
        #expect(try await process.waitUntilClosed() == .exited(0))
        let output = process.session.output()
        #expect(output.payload(of: .stdout).description == "one\ntwo\n")
        let lines = output.payload(of: .stderr).description.split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.first?.hasPrefix("processctl: no daemon answers at http:") == true)
        #expect(lines.first?.hasSuffix("; trying again") == true)
        #expect(lines.last == "processctl: the daemon answers again")
      }
    }
  }

  @Test("follow ends with 66 when the session is deleted before its command has ended")
  func deleted() async throws {
    let go = NSTemporaryDirectory() + "processctl-\(randomID()).go"
    // The server waits for the command's end.
    defer { try? FileManager.default.removeItem(atPath: go) }
    try await TestServer.run {
      $0.limits.grace = .seconds(1000)
    } _: { server in
      let id = try await server.start(
        "trap '' TERM; echo one; while [ ! -e \(go) ]; do sleep 0.01; done")
      let process = try await Processctl(server).start("follow", id, until: "one\n")
      try await server.request("DELETE", "/api/sdk/processes/\(id)")
      #expect(try await process.waitUntilClosed() == .exited(66))
      #expect(FileManager.default.createFile(atPath: go, contents: nil))
    }
  }

  @Test("write writes a text as it is, --eof ends stdin")
  func write() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cat")
      #expect(try await Processctl(server).run("write", id, "a b").status == 0)
      #expect(try await Processctl(server).run("write", id, "--eof", "c").status == 0)
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == "a bc")
      #expect(output.exit_code == 0)
    }
  }

  @Test("write - passes on stdin byte for byte, more than the daemon holds")
  func writeStdin() async throws {
    try await TestServer.run { server in
      let id = try await server.start("cksum")
      let input = (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 * $0 >> 3) }
      #expect(try await Processctl(server).run("write", id, "-", "--eof", input: input).status == 0)
      let expected = try await CommandHost.shared.run(
        {
          var command = Command("cksum")
          command.input = .bytes(input)
          return command
        }())
      let output = try await server.output(id) { $0.closed }
      #expect(output.text == expected.output.chunks.payload.description)
    }
  }

  @Test("write to a command that has ended is refused with 1")
  func writeTooLate() async throws {
    try await TestServer.run { server in
      let id = try await ended("true", in: server)
      let result = try await Processctl(server).run("write", id, "x")
      #expect(result.status == 1)
      #expect(result.stderr == "processctl: the command has ended, or closed its stdin\n")
    }
  }

  @Test(
    "signal takes a name with or without SIG, and a number", arguments: ["USR1", "SIGUSR1", "10"])
  func signal(name: String) async throws {
    try await TestServer.run { server in
      let id = try await server.start(
        "trap 'exit 6' USR1; echo ready; while :; do sleep 1; done")
      _ = try await server.output(id) { $0.text == "ready\n" }
      #expect(try await Processctl(server).run("signal", id, name).status == 0)
      #expect(try await server.output(id) { $0.closed }.exit_code == 6)
    }
  }

  @Test("signal with a name that no signal has is a usage error")
  func badSignal() async throws {
    try await TestServer.run { server in
      let id = try await server.start("sleep 1000")
      #expect(try await Processctl(server).run("signal", id, "NONE").status == 64)
    }
  }

  @Test("end ends the command, and its output stays")
  func end() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo x; sleep 1000")
      _ = try await server.output(id) { $0.text == "x\n" }
      #expect(try await Processctl(server).run("end", id).status == 0)
      let output = try await server.output(id) { $0.closed }
      #expect(output.signal == "SIGTERM")
      #expect(output.text == "x\n")
    }
  }

  @Test("delete forgets sessions; those that there are not end it with 66, behind the others")
  func delete() async throws {
    try await TestServer.run { server in
      let ids = [try await server.start("sleep 1000"), try await server.start("true")]
      let unknown = String(repeating: "0", count: 32)
      let result = try await Processctl(server).run("delete", ids[0], unknown, ids[1])
      #expect(result.status == 66)
      #expect(result.stderr.contains(unknown))
      for id in ids {
        #expect(try await server.get("processes/\(id)/output?since=0").status == 404)
      }
    }
  }

  @Test("delete --closed leaves sessions to which processes can write")
  func deleteClosed() async throws {
    try await TestServer.run { server in
      let running = try await server.start("sleep 1000", #","name":"a server""#)
      let others = [try await server.start("true"), try await server.start("false")]
      for id in others { _ = try await server.output(id) { $0.closed } }
      #expect(try await Processctl(server).run("delete", "--closed").status == 0)
      let list = try await Processctl(server).run("list").stdout
      #expect(list.split(separator: "\n").count == 1)
      #expect(list.hasPrefix(running))
      #expect(list.hasSuffix("  a server: sleep 1000\n"))
    }
  }

  @Test("wait ends with the command's status")
  func wait() async throws {
    try await TestServer.run { server in
      let id = try await server.start("read x; exit 7")
      let process = try await Processctl(server).launch(["wait", id])
      try await server.waits(1)
      _ = try await server.write("x\n", to: id)
      #expect(try await process.waitUntilClosed() == .exited(7))
    }
  }

  @Test("wait --for ends with 0 when the text comes, and with 1 if the command ends without it")
  func waitFor() async throws {
    try await TestServer.run { server in
      let id = try await server.start("read x; printf 'listen & go'; read x")
      let process = try await Processctl(server).launch(["wait", id, "--for", "listen & go"])
      try await server.waits(1)
      _ = try await server.write("x\n", to: id)
      #expect(try await process.waitUntilClosed() == .exited(0))
      _ = try await server.write("x\n", to: id)
      #expect(try await Processctl(server).run("wait", id, "--for", "never").status == 1)
    }
  }

  @Test("wait --for --json writes how the wait ended, and where another goes on")
  func waitForCursor() async throws {
    try await TestServer.run { server in
      let id = try await ended("echo a; echo a", in: server)
      let processctl = Processctl(server)
      let first = try await processctl.run("wait", id, "--for", "a", "--json")
      let match = try #require(
        first.stdout.wholeMatch(
          of: #/\{"outcome":"matched","offset":0,"end_offset":1,.*,"cursor":"(.+)"\}\n/#))
      let next = try await processctl.run(
        "wait", id, "--for", "a", "--since", String(match.1), "--json")
      #expect(next.stdout.contains(#""offset":2,"end_offset":3,"#))
      let never = try await processctl.run("wait", id, "--for", "x", "--json")
      #expect(never.status == 1)
      #expect(never.stdout.contains(#"{"outcome":""#))
      #expect(never.stdout.contains(#""offset":null,"end_offset":null,"missed_bytes":0,"#))
    }
  }

  @Test("end --grace says when SIGKILL follows")
  func endGrace() async throws {
    try await TestServer.run {
      $0.limits.grace = .seconds(1000)
    } _: { server in
      let id = try await server.start("trap '' TERM; echo ready; while :; do sleep 1; done")
      _ = try await server.output(id) { $0.text == "ready\n" }
      #expect(try await Processctl(server).run("end", id, "--grace", "20ms").status == 0)
      #expect(try await server.output(id) { $0.closed }.signal == "SIGKILL")
    }
  }

  @Test(
    "wait ends with 124 when the time is up", arguments: [[], ["--for", "text"]] as [[String]])
  func waitTimeout(more: [String]) async throws {
    try await TestServer.run { server in
      let id = try await server.start("sleep 1000")
      // On a busy machine the daemon may take longer for its answer than wait gives it.
      var (limit, exit) = (20, ProcessExit.exited(69))
      while exit == .exited(69) {
        let process = try await Processctl(server).launch(
          ["wait", id, "--timeout", "\(limit)ms"] + more)
        exit = try await process.waitUntilClosed()
        limit *= 4
      }
      #expect(exit == .exited(124))
    }
  }
}
