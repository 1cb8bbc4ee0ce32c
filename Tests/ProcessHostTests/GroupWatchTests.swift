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

/// Looking at what processes have left in their groups.
@Suite(.timeLimit(.minutes(10))) struct GroupWatchTests {
  /// Notes what is asked, and by which thread.
  private final class Scans: Sendable {
    struct Scan {
      let groups: Set<Int32>
      let thread: UInt
    }

    private let scans = Mutex<[Scan]>([])
    private let answersNothing: Atomic<Bool>

    /// - Parameter answersNothing: Whether it finds out nothing, as without descriptors.
    init(answersNothing: Bool = false) { self.answersNothing = Atomic(answersNothing) }

    var all: [Scan] { scans.withLock { $0 } }

    func findAgain() { answersNothing.store(false, ordering: .relaxed) }

    var host: CommandHost {
      CommandHost(
        groupWatch: GroupWatch { groups in
          self.scans.withLock { $0.append(Scan(groups: groups, thread: currentThread())) }
          if self.answersNothing.load(ordering: .relaxed) { return nil }
          return ProcessGroups.members(of: groups)
        })
    }
  }

  private func launch(
    _ line: String, _ count: Int, on host: CommandHost
  ) async throws -> [HostedProcess] {
    var processes: [HostedProcess] = []
    for _ in 0..<count {
      processes.append(try await host.launch(.shell(line), into: freshSession()))
    }
    return processes
  }

  @Test(
    "[terminate-many] One scan covers all groups that are to end, off the event loop's thread"
  )
  func oneLookForAll() async throws {
    let scans = Scans()
    let host = scans.host
    // The command ends at SIGTERM, what it leaves in its group only by SIGKILL.
    let processes = try await launch(
      "(trap '' TERM; echo; exec sleep 1000 >/dev/null 2>&1) & wait", 30, on: host)
    for process in processes { _ = await process.session.output(since: 0, waitingUpTo: nil) }
    for process in processes { process.terminate(grace: .seconds(1_000)) }
    for process in processes { _ = try await process.waitForExit() }
    let groups = Set(processes.map(\.processID))
    #expect(await eventually { scans.all.contains { $0.groups == groups } })
    let eventLoop = Latch<UInt>()
    let running = try host.runningEventLoop()
    running.execute { eventLoop.set(currentThread()) }
    let thread = try await eventLoop.wait()
    #expect(scans.all.allSatisfy { $0.thread != thread })
    await host.close(grace: .zero)
    for process in processes { #expect(!process.hasLingeringGroup) }
  }

  @Test("A group whose members cannot be determined does not count as empty")
  func noAnswer() async throws {
    let scans = Scans(answersNothing: true)
    let host = scans.host
    let process = try await launch(
      "(trap '' TERM; echo; exec sleep 1000 >/dev/null 2>&1) & wait", 1, on: host)[0]
    _ = await process.session.output(since: 0, waitingUpTo: nil)
    process.terminate(grace: .seconds(1_000))
    #expect(try await process.waitForExit() == .signaled(SIGTERM))
    #expect(await eventually { scans.all.count >= 3 })
    // Its PID is not free.
    let identity = ProcessIdentity(process.processID)
    #expect(identity.exists)
    scans.findAgain()
    await host.close(grace: .zero)
    #expect(!identity.exists)
  }

  @Test("Without descriptors the members of a group are unknown rather than none")
  func noDescriptors() async {
    await #expect(processExitsWith: .success) {
      let own = getpgid(0)
      #expect(ProcessGroups.members(of: [own])?[own]?.contains(getpid()) == true)
      var taken: [Int32] = []
      while true {
        let descriptor = dup(0)
        if descriptor < 0 { break }
        taken.append(descriptor)
      }
      let without = ProcessGroups.members(of: [own])
      // Enough for the directory, and for nothing in it.
      close(taken.removeLast())
      let withOne = ProcessGroups.members(of: [own])
      for descriptor in taken { close(descriptor) }
      #expect(without == nil)
      #expect(withOne == nil)
    }
  }

  @Test("An event source gets its turn among many timers or jobs", arguments: [true, false])
  func batches(timers: Bool) async throws {
    let eventLoop = try EventLoop.start()
    defer { eventLoop.stop(grace: .zero) }
    let ends = try PipeEnds.open(.fromChild)
    let writer = ends.write.number
    let lifecycle = Lifecycle(OutputSink(freshSession())!, pipes: 1, on: eventLoop)
    let session = lifecycle.sink.session
    try eventLoop.add(OutputPipe(try ends.read.duplicate(), .stdout, of: lifecycle, on: eventLoop))
    let hasLine = Latch<Bool>()
    eventLoop.execute {
      // The first of a thousand writes a line, and the last looks whether it has been read.
      for index in 0..<1_000 {
        let body: @Sendable () -> Void = {
          if index == 0 { expectWritten([1], to: writer) }
          if index == 999 { hasLine.set(session.lastSeq > 0) }
        }
        if timers {
          eventLoop.schedule(after: .zero, body)
        } else {
          eventLoop.execute(body)
        }
      }
    }
    #expect(try await hasLine.wait())
    withExtendedLifetime(ends) {}
  }
}

private func currentThread() -> UInt {
  #if canImport(Darwin)
    UInt(bitPattern: pthread_self())
  #else
    UInt(pthread_self())
  #endif
}
