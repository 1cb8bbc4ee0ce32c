import Foundation
import ProcessHost
import Testing

/// `--timeout` and what belongs to it, as with timeout(1).
///
/// Limits are long where the command has to do something first, and short where they are only to
/// pass.
@Suite struct TimeLimitTests {
  @Test func theOutputOfACommandThatTimedOutIsShown() async throws {
    let result = try await run(
      "--on-failure", "--timeout", "3s",
      command: shell("trap 'exit 0' TERM; echo out; echo err >&2; while :; do sleep 0.01; done"))
    #expect(result.exit == .exited(124))
    #expect(result.text == "out\n")
    #expect(result.stderr.hasPrefix("err\n"))
    let line = "capture: the command had not ended after 3 s (--timeout): it got SIGTERM\n"
    #expect(result.stderr.hasSuffix(line))
  }

  @Test func aCommandThatHadToBeKilledIsTold() async throws {
    let line = "trap '' TERM; while :; do sleep 0.01; done"
    let result = try await run("--timeout", "3s", "-k", "100ms", command: shell(line))
    #expect(result.exit == .exited(137))
    #expect(result.stderr.hasSuffix("it got SIGTERM, and then SIGKILL\n"))
    let killed = try await run("--timeout", "0.1", "--signal", "KILL", command: ["sleep", "1000"])
    #expect(killed.exit == .exited(137))
    #expect(killed.stderr.hasSuffix("it got SIGKILL\n"))
  }

  @Test(arguments: ["TERM", "USR1"])
  func theWholeGroupIsKilled(_ signal: String) async throws {
    // The grandchild has closed its output: nothing but its group leads to it.
    let grandchildLine = "(trap '' \(signal); exec >/dev/null 2>&1; exec sleep 1000)"
    let line = "\(grandchildLine) & echo $!; exec sleep 1000"
    let result = try await run(
      "--timeout", "3s", "-s", signal, "-k", "100ms", command: shell(line))
    #expect(result.exit == .exited(124))
    let grandchild = try #require(Int32(result.text.dropLast()))
    #expect(await eventually { isGone(grandchild) })
  }

  @Test func withoutKillAfterNothingIsKilled() async throws {
    let line = "trap 'sleep 0.5; exit 3' TERM; while :; do sleep 0.01; done"
    let result = try await run("--timeout", "200ms", "-k", "0", command: shell(line))
    #expect(result.exit == .exited(124))
  }

  @Test func anotherSignal() async throws {
    let line = "trap 'echo caught; exit 3' USR1; while :; do sleep 0.01; done"
    let result = try await run("--timeout", "3s", "-s", "usr1", command: shell(line))
    #expect(result.text == "caught\n")
    #expect(result.exit == .exited(124))
    #expect(result.stderr.hasSuffix("it got SIGUSR1\n"))
    let stubborn = try await run(
      "--timeout", "3s", "-s", "usr1", "-k", "100ms",
      command: shell("trap '' USR1; while :; do sleep 0.01; done"))
    #expect(stubborn.exit == .exited(137))
  }

  @Test func aStoppedCommandFindsTheSignal() async throws {
    for options in [["--timeout", "0.3"], ["--timeout", "0.3", "-k", "0", "-s", "INT"]] {
      let result = try await Run(arguments: options + shell("kill -STOP $$")).result()
      #expect(result.exit == .exited(124))
    }
  }

  @Test func theCommandsStatusIsPreserved() async throws {
    let line = "trap 'exit 3' TERM; while :; do sleep 0.01; done"
    let result = try await run(
      "--timeout", "3s", "-k", "0", "--preserve-status", command: shell(line))
    #expect(result.exit == .exited(3))
    let sleep = try await run("--timeout", "0.1", "--preserve-status", command: ["sleep", "1000"])
    #expect(sleep.exit == .exited(143))
  }

  @Test func zeroIsNoLimit() async throws {
    let result = try await run("--timeout", "0", command: shell("sleep 0.2; echo hello"))
    #expect(result.exit == .exited(0) && result.text == "hello\n")
  }
}

/// `--linger`: others that hold the output open after the command's end.
@Suite struct LingerTests {
  @Test func aCommandThatEndedInTimeIsNoTimeout() async throws {
    let result = try await run(
      "--timeout", "3s", "--linger", "3500ms", command: shell("sleep 20 & echo $!; exit 0"))
    #expect(result.exit == .exited(0))
    #expect(result.stderr.contains("still held the command's output open 3.500 s after its end"))
    #expect(!result.stderr.contains("--timeout"))
    kill(try #require(Int32(result.text.dropLast())), SIGKILL)
  }

  @Test(arguments: [["--live"], ["--no-live"], ["--json"]])
  func aChattyGrandchildDoesNotHoldItOpen(_ options: [String]) async throws {
    let line = "(while echo chat; do sleep 0.01; done) & exit 4"
    let result = try await Run(
      arguments: options + ["--linger", "300ms"] + shell(line)
    ).result()
    #expect(result.exit == .exited(4))
    #expect(result.stderr.contains("(--linger)"))
    #expect(!result.stdout.isEmpty)
  }

  @Test func whatComesInTimeIsCaptured() async throws {
    let result = try await run(
      "--linger", "1d", command: shell("(sleep 0.3; echo late) & echo soon"))
    #expect(result.text == "soon\nlate\n")
    #expect(result.stderr == "")
    let none = try await run("--linger", "0", command: shell("sleep 20 & echo $!; exit 0"))
    #expect(none.exit == .exited(0))
    kill(try #require(Int32(none.text.dropLast())), SIGKILL)
  }
}
