import Foundation
import ProcessHost
import Testing

/// `--timeout` and what belongs to it, as with timeout(1).
@Suite struct TimeLimitTests {
  @Test("capture --on-failure writes the output of a command that timed out")
  func theOutputOfACommandThatTimedOutIsShown() async throws {
    let result = try await runUntilTimeIsUp(
      "--on-failure",
      line: "trap 'exit 0' TERM; echo err >&2; echo ready; while :; do sleep 1; done")
    #expect(result.exit == .exited(124))
    #expect(result.text == "ready\n")
    // The shell may say next that its `sleep` was terminated.
    #expect(result.stderr.hasPrefix("err\n"))
    #expect(result.stderr.hasSuffix(" (--timeout): it got SIGTERM\n"))
  }

  @Test("capture reports the limit and the signal after a timeout")
  func theLimitIsTold() async throws {
    let result = try await run("--timeout", "3s", command: ["sleep", "1000"])
    let line = "capture: the command had not ended after 3 s (--timeout): it got SIGTERM\n"
    #expect(result.stderr == line)
  }

  @Test("capture reports that it killed the command after a timeout")
  func aCommandThatHadToBeKilledIsTold() async throws {
    let result = try await runUntilTimeIsUp(
      "-k", "100ms", line: "trap '' TERM; echo ready; while :; do sleep 1; done")
    #expect(result.exit == .exited(137))
    #expect(result.stderr.hasSuffix("it got SIGTERM, and then SIGKILL\n"))
    let killed = try await run("--timeout", "0.1", "--signal", "KILL", command: ["sleep", "1000"])
    #expect(killed.exit == .exited(137))
    #expect(killed.stderr.hasSuffix("it got SIGKILL\n"))
  }

  @Test(
    "After --kill-after capture kills every process of the command's group",
    arguments: ["TERM", "USR1"])
  func theWholeGroupIsKilled(_ signal: String) async throws {
    // The grandchild closes its output: then nothing but its group leads to it.
    let grandchild = """
      sh -c "trap '' \(signal); echo \\$\\$ ready; exec >/dev/null 2>&1; exec sleep 1000"
      """
    let result = try await runUntilTimeIsUp(
      "-s", signal, "-k", "100ms", line: "\(grandchild) & exec sleep 1000")
    #expect(result.exit == .exited(124))
    let pid = try #require(result.text.split(separator: " ").first.flatMap { Int32($0) })
    #expect(await eventually { isGone(pid) })
  }

  @Test("With --kill-after 0 capture never kills the command")
  func withoutKillAfterNothingIsKilled() async throws {
    let result = try await runUntilTimeIsUp(
      "-k", "0", "--preserve-status",
      line: "trap 'sleep 0.5; exit 3' TERM; echo ready; while :; do sleep 1; done")
    #expect(result.exit == .exited(3))
  }

  @Test("capture --signal sends that signal at the timeout")
  func anotherSignal() async throws {
    let result = try await runUntilTimeIsUp(
      "-s", "usr1",
      line: "trap 'echo caught; exit 3' USR1; echo ready; while :; do sleep 1; done")
    #expect(result.text == "ready\ncaught\n")
    #expect(result.exit == .exited(124))
    #expect(result.stderr.hasSuffix("it got SIGUSR1\n"))
    let stubborn = try await runUntilTimeIsUp(
      "-s", "usr1", "-k", "100ms",
      line: "trap '' USR1; echo ready; while :; do sleep 1; done")
    #expect(stubborn.exit == .exited(137))
  }

  @Test("A timeout ends a stopped command")
  func aStoppedCommandFindsTheSignal() async throws {
    for options in [["--timeout", "0.3"], ["--timeout", "0.3", "-k", "0", "-s", "INT"]] {
      let result = try await Run(arguments: options + shell("kill -STOP $$")).result()
      #expect(result.exit == .exited(124))
    }
  }

  @Test("capture --preserve-status exits with the command's status after a timeout")
  func theCommandsStatusIsPreserved() async throws {
    let result = try await runUntilTimeIsUp(
      "-k", "0", "--preserve-status",
      line: "trap 'exit 3' TERM; echo ready; while :; do sleep 1; done")
    #expect(result.exit == .exited(3))
    let sleep = try await run("--timeout", "0.1", "--preserve-status", command: ["sleep", "1000"])
    #expect(sleep.exit == .exited(143))
  }

  @Test("capture --timeout 0 sets no limit")
  func zeroIsNoLimit() async throws {
    let result = try await run("--timeout", "0", command: shell("sleep 0.2; echo hello"))
    #expect(result.exit == .exited(0))
    #expect(result.text == "hello\n")
  }
}

/// `--linger`: others that hold the output open after the command's end.
@Suite struct LingerTests {
  @Test("A linger time that exceeds the timeout does not count as a timeout")
  func aCommandThatEndedInTimeIsNoTimeout() async throws {
    // On a busy machine the command may need longer than the first limit.
    for seconds in [1, 4, 16, 64] {
      let result = try await run(
        "--timeout", "\(seconds)", "--linger", "\(seconds)500ms",
        command: shell("sleep 1000 & echo $!; exit 0"))
      if let sleep = Int32(result.text.dropLast()) { kill(sleep, SIGKILL) }
      if result.exit == .exited(124), seconds < 64 { continue }
      #expect(result.exit == .exited(0))
      let line = "still held the command's output open \(seconds).500 s after its end"
      #expect(result.stderr.contains(line))
      #expect(!result.stderr.contains("--timeout"))
      break
    }
  }

  @Test(
    "capture --linger ends though a grandchild keeps writing",
    arguments: [["--live"], ["--no-live"], ["--json"]])
  func aChattyGrandchildDoesNotHoldItOpen(_ options: [String]) async throws {
    let line = "echo first; (while echo chat; do sleep 0.01; done) & exit 4"
    let result = try await Run(
      arguments: options + ["--linger", "300ms"] + shell(line)
    ).result()
    #expect(result.exit == .exited(4))
    #expect(result.stderr.contains("(--linger)"))
    #expect(!result.stdout.isEmpty)
  }

  @Test("capture --linger captures output that arrives after the command's end")
  func whatComesInTimeIsCaptured() async throws {
    let result = try await run(
      "--linger", "1d", command: shell("(sleep 0.3; echo late) & echo soon"))
    #expect(result.text == "soon\nlate\n")
    #expect(result.stderr == "")
    let none = try await run("--linger", "0", command: shell("sleep 20 & echo $!; exit 0"))
    #expect(none.exit == .exited(0))
    kill(try #require(Int32(none.text.dropLast())), SIGKILL)
  }

  @Test("The accounts balance though another process still floods the output at the end")
  func aFloodAtTheEnd() async throws {
    let result = try await run(
      "--json", "--linger", "0.2", command: shell("yes & echo now; exit 2"))
    #expect(result.exit == .exited(2))
    let report = try Report(result.stdout)
    #expect(report.summary.missed_bytes == report.summary.lost_bytes)
    #expect(report.chunkBytes + report.summary.missed_bytes == report.summary.total_bytes)
    #expect(report.summary.retained_bytes == report.chunkBytes)
  }
}
