import Foundation
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// `processctl run`.
@Suite(.timeLimit(.minutes(10))) struct RunCommandTests {
  @Test("run writes each stream to its own, and ends with the command's status")
  func streams() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "sh", "-c", "echo out; echo err >&2; exit 3")
      #expect(result.stdout == "out\n")
      #expect(result.stderr == "err\n")
      #expect(result.status == 3)
    }
  }

  @Test("run ends with 128 and the number of the signal that ended the command")
  func signals() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "sh", "-c", "kill -KILL $$")
      #expect(result.status == 137)
    }
  }

  @Test("run deletes its session")
  func deletion() async throws {
    try await TestServer.run { server in
      _ = try await Processctl(server).run("run", "echo", "x")
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
    }
  }

  @Test("run passes on every byte")
  func bytes() async throws {
    try await TestServer.run { server in
      let path = server.go
      defer { try? FileManager.default.removeItem(atPath: path) }
      let line = "head -c 300000 /dev/urandom | tee \(path)"
      let result = try await Processctl(server).run("run", "sh", "-c", line)
      #expect(result.bytes == Array(try Data(contentsOf: URL(fileURLWithPath: path))))
      #expect(result.bytes.count == 300_000)
    }
  }

  @Test("run passes on arguments, options of the command's own, directory and environment")
  func arguments() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--cwd", "/", "--env", "myVar=a=b", "--env", "OTHER_ONE=", "--", "sh", "-c",
        #"pwd; echo "$myVar,$OTHER_ONE,$*""#, "--json", "a b", "--help")
      #expect(result.stdout == "/\na=b,,a b --help\n")
    }
  }

  @Test("A command that is over --timeout is ended, and run ends with 124")
  func timeout() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "--timeout", "50ms", "sleep", "1000")
      #expect(result.status == 124)
      #expect(result.stderr.contains("(--timeout): it got SIGTERM\n"))
    }
  }

  @Test("--on-failure writes nothing of a command that succeeds")
  func success() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--on-failure", "sh", "-c", "echo a; echo b >&2")
      #expect(result.stdout == "")
      #expect(result.stderr == "")
      #expect(result.status == 0)
    }
  }

  @Test("--on-failure writes what is retained of a command that fails, and how much is lost")
  func failure() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--on-failure", "sh", "-c", "seq 1000000; exit 1")
      let loss = try #require(
        result.stderr.wholeMatch(
          of: #/processctl: (\d+) bytes \(\d+ chunks\) lost; the last (\d+) follow\n/#))
      #expect(Int(loss.1)! + Int(loss.2)! == 6_888_896)
      #expect(Int(loss.2) == result.bytes.count)
      #expect(result.stdout.hasSuffix("\n999999\n1000000\n"))
      #expect(result.status == 1)
    }
  }

  @Test("--head keeps the beginning of the output as well")
  func head() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--on-failure", "--head", "1K", "sh", "-c", "seq 1000000; exit 1",
        in: #""$0" "$@" | head -n 3"#)
      #expect(result.stdout == "1\n2\n3\n")
    }
  }

  @Test("--json writes chunks, and a summary with what capture's has")
  func json() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "--json", "sh", "-c", "echo hi; exit 2")
      let lines = result.stdout.split(separator: "\n")
      #expect(lines.first == #"{"seq":1,"stream":"stdout","offset":0,"data_b64":"aGkK"}"#)
      let summary = try #require(lines.last)
      let expected =
        #"{"exit_code":2,"alive":false,"closed":true,"chunks":1,"retained_bytes":3,"lost_bytes":0,"#
        + #""total_bytes":3,"missed_chunks":0,"missed_bytes":0,"signal":null,"timed_out":false,"#
      #expect(summary.hasPrefix(expected))
      #expect(summary.contains(#/,"seconds":\d+\.\d{3},"session_id":"[0-9a-f]{32}","cursor":"1\./#))
      #expect(result.status == 2)
    }
  }

  @Test("--stdin passes on more than the daemon holds, to its end")
  func stdin() async throws {
    try await TestServer.run { server in
      let input = [UInt8](repeating: 7, count: 3_000_000)
      let result = try await Processctl(server).run("run", "--stdin", "wc", "-c", input: input)
      #expect(result.stdout.filter(\.isNumber) == "3000000")
    }
  }

  @Test("Without --stdin the command reads nothing")
  func noStdin() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "wc", "-c", input: [1, 2, 3])
      #expect(result.stdout.filter(\.isNumber) == "0")
    }
  }

  @Test("--tty gives the command a terminal as large as processctl's own")
  func terminal() async throws {
    try await TestServer.run { server in
      var command = Processctl(server).command(["run", "--tty", "stty", "size"])
      command.terminal = TerminalSize(rows: 30, columns: 100)
      let result = try await CommandHost.shared.run(command)
      #expect(result.output.chunks.payload.description.contains("30 100"))
    }
  }

  @Test("With --tty at a terminal, what is typed goes to the command key by key, Ctrl-C too")
  func keys() async throws {
    try await TestServer.run { server in
      var command = Processctl(server).command([
        "run", "--tty", "sh", "-c",
        "trap 'echo caught; exit 5' INT; echo ready; while :; do sleep 1; done",
      ])
      command.terminal = TerminalSize(rows: 24, columns: 80)
      command.input = .pipe
      let process = try await CommandHost.shared.launch(
        command, into: Session(id: randomID(), workspaceID: "test"))
      _ = await process.session.wait(for: "ready", upTo: .seconds(60))
      try await process.input?.write([3])
      #expect(try await process.waitUntilClosed() == .exited(5))
      #expect(process.session.output().chunks.payload.description.contains("caught"))
    }
  }

  @Test("--detach writes the session's id, and leaves the command running")
  func detach() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "--detach", "sleep", "1000")
      let id = try #require(result.stdout.wholeMatch(of: #/([0-9a-f]{32})\n/#)).1
      #expect(result.status == 0)
      #expect(try await server.output(String(id)).session_alive)
    }
  }

  @Test("Ctrl-C reaches the command, whose output and status count")
  func interrupt() async throws {
    try await TestServer.run { server in
      let process = try await Processctl(server).start(
        "run", "sh", "-c",
        "trap 'echo caught; exit 4' INT; echo ready; while :; do sleep 1; done",
        until: "ready\n")
      try process.signal(.interrupt)
      #expect(try await process.waitUntilClosed() == .exited(4))
      #expect(process.session.output().payload(of: .stdout).description == "ready\ncaught\n")
    }
  }

  @Test("The third Ctrl-C kills a command that ignores it")
  func impatience() async throws {
    try await TestServer.run { server in
      let process = try await Processctl(server).start(
        "run", "sh", "-c", "trap '' INT; echo ready; while :; do sleep 1; done", until: "ready\n"
      )
      // Two that come at once may count as one.
      while process.isRunning {
        try? process.signal(.interrupt)
        try await Task.sleep(for: .milliseconds(20))
      }
      #expect(try await process.waitUntilClosed() == .exited(137))
      // On a busy machine it may come to a third one again.
      let lines = process.session.output().payload(of: .stderr).description.split(separator: "\n")
      #expect(Set(lines) == ["processctl: the command is killed at the third signal, SIGINT"])
    }
  }

  @Test(
    "run ends with 127, 126 or 125 if the command is not found, not executable or cannot start",
    arguments: [
      (["/nonexistent/x"], 127), (["no-such-command"], 127), (["/etc/passwd"], 126), (["/"], 126),
      (["--cwd", "/nonexistent", "true"], 125),
    ])
  func unstartable(words: [String], status: Int) async throws {
    try await TestServer.run { server in
      for (option, prefix) in [([], ""), (["--json"], #"{"error":""#)] {
        let process = try await Processctl(server).launch(["run"] + option + words)
        #expect(try await process.waitUntilClosed() == .exited(Int32(status)))
        let output = process.session.output()
        #expect(output.payload(of: .stdout).description.hasPrefix(prefix))
        #expect(output.payload(of: .stderr).description.hasPrefix("processctl: "))
      }
    }
  }

  #if os(Linux)
    @Test("run ends with 74 if the command succeeds and its output cannot be written")
    func fullDisk() async throws {
      try await TestServer.run { server in
        let result = try await Processctl(server).run(
          "run", "echo", "x", in: #""$0" "$@" >/dev/full"#)
        #expect(result.status == 74)
        #expect(result.stderr.contains("cannot write the output: No space left on device"))
      }
    }
  #endif

  @Test("If no process reads the output any more, run ends the command")
  func brokenPipe() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "sh", "-c", "while :; do echo y; sleep 0.01; done", in: #""$0" "$@" | head -n 1"#)
      #expect(result.stdout == "y\n")
      #expect(result.stderr == "")
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
    }
  }

  @Test("A lost answer to a start is asked for again, and the command is started once")
  func startedOnce() async throws {
    try await TestServer.run { server in
      try await CuttingProxy.run(to: server.port) { proxy in
        try await Wire.connect(port: proxy.port) { wire in
          try await wire.request(
            "POST", "/api/sdk/envs/list", token: TestServer.alice, body: "{}")
          _ = try await wire.response()
        }
        // Some bytes of the answer behind that one.
        let allowance = proxy.delivered + 60
        try await CuttingProxy.run(to: server.port, cuttingAfter: [allowance]) { proxy in
          let path = server.go
          defer { try? FileManager.default.removeItem(atPath: path) }
          let result = try await Processctl("http://127.0.0.1:\(proxy.port)").run(
            "run", "sh", "-c", "echo x >>\(path); cat \(path)")
          #expect(result.stdout == "x\n")
          #expect(result.status == 0)
        }
      }
    }
  }

  @Test("Output is whole when connections are cut within answers")
  func cutAnswers() async throws {
    try await TestServer.run { server in
      try await CuttingProxy.run(to: server.port, cuttingAfter: [20_000, 20_000, 20_000]) { proxy in
        let result = try await Processctl("http://127.0.0.1:\(proxy.port)").run(
          "run", "seq", "40000")
        #expect(result.stdout == (1...40_000).map { "\($0)\n" }.joined())
        // On a busy machine it may take long enough to be told.
        let lines = result.stderr.split(separator: "\n")
        #expect(lines.allSatisfy { $0.hasSuffix("trying again") || $0.hasSuffix("answers again") })
      }
    }
  }
}
