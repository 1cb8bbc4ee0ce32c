import Foundation
@testable import Processes
import Testing

/// Sessions that their manager drops, and the readers that wait for them.
@Suite(.timeLimit(.minutes(10))) struct ForgottenTests {
  /// How a manager drops a session.
  enum Way: CaseIterable, Sendable { case forget, sweep, replace }

  private let time = ManualTime()
  private let manager = SessionManager(idleTimeout: .seconds(10))
  private let session: Session

  init() async {
    session = Session(id: "s", time: time)
    manager.register(session)
    await untilWakeupsArePromised()
  }

  private func drop(by way: Way) {
    switch way {
    case .forget: #expect(manager.forget(id: "s") === session)
    case .sweep:
      time.advance(by: .seconds(11))
      #expect(manager.sweep().map(\.id) == ["s"])
    case .replace: #expect(manager.register(Session(id: "s", time: time)) === session)
    }
  }

  @Test(
    "[forgotten] A manager that drops a session wakes its sleeping readers", arguments: Way.allCases
  )
  func wakes(way: Way) {
    let wait = PendingWait(for: session, past: .start)
    #expect(!wait.isOver)
    drop(by: way)
    #expect(wait.isOver)
  }

  @Test(
    "The waits of a task, a thread and a sequence end when their session is dropped",
    arguments: Way.allCases)
  func allKinds(way: Way) async {
    let task = Task { [session] in await session.output(waitingUpTo: nil) }
    let thread = Task { [session] in
      await onThread { session.waitForOutput(since: .start, upTo: nil) }
    }
    let elements = Task { [session] in
      var elements: [Output] = []
      for await output in session.outputs() { elements.append(output) }
      return elements
    }
    await session.isAwaited(by: 3)
    drop(by: way)
    #expect(await task.value.isForgotten)
    #expect(await thread.value.isForgotten)
    #expect(await elements.value.map(\.isForgotten) == [true])
    #expect(session.waiters.count == 0)
  }

  @Test("An output tells a forgotten session from a timeout and from a close")
  func isTold() async {
    let timeOut = await session.output(waitingUpTo: .milliseconds(1))
    #expect(!timeOut.isForgotten)
    #expect(!timeOut.isComplete)
    manager.forget(id: "s")
    let forgotten = await session.output(waitingUpTo: nil)
    #expect(forgotten.isForgotten)
    #expect(!forgotten.isClosed)
    #expect(forgotten.isComplete)
    let closed = Session(id: "t", time: time)
    closed.close()
    let close = await closed.output(waitingUpTo: nil)
    #expect(!close.isForgotten)
    #expect(close.isClosed)
    #expect(close.isComplete)
  }

  @Test(
    "A read into an output reports a forgotten session, and resets what an earlier read reported")
  func intoMemory() {
    var output = Output()
    manager.forget(id: "s")
    session.read(into: &output)
    #expect(output.isForgotten)
    #expect(output.isComplete)
    manager.register(session)
    session.read(into: &output)
    #expect(!output.isForgotten)
    #expect(!output.isComplete)
  }

  @Test("[forgotten] A wait on a forgotten session ends at once, and reads and appends still work")
  func later() async {
    manager.forget(id: "s")
    session.append("abc".utf8, to: .stdout)
    session.append("def".utf8, to: .stdout)
    let first = await session.output(since: .start, maxBytes: 3, waitingUpTo: nil)
    #expect(first.chunks.count == 1)
    #expect(first.isForgotten)
    #expect(!first.isComplete)
    let second = await session.output(since: first.cursor, waitingUpTo: nil)
    #expect(second.isComplete)
    #expect(await session.output(since: second.cursor, waitingUpTo: nil).isComplete)
    session.setExit(3)
    #expect(session.output(since: second.cursor).exitCode == 3)
  }

  @Test("A sequence of a forgotten session yields the remaining chunks and ends")
  func sequences() async {
    for _ in 0..<5 { session.append("abc".utf8, to: .stdout) }
    manager.forget(id: "s")
    var counts: [Int] = []
    for await output in session.outputs(maxBytes: 6) { counts.append(output.chunks.count) }
    #expect(counts == [2, 2, 1])
  }

  @Test(
    "[forgotten] A reader can wait again for a session that was registered again",
    arguments: Way.allCases)
  func registeredAgain(way: Way) {
    drop(by: way)
    manager.register(session)
    #expect(!session.isForgotten)
    let wait = PendingWait(for: session, past: .start)
    #expect(!wait.isOver)
    session.append("x".utf8, to: .stdout)
    #expect(wait.isOver)
  }

  @Test("Registering a session again under its own id wakes no reader")
  func registeredTwice() {
    let wait = PendingWait(for: session, past: .start)
    manager.register(session)
    #expect(!session.isForgotten)
    #expect(!wait.isOver)
  }

  @Test("A session without a manager, or with one that is gone, is not forgotten")
  func withoutManager() {
    let stray = Session(id: "stray", time: time)
    #expect(!stray.isForgotten)
    do {
      let manager = SessionManager(idleTimeout: .zero)
      manager.register(stray)
    }
    #expect(!stray.isForgotten)
  }

  @Test("The last of two managers to register or drop a session decides whether it is forgotten")
  func twoManagers() {
    let other = SessionManager(idleTimeout: .seconds(10))
    other.register(session)
    other.forget(id: "s")
    #expect(session.isForgotten)
    #expect(manager.session(id: "s") === session)
    manager.register(session)
    #expect(!session.isForgotten)
  }

  @Test("Concurrent registering and forgetting leave a session as the manager's table has it")
  func fromManyThreads() {
    DispatchQueue.concurrentPerform(iterations: 4) { [manager, session] index in
      for _ in 0..<5_000 {
        if index % 2 == 0 { manager.register(session) } else { manager.forget(id: "s") }
      }
    }
    #expect(session.isForgotten == (manager.session(id: "s") == nil))
  }

  @Test("A waiter does not keep a session that its manager dropped")
  func isReleased() async {
    weak var dropped: Session?
    do {
      let session = Session(id: "t", time: time)
      dropped = session
      manager.register(session)
      let task = Task { await session.output(waitingUpTo: nil).isForgotten }
      await session.isAwaited(by: 1)
      manager.forget(id: "t")
      #expect(await task.value)
    }
    #expect(dropped == nil)
  }
}
