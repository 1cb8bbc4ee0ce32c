import Processes
import Synchronization
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A clock that is set by hand, in nanoseconds.
private final class ManualClock: Sendable {
  private let now = Atomic<Int64>(0)
  func advance(seconds: Int64) { now.add(seconds * 1_000_000_000, ordering: .relaxed) }
  var clock: ActivityClock { ActivityClock { self.now.load(ordering: .relaxed) } }
}

/// Processes that a manager limits, sweeps, forgets and shuts down.
@Suite struct ProcessManagerTests {
  private let time = ManualClock()

  private func session(_ id: String) -> Session {
    Session(id: id, workspaceID: "tests", clock: time.clock)
  }

  private static let sleeping = Command("sleep", "1000")

  @Test("[manager-forget] A process that its manager forgets is terminated")
  func whatIsForgottenIsEnded() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10))
    let process = try await manager.launch(Self.sleeping, into: session("a"))
    #expect(manager.process(id: "a") === process)
    #expect(manager.count == 1)
    #expect(manager.processes.map(\.id) == [process.id])
    #expect(manager.forget(id: "a") === process)
    #expect(manager.forget(id: "a") == nil)
    #expect(manager.count == 0)
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
  }

  @Test(
    "[manager-forget] A reader of a forgotten process gets its last output, exit and close"
  )
  func waitsEndWithTheClose() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10))
    let command = Command.shell(
      "trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 1; done")
    let process = try await manager.launch(command, into: session("a"))
    let elements = Task {
      var (text, last) = ("", Output())
      for await output in process.session.outputs() {
        text += output.chunks.payload.description
        last = output
        if text.hasPrefix("ready\n") { manager.forget(id: "a") }
      }
      return (text, last)
    }
    let (text, last) = await elements.value
    // Between the two a shell may tell that its own child was terminated.
    #expect(text.hasPrefix("ready\n"))
    #expect(text.hasSuffix("bye\n"))
    #expect(last.isClosed)
    #expect(last.exitCode == 3)
  }

  @Test("A reader of a forgotten process whose output stays open is told that it was forgotten")
  func waitsEndWithoutTheClose() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10), grace: .zero)
    // What leaves the group is not reached, and holds the output open.
    var command = Command.shell("setsid sh -c 'echo $$; exec sleep 1000' & wait")
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    let process = try await manager.launch(command, into: session("a"))
    let ready = await process.session.output(since: .start, waitingUpTo: nil)
    let rest = try #require(pid_t(ready.chunks.payload.description.dropLast()))
    defer { kill(rest, SIGKILL) }
    let exited = Task {
      await process.session.output(since: ready.cursor, waitingUpTo: nil)
    }
    manager.forget(id: "a")
    let killed = await exited.value
    #expect(killed.exitCode == 128 + SIGKILL)
    let output = await process.session.output(since: killed.cursor, waitingUpTo: nil)
    #expect(output.isForgotten)
    #expect(!output.isClosed)
  }

  @Test("[manager-forget] A sweep ends idle processes, drops ended ones and spares busy ones")
  func whatIsIdleIsEnded() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10))
    let silent = try await manager.launch(Self.sleeping, into: session("silent"))
    let ended = try await manager.launch(Command("echo", "hello"), into: session("ended"))
    var command = Command("cat")
    command.input = .pipe
    let busy = try await manager.launch(command, into: session("busy"))
    try await ended.waitUntilClosed()
    time.advance(seconds: 9)
    #expect(manager.sweep().isEmpty)
    // Readable after its end, until it is idle.
    #expect(manager.process(id: "ended")?.session.exitCode == 0)
    try await busy.input?.write("x\n".utf8)
    _ = await busy.session.output(since: 0, waitingUpTo: nil)
    time.advance(seconds: 2)
    #expect(Set(manager.sweep().map(\.session.id)) == ["silent", "ended"])
    #expect(manager.processes.map(\.session.id) == ["busy"])
    #expect(try await silent.waitUntilClosed() == .signaled(SIGTERM))
    #expect(busy.isRunning)
    await manager.shutDown()
    #expect(!busy.isRunning)
  }

  @Test("A manager that spares running processes sweeps only ended ones")
  func silentButRunningMayBeSpared() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10), sparesRunning: true)
    let silent = try await manager.launch(Self.sleeping, into: session("silent"))
    let ended = try await manager.launch(Command("true"), into: session("ended"))
    try await ended.waitUntilClosed()
    time.advance(seconds: 1_000)
    #expect(manager.sweep().map(\.session.id) == ["ended"])
    #expect(silent.isRunning)
    await manager.shutDown(grace: .zero)
    #expect(silent.exit == .signaled(SIGKILL))
  }

  @Test("A manager refuses launches beyond its limit and under an id in use")
  func thereIsALimit() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10), limit: 3)
    for id in ["a", "b"] { try await manager.launch(Self.sleeping, into: session(id)) }
    await #expect(throws: LaunchError.idTaken(id: "a")) {
      try await manager.launch(Self.sleeping, into: session("a"))
    }
    // A failure leaves its place free.
    await #expect(throws: LaunchError.self) {
      try await manager.launch(Command("no-such-command"), into: session("c"))
    }
    try await manager.launch(Command("true"), into: session("c"))
    await #expect(throws: LaunchError.tooManySessions(limit: 3)) {
      try await manager.launch(Self.sleeping, into: session("d"))
    }
    manager.forget(id: "b")
    try await manager.launch(Self.sleeping, into: session("d"))
    await manager.shutDown()
  }

  /// However many come at once.
  @Test("Concurrent launches do not exceed the manager's limit")
  func theLimitHoldsForLaunchesAtOnce() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10), limit: 5)
    let launched = await withTaskGroup(of: Bool.self) { group in
      for index in 0..<40 {
        group.addTask {
          let session = session("\(index % 20)")
          return (try? await manager.launch(Self.sleeping, into: session)) != nil
        }
      }
      return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
    }
    #expect(launched == 5)
    #expect(manager.count == 5)
    await manager.shutDown()
  }

  @Test(
    "Shutting a manager down ends its processes, closes their sessions and leaves nothing behind")
  func shuttingDownEndsEverything() async {
    await #expect(processExitsWith: .success) {
      let descriptors = try await settledDescriptorCount()
      let manager = ProcessManager(idleTimeout: .seconds(10), grace: .milliseconds(50))
      manager.run()
      var sessions: [Session] = []
      for line in ["exec sleep 1000", "trap '' TERM; while :; do sleep 1; done", "exit 3"] {
        let session = Session(id: line, workspaceID: "tests")
        try await manager.launch(.shell(line), into: session)
        sessions.append(session)
      }
      _ = try await manager.process(id: "exit 3")?.waitForExit()
      await manager.shutDown()
      #expect(sessions.allSatisfy { $0.isClosed })
      #expect(sessions[2].exitCode == 3)
      #expect(children() == [])
      await #expect(throws: LaunchError.hostClosed) {
        try await manager.launch(Command("true"), into: Session(id: "x", workspaceID: "tests"))
      }
      #expect(manager.count == 3)
      #expect(await eventually { descriptorCount() == descriptors })
    }
  }

  @Test("A running manager sweeps at its interval")
  func itSweepsByItself() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(10), sweepInterval: .milliseconds(2))
    manager.run()
    manager.run()
    let process = try await manager.launch(Self.sleeping, into: session("a"))
    time.advance(seconds: 11)
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    #expect(await eventually { manager.count == 0 })
    manager.stop()
  }

  @Test("Releasing the last reference to a manager ends its processes")
  func aForgottenManagerLeavesNothing() async throws {
    let session = session("a")
    _ = try await ProcessManager(idleTimeout: .seconds(10)).launch(Self.sleeping, into: session)
    #expect(await eventually { session.isClosed })
  }
}
