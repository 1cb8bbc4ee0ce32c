import Foundation
@testable import Processes
import Synchronization
import Testing

/// The manager beyond the contract's rows: sweeping by itself, many threads, many sessions.
@Suite struct SessionManagerTests {
  /// Waits until something is so; long enough for any machine, no longer than needed.
  private func eventually(
    _ condition: () -> Bool, sourceLocation: SourceLocation = #_sourceLocation
  ) async {
    for _ in 0..<60_000 {
      if condition() { return }
      try? await Task.sleep(for: .milliseconds(2))
    }
    Issue.record("waited in vain", sourceLocation: sourceLocation)
  }

  @Test("A running manager sweeps, and passes the dropped sessions to its closure")
  func runSweepsAndTellsWhat() async {
    let time = ManualTime()
    let swept = LockedState<[String]>([])
    let manager = SessionManager(
      idleTimeout: .seconds(10), sweepInterval: .milliseconds(5))
    #expect(!manager.isRunning)
    manager.register(Session(id: "a", time: time))
    manager.run { sessions in swept.withLock { $0 += sessions.map(\.id) } }
    // A second one does nothing, its closure included.
    manager.run { _ in swept.withLock { $0.append("wrong") } }
    #expect(manager.isRunning)
    time.advance(by: .seconds(11))
    await eventually { swept.withLock { $0 } == ["a"] }
    #expect(manager.count == 0)
    manager.stop()
    manager.stop()
    #expect(!manager.isRunning)
  }

  @Test("A manager that was stopped does not sweep")
  func stopStops() async throws {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .zero, sweepInterval: .milliseconds(1))
    manager.run()
    // There is no second sweeper, which would go on.
    manager.run()
    manager.stop()
    // A sweep that was under way ends meanwhile.
    try await Task.sleep(for: .milliseconds(50))
    manager.register(Session(id: "a", time: time))
    time.advance(by: .seconds(1))
    try await Task.sleep(for: .milliseconds(50))
    #expect(manager.count == 1)
  }

  @Test("A manager that was stopped can run again")
  func restartable() async {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .seconds(1), sweepInterval: .milliseconds(2))
    for round in 0..<5 {
      manager.stop()
      manager.run()
      manager.register(Session(id: "\(round)", time: time))
      time.advance(by: .seconds(2))
      await eventually { manager.count == 0 }
    }
    manager.stop()
  }

  /// A manager that sweeps by itself is not kept alive by that, nor is the task by anything.
  @Test("A running manager and its sessions are released with the last reference")
  func runningManagerIsReleased() async {
    weak var released: SessionManager?
    weak var session: Session?
    do {
      let manager = SessionManager(idleTimeout: .seconds(100), sweepInterval: .milliseconds(1))
      let known = Session(id: "a")
      manager.register(known)
      manager.run()
      released = manager
      session = known
      #expect(released != nil)
      #expect(session != nil)
    }
    await eventually { released == nil && session == nil }
  }

  @Test("Several threads can run and stop a manager at once")
  func runAndStopFromAnyThread() {
    let manager = SessionManager(idleTimeout: .seconds(100), sweepInterval: .milliseconds(1))
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for index in 0..<500 {
        if (thread + index) % 2 == 0 { manager.run() } else { manager.stop() }
      }
    }
    manager.run()
    #expect(manager.isRunning)
    manager.stop()
    #expect(!manager.isRunning)
  }

  /// Whatever happens at once, a session that was registered comes out exactly once: by being
  /// replaced, forgotten, swept, or by still being there.
  @Test("Under concurrent use each registered session comes out of the manager exactly once")
  func concurrentUse() {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .nanoseconds(50))
    let cameOut = LockedState<[ObjectIdentifier: Int]>([:])
    let registered = LockedState<[Session]>([])
    @Sendable func out(_ session: Session?) {
      guard let session else { return }
      cameOut.withLock { $0[ObjectIdentifier(session), default: 0] += 1 }
    }
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for index in 0..<3_000 {
        let id = "\((index &* 7 &+ thread) % 40)"
        switch (index + thread) % 5 {
        case 0, 1:
          let session = Session(id: id, capacity: 10, time: time)
          registered.withLock { $0.append(session) }
          out(manager.register(session))
        case 2:
          out(manager.forget(id: id))
        case 3:
          if let session = manager.session(id: id) {
            session.append([UInt8(thread)], to: .stdout)
            if session.id != id { Issue.record("\(session.id) under \(id)") }
          }
        default:
          if index % 100 == thread {
            time.advance(by: .nanoseconds(60))
            for session in manager.sweep() { out(session) }
          }
        }
      }
    }
    let all = registered.withLock { $0 }
    for session in manager.sessions { out(session) }
    #expect(manager.count == manager.sessions.count)
    let counts = cameOut.withLock { $0 }
    #expect(all.allSatisfy { counts[ObjectIdentifier($0)] == 1 })
    #expect(counts.count == all.count)
  }

  /// Ids of every length, with equal beginnings and ends, and some that are no ASCII.
  @Test("A manager finds sessions under ids of any length and any characters")
  func idsOfAllKinds() {
    let manager = SessionManager(idleTimeout: .seconds(10))
    var ids = (0...40).map { String(repeating: "a", count: $0) }
    ids += (10...99).map { "workspace/\($0)/session-4711" }
    ids += ["é", "e\u{301}x", "naïve-session-id", "\u{1F980}\u{1F980}\u{1F980}", "a\0b"]
    let sessions = ids.map { Session(id: $0, capacity: 1) }
    for session in sessions { #expect(manager.register(session) == nil) }
    #expect(manager.count == ids.count)
    for (id, session) in zip(ids, sessions) { #expect(manager.session(id: id) === session) }
    #expect(manager.session(id: "workspace/10/session-4712") == nil)
    for (id, session) in zip(ids, sessions) { #expect(manager.forget(id: id) === session) }
    #expect(manager.count == 0)
  }

  @Test(
    "[register-again] Ids are equal only if their bytes are, whatever equals canonically"
  )
  func canonicallyEqualIds() {
    let (composed, decomposed) = ("caf\u{e9}", "cafe\u{301}")
    #expect(composed == decomposed)
    let manager = SessionManager(idleTimeout: .seconds(10))
    for number in 0..<200 {
      let one = Session(id: "\(number)" + composed)
      let other = Session(id: "\(number)" + decomposed)
      #expect(manager.register(one) == nil)
      #expect(manager.register(other) == nil)
      #expect(manager.session(id: one.id) === one)
      #expect(manager.session(id: other.id) === other)
      #expect(manager.forget(id: one.id) === one)
      #expect(manager.session(id: one.id) == nil)
      #expect(manager.session(id: other.id) === other)
    }
    #expect(manager.count == 200)
    // A lazily bridged or sliced string has the same bytes.
    let sliced = String(("x0" + decomposed).dropFirst())
    #expect(manager.session(id: sliced) != nil)
  }

  @Test(
    "[sweep] A session is idle only after the timeout and the resolution of its clock have passed")
  func coarseClock() {
    let session = Session(id: "s", capacity: 1)
    let stamp = session.lastActivity.nanoseconds
    let resolution = ActivityClock.system.resolution
    #expect(resolution > 0)
    #expect(!session.isIdle(forMoreThan: 1_000, at: stamp + 1_000 + resolution))
    #expect(session.isIdle(forMoreThan: 1_000, at: stamp + 1_001 + resolution))
    let exact = Session(id: "e", capacity: 1, time: ManualTime())
    let start = exact.lastActivity.nanoseconds
    #expect(!exact.isIdle(forMoreThan: 1_000, at: start + 1_000))
    #expect(exact.isIdle(forMoreThan: 1_000, at: start + 1_001))
  }

  @Test("A caller's clock can use the manager and the session that call it")
  func clocksThatCallBack() {
    let manager = SessionManager(idleTimeout: .zero)
    let held = LockedState<Session?>(nil)
    let now = Atomic<Int64>(0)
    let clock = ActivityClock {
      // Each of these takes a lock.
      _ = manager.session(id: "s")
      _ = manager.count
      held.withLock { $0 }?.close()
      return now.add(1_000, ordering: .relaxed).newValue
    }
    let session = Session(id: "s", workspaceID: "w", capacity: 100, clock: clock)
    held.withLock { $0 = session }
    manager.register(session)
    session.append([1], to: .stdout)
    unsafe session.append(reserving: 1, to: .stdout) { _, _ in 1 }
    session.setExit(0)
    #expect(manager.sweep().map(\.id) == ["s"])
    #expect(manager.count == 0)
    held.withLock { $0 = nil }
  }

  @Test("A manager that spares running sessions sweeps a session that closed without an exit")
  func sparingClosedSessions() {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .seconds(1), sparesRunning: true)
    let running = Session(id: "running", capacity: 1, time: time)
    let closed = Session(id: "closed", capacity: 1, time: time)
    closed.close()
    for session in [running, closed] { manager.register(session) }
    time.advance(by: .seconds(2))
    #expect(manager.sweep().map(\.id) == ["closed"])
    running.setExit(0)
    time.advance(by: .seconds(2))
    #expect(manager.sweep().map(\.id) == ["running"])
  }

  @Test("A sweep keeps a session that replaced an idle one during the sweep")
  func replacedDuringASweep() {
    let manager = SessionManager(idleTimeout: .zero)
    let replacement = Session(id: "s", capacity: 1)
    let now = Atomic<Int64>(0)
    let isReplacing = Atomic<Bool>(false)
    let clock = ActivityClock {
      if isReplacing.exchange(false, ordering: .relaxed) { manager.register(replacement) }
      return now.add(1_000, ordering: .relaxed).newValue
    }
    manager.register(Session(id: "s", workspaceID: "w", capacity: 100, clock: clock))
    isReplacing.store(true, ordering: .relaxed)
    #expect(manager.sweep().isEmpty)
    #expect(manager.session(id: "s") === replacement)
  }

  /// A session that takes a forgotten one's place is found again, by its id and by sweeps.
  @Test("A manager finds its remaining sessions after it forgot others in any order")
  func forgettingInAnyOrder() {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .seconds(10))
    let sessions = (0..<5_000).map { Session(id: "\($0)", capacity: 1, time: time) }
    for session in sessions { manager.register(session) }
    // All of them, since the factor has no divisor in common with their number.
    let order = sessions.indices.map { sessions[$0 * 1_999 % sessions.count] }
    for session in order.prefix(3_000) {
      #expect(manager.forget(id: session.id) === session)
      #expect(manager.forget(id: session.id) == nil)
    }
    #expect(manager.count == 2_000)
    time.advance(by: .seconds(11))
    let swept = Set(manager.sweep().map(\.id))
    #expect(swept == Set(order.suffix(2_000).map(\.id)))
    #expect(manager.count == 0)
  }

  /// A hundred thousand sessions, with output, look-ups, sweeping, and holes in the address space:
  /// where every second one is gone, none of those left has a neighbour.
  @Test("A manager registers, sweeps and replaces 100,000 sessions")
  func hundredThousandSessions() {
    let count = 100_000
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .seconds(10))
    for index in 0..<count {
      let session = Session(id: "\(index)", capacity: 16, time: time)
      session.append("session \(index)".utf8, to: .stdout)
      #expect(manager.register(session) == nil)
    }
    #expect(manager.count == count)
    #expect(manager.sweep().isEmpty)
    time.advance(by: .seconds(8))
    for index in stride(from: 1, to: count, by: 2) {
      manager.session(id: "\(index)")?.append("x".utf8, to: .stderr)
    }
    time.advance(by: .seconds(8))
    do {
      let swept = manager.sweep()
      #expect(swept.count == count / 2)
      #expect(swept.allSatisfy { Int($0.id)! % 2 == 0 })
    }
    #expect(manager.count == count / 2)
    var wrong = 0
    for index in 0..<count {
      let session = manager.session(id: "\(index)")
      if (session == nil) != (index % 2 == 0) { wrong += 1 }
      if let session, session.output().chunks.last?.data.description != "x" { wrong += 1 }
    }
    #expect(wrong == 0)
    // New ones fit into the holes.
    for index in stride(from: 0, to: count, by: 2) {
      #expect(manager.register(Session(id: "\(index)", capacity: 16, time: time)) == nil)
    }
    #expect(manager.count == count)
    for index in 0..<count {
      if manager.forget(id: "\(index)")?.id != "\(index)" { wrong += 1 }
    }
    #expect(wrong == 0)
    #expect(manager.count == 0)
    #expect(manager.sessions.isEmpty)
  }

  @Test("A manager with an endless sweep interval runs without sweeping")
  func endlessInterval() async {
    await #expect(processExitsWith: .success) {
      let manager = SessionManager(idleTimeout: .zero, sweepInterval: .seconds(Int64.max))
      manager.run()
      try await Task.sleep(for: .milliseconds(200))
      #expect(manager.isRunning)
      manager.stop()
    }
  }
}
