import Foundation
import ProcessHost
import Processes
import Testing

/// Signals that a shell or its terminal sends to a job.
@Suite(.timeLimit(.minutes(10))) struct JobControlTests {
  @Test("Ctrl-C ends the shell's loop that runs capture")
  func aShellsLoopStopsAtCtrlC() async throws {
    let console = try await Console(
      "for i in 1 2 3; do \"$0\" sh -c 'echo started; exec sleep 1000'; echo after; done; echo end")
    #expect(await console.shows("started"))
    try await console.type("\u{3}")
    #expect(try await console.process.waitUntilClosed() == .signaled(SIGINT))
    #expect(!console.text.contains("after"))
  }

  @Test("Ctrl-Z stops the command with capture, and fg continues both")
  func ctrlZStopsTheCommandAndFgContinuesIt() async throws {
    let console = try await Console.shell()
    // The command ignores SIGTSTP, so that nothing but SIGSTOP stops it. It starts no processes: a
    // shell that waits for one to execute its file is in state D, and not in T, while both are
    // stopped.
    try await console.type(
      "$CAPTURE sh -c \"trap '' TSTP; echo pid-\\$\\$; exec sleep 1000\"\n")
    #expect(await eventually { number(after: "pid-", in: console.text) != nil })
    let command = try #require(number(after: "pid-", in: console.text))
    for _ in 0..<2 {
      try await console.type("\u{1a}")
      #expect(await eventually { state(of: command) == "T" })
      #expect(await console.shows("Stopped"))
      try await console.type("fg\n")
      #expect(await eventually { state(of: command) != "T" })
    }
    try await console.type("\u{3}")
    #expect(await eventually { state(of: command) == nil })
    try await console.type("exit\n")
    try await console.process.waitUntilClosed()
  }

  @Test("In an orphaned group SIGTSTP stops neither capture nor the command")
  func whatNothingCouldContinueIsNotStopped() async throws {
    // As the leader of its session capture is in an orphaned group.
    let console = try await Console(
      Command(captureExecutable, "sh", "-c", "echo ready; exec sleep 1000"))
    #expect(await console.shows("ready"))
    try console.process.signal(.init(rawValue: SIGTSTP))
    let command = try #require(children(of: console.process.processID).first)
    #expect(await eventually { state(of: command) == "S" })
    try console.process.signal(.terminate)
    #expect(try await console.process.waitUntilClosed() == .signaled(SIGTERM))
  }

  @Test("The command's stdin does not end while capture is in the background")
  func stdinDoesNotEndInTheBackground() async throws {
    let console = try await Console.shell()
    try await console.type(
      "$CAPTURE --stdin sh -c 'echo re''ady; while read x; do echo got-$x; done; echo en''ded'\n")
    #expect(await console.shows("ready"))
    try await console.type("\u{1a}")
    #expect(await console.shows("Stopped"))
    try await console.type("bg\n")
    // Reading from the background would fail at once.
    try await console.type("sleep 0.5; echo wai''ted\n")
    #expect(await console.shows("waited"))
    #expect(!console.text.contains("ended"))
    try await console.type("fg\n")
    try await console.type("hello\n")
    #expect(await console.shows("got-hello"))
    try await console.type("\u{4}")
    #expect(await console.shows("ended"))
  }

  @Test(
    "capture forwards SIGUSR1, SIGUSR2 and SIGALRM to the command",
    arguments: [SIGUSR1, SIGUSR2, SIGALRM])
  func otherSignalsAreForwarded(_ number: Int32) async throws {
    let line = "trap 'echo caught; exit 7' \(number); echo ready; while :; do sleep 1; done"
    let capture = try await Run("--live", command: shell(line))
    #expect(await eventually { capture.stdout == Data("ready\n".utf8) })
    try capture.process.signal(.init(rawValue: number))
    let result = try await capture.result()
    #expect(result.text == "ready\ncaught\n")
    #expect(result.exit == .exited(7))
  }

  @Test("SIGTERM to capture ends a stopped command")
  func aStoppedCommandCanBeEnded() async throws {
    // The SIGCONT that follows the signal may reach capture first, and let the command go on.
    let line = "echo $$; kill -STOP $$; exec sleep 1000"
    let capture = try await Run("--live", command: shell(line))
    #expect(await eventually { capture.stdout.last == 10 })
    let command = try #require(Int32(String(decoding: capture.stdout, as: UTF8.self).dropLast()))
    #expect(await eventually { state(of: command) == "T" })
    try capture.process.signal(.terminate)
    #expect(try await capture.result().exit == .signaled(SIGTERM))
  }

  @Test("capture kills the command at the third signal, and says so")
  func theThirdSignalKills() async throws {
    let line = "trap 'echo caught' INT; echo ready; while :; do sleep 1; done"
    let capture = try await Run("--live", command: shell(line))
    for text in ["ready\n", "ready\ncaught\n", "ready\ncaught\ncaught\n"] {
      #expect(await eventually { capture.stdout == Data(text.utf8) })
      try capture.process.signal(.interrupt)
    }
    // On a busy machine the three may not have come within 5 seconds.
    let process = capture.process
    let impatience = Task {
      while (try? await Task.sleep(for: .milliseconds(50))) != nil {
        try? process.signal(.interrupt)
      }
    }
    let result = try await capture.result()
    impatience.cancel()
    #expect(result.exit == .signaled(SIGINT))
    #expect(result.stderr == "capture: the command was killed at the third signal, SIGINT\n")
  }

  @Test("capture exits with 130 when the command sends itself SIGINT")
  func aSignalThatTheCommandSentItselfDoesNotEndCapture() async throws {
    #expect(try await run(command: shell("kill -INT $$")).exit == .exited(130))
  }

  @Test("capture leaves no core file when SIGQUIT ends it")
  func endingBySIGQUITLeavesNoCore() async throws {
    let script = """
      import os, resource, signal, sys
      resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
      (r, w) = os.pipe()
      child = os.fork()
      if child == 0:
        os.dup2(w, 1)
        os.execv(sys.argv[1], ['capture', '--live', 'sh', '-c', 'ulimit -c 0; echo; exec sleep 1000'])
      os.read(r, 1)
      os.kill(child, signal.SIGQUIT)
      status = os.waitpid(child, 0)[1]
      print(os.WTERMSIG(status), os.WCOREDUMP(status))
      """
    let python = try await CommandHost.shared.launch(
      Command("python3", "-c", script, captureExecutable),
      into: Session(id: "core", workspaceID: "tests"))
    try await python.waitUntilClosed()
    #expect(python.session.output().chunks.map(\.data.description).joined() == "3 False\n")
  }

  @Test(
    "capture as the first process of a container reaps orphans",
    .enabled { await canMakeNamespaces() })
  func theFirstProcessOfAContainerReapsOrphans() async throws {
    // The zombie of an orphan has its entry in /proc until it is reaped.
    let line = """
      p=$(sh -c 'sleep 0.1 >/dev/null & echo $!')
      while [ -d /proc/$p ]; do sleep 0.05; done
      echo reaped; exit 3
      """
    let container = try await CommandHost.shared.launch(
      Command(
        "unshare", "--pid", "--fork", "--mount-proc", captureExecutable, "--live", "sh", "-c", line),
      into: Session(id: "container", workspaceID: "tests"))
    #expect(try await container.waitUntilClosed() == .exited(3))
    #expect(container.session.output().chunks.map(\.data.description).joined() == "reaped\n")
  }

  @Test("One thread of capture reads stdin throughout")
  func oneThreadReadsStdin() async throws {
    let fifo = NSTemporaryDirectory() + "capture-test-" + UUID().uuidString
    try #require(unsafe mkfifo(fifo, 0o600) == 0)
    defer { unsafe _ = unlink(fifo) }
    let writer = unsafe open(fifo, O_RDWR | O_CLOEXEC)
    let capture = try await Run("--live", "--stdin", command: ["cat"], redirections: "<'\(fifo)'")
    var readers: Set<String> = []
    for count in 1...20 {
      unsafe write(writer, "x", 1)
      #expect(await eventually { capture.stdout.count == count })
      #expect(await eventually { !stdinReaders(of: capture.process.processID).isEmpty })
      readers.formUnion(stdinReaders(of: capture.process.processID))
    }
    #expect(readers.count == 1)
    try capture.process.signal(.terminate)
    // The end of its input would end the command too, perhaps before the signal does.
    #expect(try await capture.result().exit == .signaled(SIGTERM))
    close(writer)
  }
}

/// Whether a process can be the first one of a container here.
private func canMakeNamespaces() async -> Bool {
  let trial = try? await CommandHost.shared.launch(
    Command("unshare", "--pid", "--fork", "--mount-proc", "true"),
    into: Session(id: "trial", workspaceID: "tests"))
  return (try? await trial?.waitUntilClosed()) == .exited(0)
}

/// The threads of a process that wait in read(2) for something on its stdin.
private func stdinReaders(of process: Int32) -> [String] {
  #if arch(x86_64)
    let read = "0 0x0 "
  #else
    let read = "63 0x0 "
  #endif
  let directory = "/proc/\(process)/task"
  let threads = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
  return threads.filter { thread in
    let call = FileManager.default.contents(atPath: "\(directory)/\(thread)/syscall") ?? Data()
    return String(decoding: call, as: UTF8.self).hasPrefix(read)
  }
}
