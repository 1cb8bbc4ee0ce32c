import Foundation
import Processes
import Testing

@testable import ProcessHost
@testable import ProcessServer

/// The options of `processctl run` that it shares with `capture`.
@Suite(.timeLimit(.minutes(10))) struct RunOptionTests {
  /// A command that writes 3 MB, three times what a session retains.
  private static let flood = ["head", "-c", "3000000", "/dev/zero"]

  private func text(of path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test("--output writes both streams to a file as well, in the order of capture")
  func output() async throws {
    try await TestServer.run { server in
      let path = server.go
      defer { try? FileManager.default.removeItem(atPath: path) }
      let result = try await Processctl(server).run(
        "run", "--output", path, "sh", "-c", "echo a; sleep 0.1; echo b >&2; sleep 0.1; echo c")
      #expect(result.stdout == "a\nc\n")
      #expect(result.stderr == "b\n")
      #expect(result.status == 0)
      #expect(try text(of: path) == "a\nb\nc\n")
    }
  }

  @Test("The file of --output has all that a command writes, however fast, and however it is shown")
  func wholeOutput() async throws {
    try await TestServer.run { server in
      let path = server.go
      defer { try? FileManager.default.removeItem(atPath: path) }
      for options in [["--tail", "0"], ["--on-failure"], ["--json"]] {
        let process = try await Processctl(server).launch(
          ["run", "--output", path] + options + Self.flood)
        #expect(try await process.waitUntilClosed() == .exited(0))
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)).count == 3_000_000)
      }
    }
  }

  @Test("A file that cannot be opened ends run with 125, before the command is started")
  func unopenable() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--json", "--output", "/nonexistent/x", "echo", "x")
      #expect(result.status == 125)
      #expect(result.stderr.contains("cannot open /nonexistent/x for --output: No such file"))
      #expect(result.stdout.hasPrefix(#"{"error":"cannot open"#))
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
    }
  }

  #if os(Linux)
    @Test("A file that cannot be written is told, and run ends with 74 if the command succeeds")
    func unwritable() async throws {
      try await TestServer.run { server in
        let result = try await Processctl(server).run("run", "--output", "/dev/full", "echo", "x")
        #expect(result.stdout == "x\n")
        #expect(result.stderr.contains("cannot write to /dev/full: No space left on device; the"))
        #expect(result.status == 74)
      }
    }
  #endif

  @Test("--output goes on when no process reads stdout any more")
  func outputWithoutReader() async throws {
    try await TestServer.run { server in
      let path = server.go
      defer { try? FileManager.default.removeItem(atPath: path) }
      let result = try await Processctl(server).run(
        "run", "--output", path, "sh", "-c",
        "trap '' PIPE TERM; for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done",
        in: #""$0" "$@" | head -n 1"#)
      #expect(result.stdout == "1\n")
      #expect(try text(of: path) == "1\n2\n3\n4\n5\n6\n7\n8\n")
    }
  }

  @Test("--tail writes the last lines of both streams, and nothing about what was lost")
  func tail() async throws {
    try await TestServer.run { server in
      let line = "seq 1000000; sleep 0.1; echo err >&2; sleep 0.1; printf end"
      let result = try await Processctl(server).run("run", "--tail", "3", "sh", "-c", line)
      #expect(result.stdout == "1000000\nend")
      #expect(result.stderr == "err\n")
      let json = try await Processctl(server).run(
        "run", "--tail", "1", "--json", "sh", "-c", "echo a; sleep 0.1; echo b")
      #expect(json.stdout.hasPrefix(#"{"seq":2,"stream":"stdout","offset":2,"data_b64":"Ygo="}"#))
      #expect(json.stdout.contains(#""chunks":1,"retained_bytes":4,"#))
    }
  }

  @Test("--no-live writes what is retained at the end, and how much is lost")
  func notLive() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "--no-live", "seq", "1000000")
      let loss = try #require(
        result.stderr.wholeMatch(
          of: #/processctl: (\d+) bytes \(\d+ chunks\) lost; the last (\d+) follow\n/#))
      #expect(Int(loss.1)! + Int(loss.2)! == 6_888_896)
      #expect(Int(loss.2) == result.bytes.count)
    }
  }

  @Test("--merge makes both streams one, in the order in which they were written")
  func merge() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--merge", "sh", "-c", "for i in 1 2 3; do echo $i; echo e$i >&2; done")
      #expect(result.stdout == "1\ne1\n2\ne2\n3\ne3\n")
      #expect(result.stderr == "")
    }
  }

  @Test("--timestamps writes before each line of a stream when it came")
  func timestamps() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--timestamps", "sh", "-c", "printf a; sleep 0.3; echo b; echo c; echo d >&2")
      let lines = try #require(
        result.stdout.wholeMatch(of: #/\[ {4}(\d\.\d{3})\] ab\n\[ {4}(\d\.\d{3})\] c\n/#))
      #expect(Double(lines.1)! + 0.2 < Double(lines.2)!)
      #expect(result.stderr.wholeMatch(of: #/\[ {4}\d\.\d{3}\] d\n/#) != nil)
      let tail = try await Processctl(server).run(
        "run", "--timestamps", "--tail", "1", "sh", "-c", "printf 'a\nb\n'")
      #expect(tail.stdout.wholeMatch(of: #/\[ {4}\d\.\d{3}\] b\n/#) != nil)
    }
  }

  @Test("With --timestamps, --json says when each chunk came, and when the start was")
  func timestampsInJSON() async throws {
    try await TestServer.run { server in
      let before = Date().timeIntervalSince1970
      let result = try await Processctl(server).run("run", "--timestamps", "--json", "echo", "a")
      let chunk = #/\{"seq":1,"stream":"stdout","offset":0,"time":\d\.\d{6},"data_b64":"YQo="\}\n/#
      #expect(result.stdout.prefixMatch(of: chunk) != nil)
      let start = try #require(
        result.stdout.firstMatch(of: #/"seconds":\d+\.\d{3},"start":(\d+\.\d{6}),"session_id"/#)?.1)
      #expect(abs(Double(start)! - before) < 60)
    }
  }

  @Test("--stats writes a summary to stderr at the end")
  func statistics() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run("run", "--stats", "echo", "x")
      let line =
        #/processctl: 1 chunks, 2 bytes, 2 retained, 0 lost, \d+\.\d{3} s, \d+\.\d MB\/s\n/#
      #expect(result.stderr.wholeMatch(of: line) != nil, "\(result.stderr)")
    }
  }

  @Test("--signal is what --timeout sends, and --kill-after the time to SIGKILL")
  func signal() async throws {
    try await TestServer.run {
      $0.limits.grace = .seconds(1000)
    } _: { server in
      let ended = try await Processctl(server).run(
        "run", "--timeout", "50ms", "-s", "hup", "sleep", "1000")
      #expect(ended.status == 124)
      #expect(
        ended.stderr == "processctl: the command had not ended after 0.050 s (--timeout): it got"
          + " SIGHUP\n")
      let killed = try await Processctl(server).run(
        "run", "--timeout", "50ms", "--signal", "SIGWINCH", "-k20ms", "sleep", "1000")
      #expect(killed.status == 137)
      #expect(killed.stderr.hasSuffix("it got SIGWINCH, and then SIGKILL\n"))
      let number = try await Processctl(server).run(
        "run", "--timeout", "50ms", "--signal", "9", "sleep", "1000")
      #expect(number.status == 137)
      #expect(number.stderr.hasSuffix("it got signal 9\n"))
    }
  }

  @Test("With --kill-after 0 the command is never killed for its time")
  func neverKilled() async throws {
    try await TestServer.run {
      $0.limits.grace = .zero
    } _: { server in
      let result = try await Processctl(server).run(
        "run", "--timeout", "50ms", "--signal", "WINCH", "--kill-after", "0", "sh", "-c",
        "sleep 0.5; echo late")
      #expect(result.stdout == "late\n")
      #expect(result.status == 124)
    }
  }

  @Test("--preserve-status ends run with the command's own status when its time was up")
  func preservedStatus() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--timeout", "50ms", "--preserve-status", "sleep", "1000")
      #expect(result.status == 143)
    }
  }

  @Test("With --lossless the command waits for a slow reader of stdout, which gets everything")
  func lossless() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--lossless", "head", "-c", "3000000", "/dev/zero",
        in: #""$0" "$@" | { sleep 1; wc -c; }"#)
      #expect(result.stdout.filter(\.isNumber) == "3000000")
      #expect(result.stderr == "")
    }
  }

  @Test(
    "While stdout takes nothing, processctl tells the daemon that it is still there",
    .disabled(if: Holding.isOfAllTests, "looks into the server's own reader"))
  func presence() async throws {
    try await TestServer.run { server in
      // Nothing of processctl's own output is read before the end.
      let (local, session) = (LosslessReader(timeLimit: nil), Session(id: randomID()))
      let process = try await CommandHost.shared.launch(
        Processctl(server).command(["run", "--lossless"] + Self.flood), into: session,
        waitingFor: local)
      while server.server.jobs.jobs(of: "alice").isEmpty {
        try await Task.sleep(for: .milliseconds(1))
      }
      let job = try #require(server.server.jobs.jobs(of: "alice").first)
      let reader = try #require((job.process as? OwnProcess)?.losslessReader)
      var (total, stallStart) = (-1, reader.gate.stallStart)
      while reader.isWaitedFor {
        let next = reader.gate.stallStart
        if let stallStart, let next, job.session.totalBytes == total,
          next - stallStart > .seconds(2)
        {
          break
        }
        (total, stallStart) = (job.session.totalBytes, next)
        try await Task.sleep(for: .milliseconds(1))
      }
      #expect(reader.isWaitedFor)
      var received = 0
      for await output in local.outputs(of: session) { received += output.chunks.payload.count }
      #expect(received == 3_000_000)
      #expect(try await process.waitUntilClosed() == .exited(0))
    }
  }

  @Test(
    "A usage error says which options do not go together",
    arguments: [
      (["--live", "--on-failure"], "--live and --on-failure exclude each other"),
      (["--lossless", "--no-live"], "it excludes --no-live and --on-failure"),
      (["--lossless", "--on-failure"], "it excludes --no-live and --on-failure"),
      (["--tail", "1", "--live"], "--tail excludes --live and --lossless"),
      (["--tail", "1", "--lossless"], "--tail excludes --live and --lossless"),
      (["--tail", "x"], "“x” is no number of lines"),
      (["--kill-after", "1"], "--kill-after says more about --timeout, which is missing"),
      (["--signal", "INT"], "--signal says more about --timeout, which is missing"),
      (["--preserve-status"], "--preserve-status says more about --timeout, which is missing"),
      (["--detach", "--output", "x"], "it excludes --output"),
      (["--detach", "--lossless"], "it excludes --lossless"),
      (["--detach", "--stats"], "it excludes --stats"),
    ])
  func usage(options: [String], problem: String) async throws {
    let process = try await Processctl("http://127.0.0.1:1").launch(["run"] + options + ["true"])
    #expect(try await process.waitUntilClosed() == .exited(64))
    let text = process.session.output().payload(of: .stderr).description
    #expect(text.replacing(#/\s+/#, with: " ").contains(problem), "\(text)")
  }

  @Test("A signal that there is not is a usage error, and starts nothing")
  func badSignal() async throws {
    try await TestServer.run { server in
      let result = try await Processctl(server).run(
        "run", "--timeout", "1", "--signal", "NONE", "true")
      #expect(result.status == 64)
      #expect(result.stderr.contains("must be a signal's name"))
      #expect(try await server.get("processes").text == #"{"processes":[]}"#)
    }
  }

  @Test("run --help names the options of capture that it does not have")
  func help() async throws {
    let text = try await Processctl("http://127.0.0.1:1").run("run", "--help").stdout
      .replacing(#/\s+/#, with: " ")
    for option in ["--foreground", "--outlive", "--ring", "--capacity", "--asciicast"] {
      #expect(text.contains(option))
    }
  }
}
