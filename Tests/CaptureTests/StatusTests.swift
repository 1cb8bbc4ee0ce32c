import Foundation
import ProcessHost
import Testing

/// With what status `capture` ends, and what it says when it cannot do what it was asked to.
@Suite struct StatusTests {
  @Test("capture exits with the command's status, or 128 plus the number of its signal")
  func theCommandsStatusIsPassedOn() async throws {
    for code in [0, 1, 3, 64, 127, 255] as [Int32] {
      #expect(try await run(command: shell("exit \(code)")).exit == .exited(code))
    }
    #expect(try await run(command: shell("kill -9 $$")).exit == .exited(137))
    #expect(try await run(command: shell("kill -15 $$")).exit == .exited(143))
  }

  @Test("capture exits with 127 when the command is not found, and names it")
  func notFound() async throws {
    let name = try await run(command: ["no-such-command"])
    #expect(name.exit == .exited(127))
    #expect(name.stderr.hasPrefix("capture: no-such-command: command not found in PATH ("))
    let path = try await run(command: ["/no/such/file"])
    #expect(path.exit == .exited(127))
    #expect(path.stderr == "capture: /no/such/file: no such file\n")
  }

  @Test("capture exits with 126 when the command cannot be executed, and says why")
  func notExecutable() async throws {
    let directory = try await run(command: ["/tmp"])
    #expect(directory.exit == .exited(126))
    #expect(directory.stderr == "capture: /tmp: is a directory, not a command\n")
    let way = try await run(command: ["/etc/passwd/x"])
    #expect(way.exit == .exited(126))
    #expect(way.stderr.hasPrefix("capture: /etc/passwd/x: not a directory"))
    let file = try await run(command: ["/etc/passwd"])
    #expect(file.exit == .exited(126))
    #expect(file.stderr.hasPrefix("capture: /etc/passwd: no permission to execute it"))
  }

  @Test("capture exits with 124 after a timeout, and with 137 if it killed the command")
  func timeUp() async throws {
    let result = try await runUntilTimeIsUp(line: "echo ready; exec sleep 1000")
    #expect(result.exit == .exited(124))
    #expect(result.text == "ready\n")
    let stubborn = try await runUntilTimeIsUp(
      "--kill-after", "0.1s", line: "trap '' TERM; echo ready; while :; do sleep 1; done")
    #expect(stubborn.exit == .exited(137))
    let quick = try await run("--timeout", "1h", command: shell("echo hello; exit 3"))
    #expect(quick.exit == .exited(3))
    #expect(quick.text == "hello\n")
  }

  @Test("capture exits with 64 on a usage error, and names the mistake")
  func usage() async throws {
    for (arguments, word) in [
      (["--timeout", "soon", "--", "true"], "“soon” is no time"),
      (["--timeout", "-1", "--", "true"], "“-1” is no time"),
      (["--timeout", "1e3", "true"], "“1e3” is no time"),
      (["--timeout", "10001d", "true"], "“10001d” is too long"), (["--timeout"], "--timeout"),
      (["--signal", "SIGNONE", "--timeout", "1", "true"], "“SIGNONE” is no signal"),
      (["-s", "65", "--timeout", "1", "true"], "“65” is no signal"),
      (["--signal", "INT", "true"], "--timeout, which is missing"),
      (["--preserve-status", "true"], "--timeout, which is missing"),
      (["--timeout", "nan", "--", "true"], "is no time"),
      (["--kill-after", "1s", "--", "true"], "--timeout, which is missing"),
      ([], "no command was given"), (["--"], "no command was given"),
      (["--no-such-option", "--", "true"], "--no-such-option"),
      (["--live", "--on-failure", "--", "true"], "exclude each other"),
    ] as [([String], String)] {
      let result = try await Run(arguments: arguments).result()
      #expect(result.exit == .exited(64), "\(arguments)")
      #expect(result.stderr.contains(word), "\(result.stderr)")
      #expect(result.stdout.isEmpty)
    }
  }

  @Test("capture exits with 74 when it cannot write to stdout")
  func aFullDiskIsNoSuccess() async throws {
    for options in [[], ["--live"], ["--json"]] {
      let full = try await Run(
        arguments: options + ["--", "echo", "hello"], redirections: ">/dev/full"
      ).result()
      #expect(full.exit == .exited(74))
      #expect(full.stderr.contains("cannot write to stdout"))
    }
  }
}

/// What the program that starts `capture` may have done before.
@Suite struct InheritanceTests {
  @Test("capture treats descriptors that were closed at its start as closed")
  func closedDescriptorsAreNobodyElses() async throws {
    for redirections in [">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"] {
      let result = try await Run(
        command: shell("echo hello"), redirections: redirections
      ).result()
      #expect(result.exit == .exited(74), "\(redirections)")
      #expect(result.text == "")
      let isHeard = !redirections.contains("2")
      // From a descriptor of the runtime's own it would be another error.
      #expect(
        result.stderr.contains("cannot write to stdout: Bad file descriptor") == isHeard,
        "\(result.stderr)")
    }
    for redirections in ["<&-", "2>&-", "<&- 2>&-"] {
      let result = try await Run(
        command: shell("echo hello; exit 3"), redirections: redirections
      ).result()
      #expect(result.exit == .exited(3), "\(redirections)")
      #expect(result.text == "hello\n")
    }
  }

  @Test("capture passes the command's status on even where SIGCHLD was ignored at its start")
  func anIgnoredChildSignalHidesNothing() async throws {
    // Not dash, which does not pass it on.
    let line = "trap '' CHLD; exec \"$0\" -- sh -c 'exit 7'"
    let capture = try await CommandHost.shared.launch(
      Command("bash", "-c", line, captureExecutable), into: .init(id: "", workspaceID: ""))
    #expect(try await capture.waitUntilClosed() == .exited(7))
  }
}

/// Signals, and pipelines.
@Suite struct SignalTests {
  @Test(
    "A signal to capture reaches every process of the command's group",
    arguments: [ProcessSignal.interrupt, .terminate, .hangUp, .quit])
  func signalsReachTheWholeGroup(_ signal: ProcessSignal) async throws {
    let capture = try await Run(
      "--live", command: shell("sh -c 'echo $$; exec sleep 1000' | cat"))
    #expect(await eventually { capture.stdout.last == UInt8(ascii: "\n") })
    let grandchild = try #require(Int32(String(decoding: capture.stdout, as: UTF8.self).dropLast()))
    try capture.process.signal(signal)
    #expect(try await capture.result().exit == .signaled(signal.rawValue))
    #expect(await eventually { isGone(grandchild) })
  }

  @Test("capture waits for a command that handles the signal, and passes its status on")
  func aCommandMayTakeItsTimeToEnd() async throws {
    let capture = try await Run(
      "--live",
      command: shell("trap 'echo caught; exit 7' TERM; echo ready; while :; do sleep 1; done"))
    #expect(await eventually { capture.stdout == Data("ready\n".utf8) })
    try capture.process.signal(.terminate)
    let result = try await capture.result()
    #expect(result.text == "ready\ncaught\n")
    #expect(result.exit == .exited(7))
  }

  @Test("A second signal ends capture's wait for processes that hold the output open")
  func aSecondSignalEndsTheWaitForOthers() async throws {
    // What a shell runs in the background ignores SIGINT.
    let capture = try await Run(
      "--json", "--linger", "1d", command: shell("sleep 1000 & echo $!; kill -INT $$; sleep 1000"))
    let number = capture.process.processID
    // Once the command has ended, it is a zombie: capture's child without a command line.
    #expect(await eventually { childStates(of: number) == ["Z"] })
    try capture.process.signal(.interrupt)
    let result = try await capture.result()
    #expect(result.exit == .signaled(SIGINT))
    let report = try Report(result.stdout)
    #expect(!report.summary.closed)
    #expect(!report.summary.alive)
    let grandchild = try #require(Int32(report.text("stdout").dropLast()))
    #expect(!isGone(grandchild))
    kill(grandchild, SIGKILL)
  }

  @Test(
    "A signal ends capture while it waits to write to a full pipe",
    .timeLimit(.minutes(10)), arguments: [[], ["--live"]])
  func aSignalEndsAWriteThatNobodyReads(_ options: [String]) async throws {
    let fifo = NSTemporaryDirectory() + "capture-test-" + UUID().uuidString
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    defer { unsafe _ = unlink(fifo) }
    let reader = unsafe open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
    defer { close(reader) }
    let capture = try await Run(
      arguments: options + ["--", "head", "-c", "500000", "/dev/zero"],
      redirections: ">'\(fifo)'")
    // The command has ended and been reaped: the session is closed. The fifo is full.
    let number = capture.process.processID
    #expect(
      await eventually { unreadBytes(of: reader) >= 65_536 && childStates(of: number).isEmpty })
    try capture.process.signal(.terminate)
    #expect(try await capture.result().exit == .signaled(SIGTERM))
  }

  @Test("After a signal capture still has time to write what it has")
  func aSignalLeavesTimeToWrite() async throws {
    // On a busy machine the second may be over too soon: then it tries again.
    for attempt in 1...5 {
      let fifo = NSTemporaryDirectory() + "capture-test-" + UUID().uuidString
      try #require(unsafe mkfifo(fifo, 0o600) == 0)
      defer { unsafe _ = unlink(fifo) }
      let reader = unsafe open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
      let capture = try await Run(
        command: ["head", "-c", "500000", "/dev/zero"], redirections: ">'\(fifo)'")
      let number = capture.process.processID
      #expect(
        await eventually { unreadBytes(of: reader) >= 65_536 && childStates(of: number).isEmpty })
      try capture.process.signal(.terminate)
      // Until capture has ended, there is something to read, or will be.
      var count = 0
      var buffer = [UInt8](repeating: 0, count: 65_536)
      while true {
        let read = unsafe read(reader, &buffer, buffer.count)
        if read == 0 { break }
        if read > 0 { count += read } else { usleep(1_000) }
      }
      close(reader)
      // On a busy machine the second may be over before all is written, or all is written before
      // capture takes the signal.
      let exit = try await capture.result().exit
      if count == 500_000, exit == .signaled(SIGTERM) { return }
      #expect(attempt < 5, "\(count) bytes, \(exit)")
    }
  }

  @Test("A signal during the launch ends capture")
  func signalsDuringTheLaunchAreNotLost() async throws {
    // Whether capture has begun to take signals or not, the signal ends it in the end.
    for _ in 0..<50 {
      let capture = try await Run(command: ["sleep", "1000"])
      try capture.process.signal(.terminate)
      #expect(try await capture.result().exit == .signaled(SIGTERM))
    }
  }

  @Test("capture ignores a signal that was ignored at its start")
  func signalsIgnoredFromTheStartStayIgnored() async throws {
    let line = "trap '' HUP; exec \"$0\" --live -- sh -c 'echo $$; exec sleep 1000'"
    let capture = try await CommandHost.shared.launch(
      Command("/bin/sh", "-c", line, captureExecutable), into: .init(id: "", workspaceID: ""))
    #expect(await eventually { capture.session.lastSeq > 0 })
    try capture.signal(.hangUp)
    try capture.signal(.terminate)
    // Had SIGHUP been passed on, it would have come first.
    #expect(try await capture.waitUntilClosed() == .signaled(SIGTERM))
  }

  @Test(
    "A pipeline with capture --live ends when its reader ends",
    arguments: [["--live"], ["--live", "--json"]])
  func aPipelineEndsWithItsReader(_ options: [String]) async throws {
    let line = "\"$@\" -- yes | head -n 1 >/dev/null"
    let session = try await CommandHost.shared.launch(
      Command("/bin/sh", arguments: ["-c", line, "sh", captureExecutable] + options),
      into: .init(id: "", workspaceID: ""))
    #expect(try await session.waitUntilClosed() == .exited(0))
  }

  @Test("capture exits with 0 when the reader of its output is gone")
  func aReaderThatIsGoneIsNoError() async throws {
    let line = "{ \"$0\" -- seq 100000; echo $? >&2; } | head -n 1"
    let process = try await CommandHost.shared.launch(
      Command("/bin/sh", "-c", line, captureExecutable), into: .init(id: "", workspaceID: ""))
    try await process.waitUntilClosed()
    let output = process.session.output()
    let stderr = output.chunks.filter { $0.stream == .stderr }.map(\.data.description).joined()
    #expect(stderr == "0\n")
  }

  @Test("The command starts with SIGPIPE at its default")
  func theCommandHasDefaultSignals() async throws {
    let result = try await run(command: shell("yes | head -n 1"))
    #expect(result.text == "y\n")
    #expect(result.exit == .exited(0))
  }
}
