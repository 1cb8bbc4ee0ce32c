import Foundation
import ProcessHost
import Processes
import Testing

/// `--merge`.
@Suite(.timeLimit(.minutes(10))) struct MergeTests {
  @Test("capture --merge keeps the order in which the command wrote to both streams")
  func theOrderOfBothStreamsIsKept() async throws {
    let line = "for i in 1 2 3 4 5 6 7 8 9; do echo out$i; echo err$i >&2; done"
    let result = try await run("--merge", command: shell(line))
    #expect(result.text == (1...9).map { "out\($0)\nerr\($0)\n" }.joined())
    #expect(result.stderr == "")
    let json = try await run("--merge", "--json", command: shell(line))
    #expect(try Report(json.stdout).text("stdout") == result.text)
  }
}

/// `--foreground`.
@Suite(.timeLimit(.minutes(10))) struct ForegroundTests {
  @Test("With --foreground the command can read from the terminal")
  func theCommandReadsFromTheTerminal() async throws {
    let console = try await Console(
      "exec \"$0\" --foreground sh -c 'echo ask; read x </dev/tty; echo got-$x'")
    #expect(await console.shows("ask"))
    try await console.type("word\n")
    #expect(await console.shows("got-word"))
    #expect(try await console.process.waitUntilClosed() == .exited(0))
  }

  @Test("Without --foreground a read from the terminal fails at once")
  func withoutItReadingFromTheTerminalFailsAtOnce() async throws {
    let console = try await Console("exec \"$0\" sh -c 'read x </dev/tty; echo got-$?-$x'")
    #expect(await console.shows("got-"))
    try await console.process.waitUntilClosed()
  }

  @Test("With --foreground the command gets one SIGINT for one Ctrl-C")
  func ctrlCReachesTheCommandOnce() async throws {
    let console = try await Console(
      "exec \"$0\" --foreground --live sh -c '"
        + "trap \"echo in-terrupted; told=1\" INT; echo ready; "
        + "until [ $told ]; do sleep 1; done; read x </dev/tty; echo got-$x'")
    #expect(await console.shows("ready"))
    try await console.type("\u{3}")
    #expect(await console.shows("in-terrupted"))
    try await Task.sleep(for: .milliseconds(200))
    try await console.type("word\n")
    #expect(await console.shows("got-word"))
    #expect(try await console.process.waitUntilClosed() == .exited(0))
    #expect(console.text.components(separatedBy: "in-terrupted").count == 2)
  }

  @Test("With --foreground capture ends by SIGINT when Ctrl-C ends the command")
  func ctrlCEndsCaptureAsItEndedTheCommand() async throws {
    let console = try await Console("exec \"$0\" --foreground sh -c 'echo ready; exec sleep 1000'")
    #expect(await console.shows("ready"))
    try await console.type("\u{3}")
    #expect(try await console.process.waitUntilClosed() == .signaled(SIGINT))
  }

  @Test("With --foreground capture ends by SIGINT though it may learn of the command's end first")
  func ctrlCThatArrivesLate() async throws {
    for _ in 0..<5 {
      let console = try await Console(
        "exec \"$0\" --foreground sh -c 'echo ready $$; exec sleep 1000'")
      #expect(await console.shows("\r\n"))
      let command = try #require(number(after: "ready ", in: console.text))
      let capture = console.process.processID
      kill(capture, SIGSTOP)
      #expect(await eventually { state(of: capture) == "T" })
      try await console.type("\u{3}")
      #expect(await eventually { state(of: command) == "Z" })
      kill(capture, SIGCONT)
      #expect(try await console.process.waitUntilClosed() == .signaled(SIGINT))
    }
  }

  @Test("With --foreground a command that handles Ctrl-C and ends at once keeps its status")
  func ctrlCThatIsHandledAtOnce() async throws {
    for _ in 0..<10 {
      // Perl handles a signal that comes just before it sleeps only when it has slept.
      let console = try await Console(
        "exec \"$0\" --foreground perl -e '$SIG{INT} = sub { exit 7 }; print STDERR qq(ready\n);"
          + " sleep 1 while 1'")
      #expect(await console.shows("ready"))
      try await console.type("\u{3}")
      #expect(try await console.process.waitUntilClosed() == .exited(7))
    }
  }

  #if os(Linux)
    @Test("With --foreground the hangup of the terminal that capture leads ends the command")
    func hangup() async throws {
      let path = NSTemporaryDirectory() + "capture-\(UUID().uuidString)"
      defer { unsafe unlink(path) }
      let line =
        "exec '\(captureExecutable)' --foreground sh -c 'echo $$ >\(path); exec sleep 1000'"
      let session = Session(id: "script", workspaceID: "tests")
      let script = try await CommandHost.shared.launch(
        Command("script", "-qc", line, "/dev/null"), into: session)
      var command: Int32?
      #expect(
        await eventually {
          command = (try? String(contentsOfFile: path, encoding: .utf8)).flatMap {
            Int32($0.dropLast())
          }
          return command != nil
        })
      // Alone: its group has the terminal's other end.
      kill(script.processID, SIGKILL)
      let process = try #require(command)
      #expect(await eventually { isGone(process) })
    }
  #endif

  @Test("With --foreground a timeout signals the command alone, and not its children")
  func aTimeoutReachesTheCommandAlone() async throws {
    let line = "sleep 1000 >/dev/null 2>&1 & echo $!; exec sleep 1000"
    let result = try await run("--foreground", "--timeout", "2s", command: shell(line))
    #expect(result.exit == .exited(124))
    let child = try #require(Int32(result.text.dropLast()))
    #expect(!isGone(child))
    kill(child, SIGKILL)
  }

  @Test("With --foreground capture forwards a signal from another process")
  func aSignalOfAProcessIsPassedOn() async throws {
    let capture = try await Run("--foreground", command: shell("echo ready; exec sleep 1000"))
    let number = capture.process.processID
    #expect(await eventually { !children(of: number).isEmpty })
    kill(number, SIGTERM)
    #expect(try await capture.result().exit == .signaled(SIGTERM))
  }

  @Test("With --foreground Ctrl-Z stops the command, and fg continues it")
  func ctrlZStopsBothAndFgContinuesThem() async throws {
    let console = try await Console.shell()
    try await console.type(
      "$CAPTURE --foreground sh -c 'echo pid-$$; exec sleep 1000'\n")
    #expect(await eventually { number(after: "pid-", in: console.text) != nil })
    let command = try #require(number(after: "pid-", in: console.text))
    try await console.type("\u{1a}")
    #expect(await eventually { state(of: command) == "T" })
    #expect(await console.shows("Stopped"))
    try await console.type("fg\n")
    #expect(await eventually { state(of: command) != "T" })
    try await console.type("\u{3}")
    #expect(await eventually { state(of: command) == nil })
    try await console.type("exit\n")
    try await console.process.waitUntilClosed()
  }

  @Test("capture refuses --tty together with --foreground")
  func aTerminalOfItsOwnIsSomethingElse() async throws {
    let result = try await run("--tty", "--foreground", command: ["true"])
    #expect(result.exit == .exited(64))
    #expect(result.stderr.contains("exclude each other"))
  }
}

/// What becomes of the command if capture is killed.
@Suite(.timeLimit(.minutes(10))) struct KilledTests {
  private func killed(_ options: String...) async throws -> Int32 {
    let capture = try await Run(arguments: options + ["sleep", "1000"])
    let number = capture.process.processID
    #expect(await eventually { children(of: number).count == 1 })
    let child = try #require(children(of: number).first)
    // Until then it is a copy of capture.
    #expect(await eventually { isExecuting("sleep", child) })
    kill(number, SIGKILL)
    _ = try await capture.result()
    return child
  }

  private func isExecuting(_ name: String, _ process: Int32) -> Bool {
    let data = FileManager.default.contents(atPath: "/proc/\(process)/comm") ?? Data()
    return String(decoding: data, as: UTF8.self) == name + "\n"
  }

  @Test("The command is killed when capture is killed")
  func theCommandIsKilledAsWell() async throws {
    let command = try await killed()
    #expect(await eventually { isGone(command) })
  }

  @Test("With --outlive the command runs on when capture is killed")
  func aCommandMayOutliveCapture() async throws {
    let command = try await killed("--outlive")
    try await Task.sleep(for: .milliseconds(300))
    #expect(!isGone(command))
    kill(command, SIGKILL)
  }
}
