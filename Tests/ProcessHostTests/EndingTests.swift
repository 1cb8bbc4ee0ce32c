import Processes
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Processes that are to end, and those that will not.
@Suite struct EndingTests {
  private static let never: Duration = .seconds(1_000)

  /// Starts a command, and waits for its first line.
  private func start(
    _ line: String, quietGrace: Duration? = nil, on host: CommandHost = .shared
  ) async throws -> (HostedProcess, firstLine: String) {
    var command = Command.shell(line)
    (command.quietGrace, command.lingerLimit) = (quietGrace, nil)
    let process = try await host.launch(command, into: freshSession())
    _ = await process.session.output(since: 0, waitingUpTo: nil)
    return (process, String(text(process.session).prefix { $0 != "\n" }))
  }

  @Test("[terminate] A process that ends at the first signal is not killed")
  func whoEndsWhenAskedIsNotKilled() async throws {
    let (process, _) = try await start(
      "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1; done")
    process.terminate(grace: Self.never)
    #expect(try await process.waitUntilClosed() == .exited(3))
    #expect(text(process.session) == "ready\nbye\n")
  }

  @Test("[terminate] A process that ignores the first signal is killed after the grace")
  func whoIgnoresItIsKilled() async throws {
    let (process, _) = try await start("trap '' TERM; echo ready; while :; do sleep 1; done")
    process.terminate(grace: .milliseconds(50))
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
    #expect(process.session.exitCode == 128 + SIGKILL)
    // Nobody is left to ask.
    process.terminate()
  }

  @Test("Terminating with a grace of zero kills the process at once")
  func noGraceIsAKill() async throws {
    let (process, _) = try await start(
      "trap 'exit 3' TERM; echo ready; while :; do sleep 1; done")
    process.terminate(grace: .zero)
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  @Test("[terminate] The first signal need not be SIGTERM")
  func anotherSignal() async throws {
    let (process, _) = try await start(
      "trap 'exit 3' INT; trap '' TERM; echo ready; while :; do sleep 1; done")
    process.terminate(with: .interrupt, grace: Self.never)
    #expect(try await process.waitUntilClosed() == .exited(3))
  }

  @Test(
    "A process that ignores the first signal, whichever it is, is killed after the grace",
    arguments: [ProcessSignal.hangUp, .interrupt, ProcessSignal(rawValue: 1_000)])
  func anotherSignalIgnored(signal: ProcessSignal) async throws {
    let (process, _) = try await start(
      "trap '' HUP INT; echo ready; while :; do sleep 1; done")
    process.terminate(with: signal, grace: .milliseconds(50))
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  @Test("SIGKILL as the first signal does not wait for the grace")
  func killAsTheFirst() async throws {
    let (process, _) = try await start("echo ready; while :; do sleep 1; done")
    process.terminate(with: .kill, grace: Self.never)
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  @Test("The first signal and SIGKILL reach processes of the group that closed their output")
  func anotherSignalToTheRest() async throws {
    let directory = TemporaryDirectory()
    let (process, line) = try await start(
      "sh -c 'trap \"echo >\(directory.path)/got\" USR1; trap \"\" TERM; echo >\(directory.path)/ready;"
        + " while :; do sleep 1; done' >/dev/null 2>&1 & trap 'exit 3' USR1; echo $!;"
        + " while :; do sleep 1; done")
    let rest = try #require(ProcessIdentity(line))
    #expect(await eventually { contents("\(directory.path)/ready") != nil })
    process.terminate(with: ProcessSignal(rawValue: SIGUSR1), grace: Self.never)
    #expect(try await process.waitForExit() == .exited(3))
    #expect(await eventually { contents("\(directory.path)/got") == "\n" })
    #expect(!rest.isGone)
    process.terminate(grace: .milliseconds(50))
    await process.waitUntilOver()
    #expect(rest.isGone)
  }

  @Test("[signal] Terminating a stopped process continues it, so that it can handle the signal")
  func aStoppedProcessIsMadeToGoOn() async throws {
    let (process, _) = try await start(
      "trap 'exit 3' TERM; echo ready; while :; do sleep 1; done")
    try process.signal(.stop)
    process.terminate(grace: Self.never)
    #expect(try await process.waitUntilClosed() == .exited(3))
  }

  @Test("The earlier of two deadlines decides when a process is killed")
  func theEarlierKillCounts() async throws {
    let (process, _) = try await start("trap '' TERM; echo ready; while :; do sleep 1; done")
    process.terminate(grace: Self.never)
    process.terminate(grace: .milliseconds(20))
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  /// The child is gone at the first signal, with its output; a grandchild without our pipes is not,
  /// and must have its grace, and then be killed.
  ///
  /// On a busy machine the child may take longer than a grace to end; then the test tries again
  /// with one that is ten times as long.
  @Test(
    "[terminate] The other processes of the group have the same grace as the child",
    arguments: [true, false])
  func theRestOfTheGroupHasItsGraceToo(ignores: Bool) async throws {
    for grace in ignores ? [0.1, 1, 10, 100].map(Duration.seconds) : [Self.never] {
      let directory = TemporaryDirectory()
      let trap =
        ignores ? "trap '' TERM" : "trap 'sleep 0.1; echo done >\(directory.path)/done; exit' TERM"
      let (process, line) = try await start(
        "sh -c \"\(trap); echo ready >\(directory.path)/ready; while :; do sleep 1; done\""
          + " >/dev/null 2>&1 & echo $!; wait")
      let grandchild = try #require(ProcessIdentity(line))
      #expect(await eventually { contents("\(directory.path)/ready") == "ready\n" })
      process.terminate(grace: grace)
      let exit = try await process.waitForExit()
      try await process.waitUntilClosed()
      #expect(await eventually { grandchild.isGone })
      if exit == .signaled(SIGKILL), grace < .seconds(100) { continue }
      #expect(exit == .signaled(SIGTERM))
      if !ignores { #expect(contents("\(directory.path)/done") == "done\n") }
      break
    }
  }

  @Test("A child that other code kills is reported as killed")
  func aKilledChildIsReportedAsSuch() async throws {
    let (process, line) = try await start("echo $$; while :; do sleep 1; done")
    #expect(kill(try #require(Int32(line)), SIGKILL) == 0)
    #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
  }

  @Test(
    "A fatal signal ends a stopped process",
    arguments: [ProcessSignal.interrupt, .hangUp, .terminate, ProcessSignal(rawValue: SIGUSR1)])
  func signalsToTheStopped(signal: ProcessSignal) async throws {
    let (process, _) = try await start("echo ready; exec sleep 1000")
    try process.signal(.stop)
    try process.signal(signal)
    #expect(try await process.waitUntilClosed() == .signaled(signal.rawValue))
  }

  // MARK: What a command leaves behind in its group

  private static let leavesOne = "sleep 1000 >/dev/null 2>&1 & echo $!"

  @Test(
    "Processes that a command left in its group can be terminated after its end",
    arguments: [true, false])
  func terminatingWhatIsLeft(hasGrace: Bool) async throws {
    let (process, line) = try await start(Self.leavesOne)
    let rest = try #require(ProcessIdentity(line))
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(process.hasLingeringGroup)
    #expect(!rest.isGone)
    #expect(!exists(process.processID))
    process.terminate(grace: hasGrace ? Self.never : .zero)
    await process.waitUntilOver()
    #expect(rest.isGone)
    #expect(!process.hasLingeringGroup)
    #expect(throws: SignalError.processEnded) { try process.signal(.terminate) }
  }

  @Test("A process left in the group that ignores SIGTERM is killed after the grace")
  func killingWhatIsLeft() async throws {
    let directory = TemporaryDirectory()
    let (process, line) = try await start(
      "sh -c 'trap \"\" TERM; echo >\(directory.path)/ready; while :; do sleep 1; done'"
        + " >/dev/null 2>&1 & echo $!; while ! test -e \(directory.path)/ready; do sleep 0.01; done"
    )
    let rest = try #require(ProcessIdentity(line))
    try await process.waitUntilClosed()
    process.terminate(grace: .milliseconds(50))
    await process.waitUntilOver()
    #expect(rest.isGone)
  }

  @Test("A process is over when the processes that it left in its group have ended")
  func whatIsLeftEnds() async throws {
    let (process, line) = try await start("sleep 0.2 >/dev/null 2>&1 & echo $!")
    let rest = try #require(ProcessIdentity(line))
    try await process.waitUntilClosed()
    await process.waitUntilOver()
    #expect(rest.isGone)
    #expect(!process.hasLingeringGroup)
  }

  @Test(
    "[lingering-group] Processes that a command left in its group end when its host does"
  )
  func whatIsLeftEndsWithTheHost() async throws {
    for closes in [true, false] {
      var host: CommandHost? = CommandHost()
      let rest: ProcessIdentity
      do {
        let (process, line) = try await start(Self.leavesOne, on: try #require(host))
        rest = try #require(ProcessIdentity(line))
        try await process.waitUntilClosed()
      }
      #expect(!rest.isGone)
      if closes {
        await host?.close()
        #expect(rest.isGone)
      }
      host = nil
      #expect(await eventually { rest.isGone })
    }
  }

  // MARK: Output that others hold open

  @Test(
    "[held-output] The session closes when a grandchild is quiet; later output counts as dropped"
  )
  func aQuietGrandchildDoesNotKeepTheSessionOpen() async throws {
    let directory = TemporaryDirectory()
    let gate = directory.path + "/gate"
    #expect(unsafe mkfifo(gate, 0o600) == 0)
    let (process, _) = try await start(
      "(read x <\(gate); head -c 300000 /dev/zero; echo ended $? >\(directory.path)/end) &"
        + " echo ready; exit 5", quietGrace: .milliseconds(20))
    #expect(try await process.waitUntilClosed() == .exited(5))
    #expect(process.session.isClosed)
    #expect(process.droppedBytes == 0)
    // It is neither held up nor killed by writing; what it writes is counted, and nothing else.
    try await capture(.shell("echo go >\(gate)"))
    await process.waitUntilOver()
    #expect(contents("\(directory.path)/end") == "ended 0\n")
    #expect(process.droppedBytes == 300_000)
    #expect(text(process.session) == "ready\n")
    #expect(process.session.totalBytes == 6)
  }

  /// As long as something comes, the session stays open.
  ///
  /// The grandchild writes for twice the grace, four times in each. On a busy machine it may pause
  /// for longer than the grace; then it tries again with a grace that is four times as long.
  @Test("[held-output] A grandchild that keeps writing keeps the session open")
  func aTalkativeGrandchildDoes() async throws {
    let graces = [0.8, 3.2, 12.8, 51.2]
    for grace in graces {
      var command = Command.shell(
        "(for i in 1 2 3 4 5 6 7 8; do sleep \(grace / 4); echo $i; done) & exit 0")
      command.quietGrace = .seconds(grace)
      command.lingerLimit = nil
      let process = try await CommandHost.shared.launch(command, into: freshSession())
      try await process.waitUntilClosed()
      await process.waitUntilOver()
      if process.droppedBytes > 0, grace != graces.last { continue }
      #expect(text(process.session) == "1\n2\n3\n4\n5\n6\n7\n8\n")
      #expect(process.droppedBytes == 0)
      return
    }
  }

  private static let chatty =
    "(trap '' PIPE; while echo x; do sleep 0.005; done) & echo ready; exit 5"

  @Test(
    "The linger limit closes the session even if a grandchild keeps writing",
    .timeLimit(.minutes(10)))
  func lingerLimit() async throws {
    var command = Command.shell(Self.chatty)
    command.quietGrace = .seconds(1_000)
    command.lingerLimit = .milliseconds(100)
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    #expect(try await process.waitUntilClosed() == .exited(5))
    #expect(process.session.isClosed)
    #expect(process.hasLingeringGroup)
    let kept = process.session.totalBytes
    // It is not held up: what it writes is counted.
    #expect(await eventually { process.droppedBytes >= 10 })
    #expect(process.session.totalBytes == kept)
    process.terminate(grace: .zero)
    await process.waitUntilOver()
    #expect(!process.hasLingeringGroup)
  }

  @Test("Without both limits the session stays open until the output is closed")
  func noLingerLimit() async throws {
    var command = Command.shell(Self.chatty)
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    #expect(try await process.waitForExit() == .exited(5))
    try await Task.sleep(for: .milliseconds(100))
    #expect(!process.session.isClosed)
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
    #expect(process.droppedBytes == 0)
  }

  @Test("A command has a quiet grace and a linger limit by default")
  func defaultLimits() {
    #expect(Command("true").quietGrace == .seconds(2))
    #expect(Command("true").lingerLimit == .seconds(10))
  }

  /// It has left the group, and even the session, and cannot be reached.
  @Test("A daemon that holds the pipe outlives its command, and does not keep the session open")
  func aDaemonThatHoldsThePipe() async throws {
    let (process, line) = try await start(
      "setsid sh -c 'echo $$; exec sleep 1000' & wait; exit 1", quietGrace: .milliseconds(20))
    let daemon = try #require(ProcessIdentity(line))
    process.terminate(grace: .milliseconds(10))
    try await process.waitUntilClosed()
    #expect(!daemon.isGone)
    #expect(kill(daemon.id, SIGKILL) == 0)
    await process.waitUntilOver()
  }

  // MARK: Hosts

  @Test(
    "[host-close] Closing a host ends its processes, closes their sessions and leaves nothing"
  )
  func aClosedHostLeavesNothing() async {
    await #expect(processExitsWith: .success) {
      let before = try await settledDescriptorCount()
      let host = CommandHost()
      var processes: [HostedProcess] = []
      for line in [
        "echo; exec sleep 1000", "trap '' TERM; echo; while :; do sleep 1; done",
        "sleep 1000 & echo; exit 0", "setsid sh -c 'echo; exec sleep 5' & wait",
        "exec cat /dev/zero", "kill -STOP $$",
      ] {
        processes.append(try await host.launch(.shell(line), into: freshSession()))
      }
      for process in processes.prefix(5) {
        _ = await process.session.output(since: 0, waitingUpTo: nil)
      }
      await host.close(grace: .milliseconds(100))
      for process in processes {
        #expect(process.session.isClosed)
        #expect(!process.isRunning)
      }
      #expect(children() == [])
      await #expect(throws: LaunchError.hostClosed) {
        try await host.launch(Command("true"), into: freshSession())
      }
      await host.close()
      // The thread goes last.
      #expect(await eventually { descriptorCount() == before })
    }
  }

  @Test(
    "[host-close] Releasing the last reference to a host ends its processes and leaves nothing"
  )
  func aForgottenHostLeavesNothing() async {
    await #expect(processExitsWith: .success) {
      let before = try await settledDescriptorCount()
      let session = freshSession()
      var process: HostedProcess? = try await CommandHost().launch(
        Command("cat", "/dev/zero"), into: session)
      let child = ProcessIdentity(try #require(process).processID)
      #expect(await eventually { session.lastSeq > 100 })
      // A reference to the process keeps the host.
      #expect(!child.isGone)
      process = nil
      let output = await session.output(since: Cursor(seq: .max), waitingUpTo: .milliseconds(1))
      #expect(output.isCursorAhead)
      #expect(await eventually { session.isClosed })
      #expect(session.exitCode == 128 + SIGTERM)
      #expect(await eventually { descriptorCount() == before && children() == [] })
    }
  }

  @Test("A host without processes closes, and then refuses launches")
  func aHostWithoutProcessesIsClosedAtOnce() async {
    let host = CommandHost()
    await host.close()
    await #expect(throws: LaunchError.hostClosed) {
      try await host.launch(Command("true"), into: freshSession())
    }
  }

  @Test("[cancelled-launch] Cancelled launches leave no descriptors and no children behind")
  func cancelledLaunchesLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let descriptors = try await settledDescriptorCount()
      for round in 0..<100 {
        let session = freshSession()
        let task = Task {
          for _ in 0..<(round % 10) { await Task.yield() }
          return try await host.launch(Command("sleep", "1000"), into: session)
        }
        if round % 2 == 1 { try await Task.sleep(for: .microseconds(round * 20)) }
        task.cancel()
        switch await task.result {
        case .success(let process):
          process.terminate(grace: .zero)
          try await process.waitUntilClosed()
        case .failure(let error):
          #expect(error as? LaunchError == .cancelled)
        }
      }
      #expect(descriptorCount() == descriptors)
      #expect(children() == [])
    }
  }
}
