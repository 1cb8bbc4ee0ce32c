import Foundation
@testable import Processes
import ReferenceModel
import Synchronization
import Testing

/// Recordings whose waits sleep until something else brings the news. A lost wake-up shows as a
/// test that does not end, which the time limit turns into a failure.
@Suite(.timeLimit(.minutes(10))) struct NewsTests {
  /// A news source, and what it was asked.
  private final class Source: Sendable {
    private let requests = LockedState<[Cursor]>([])
    let promises: Bool

    init(promises: Bool = true) { self.promises = promises }

    var cursors: [Cursor] { requests.withLock { $0 } }
    var count: Int { cursors.count }

    func ask(_ cursor: Cursor) -> Bool {
      requests.withLock { $0.append(cursor) }
      return promises
    }

    func isAsked(_ count: Int) async { while self.count < count { await Task.yield() } }
  }

  private let path = ScratchFile.newPath()

  /// Makes a recording, and attaches to it.
  private func record() throws -> (Session, RecordedSession) {
    let session = try Session(recordingTo: path, capacity: 10_000)
    defer { unsafe unlink(path) }
    return (session, try RecordedSession(at: path))
  }

  private func text(_ output: Output) -> [String] { output.chunks.map(\.data.description) }

  /// Waits by a task or on a thread.
  private func wait(
    for recorded: RecordedSession, since cursor: Cursor = .start, onThread usesThread: Bool,
    upTo limit: Duration? = nil
  ) -> Task<Output, Never> {
    Task {
      if usesThread {
        await onThread { recorded.waitForOutput(since: cursor, upTo: limit) }
      } else {
        await recorded.output(since: cursor, waitingUpTo: limit)
      }
    }
  }

  // MARK: Promises

  @Test("[recording-news] A wait with a promise sleeps until it is told of news")
  func sleeps() throws {
    let (session, recorded) = try record()
    let source = Source()
    recorded.setNewsSource(source.ask)
    let wait = PendingWait(for: recorded, past: .start)
    #expect(source.cursors == [.start])
    session.append("news")
    #expect(!wait.isOver)
    recorded.noteNews()
    #expect(wait.isOver)
    #expect(recorded.waiters.count == 0)
  }

  @Test("A wait sleeps to its deadline with a promise, and to its next look without")
  func lengths() throws {
    let (session, recorded) = try record()
    let (deadline, look) = (ContinuousClock.now + .seconds(9), ContinuousClock.now + .seconds(3))
    func sleep(until deadline: ContinuousClock.Instant?) -> SessionReader.Sleep? {
      let ticket = recorded.waiters.makeTicket()
      let isAdded = recorded.waiters.add(.thread(Parker()), as: ticket)
      #expect(isAdded)
      defer { recorded.waiters.wake(ticket) }
      return recorded.sleep(as: ticket, past: .start, until: deadline, unpromised: look)
    }
    recorded.setNewsSource(Source().ask)
    #expect(sleep(until: deadline)?.end == deadline)
    let endless = try #require(sleep(until: nil))
    #expect(endless.end == nil)
    for source in [Source(promises: false).ask, nil] {
      recorded.setNewsSource(source)
      #expect(sleep(until: deadline)?.end == look)
      #expect(sleep(until: nil)?.end == look)
      #expect(sleep(until: look - .seconds(1))?.end == look - .seconds(1))
    }
    session.append("news")
    #expect(sleep(until: nil) == nil)
  }

  @Test(
    "[recording-news] Waits of tasks, threads, sequences, lines and searches end with the news")
  func allKinds() async throws {
    let (session, recorded) = try record()
    let source = Source()
    recorded.setNewsSource(source.ask)
    let task = wait(for: recorded, onThread: false)
    let thread = wait(for: recorded, onThread: true)
    let first = Task {
      for await output in recorded.outputs() { return text(output) }
      return []
    }
    let line = Task {
      for await line in recorded.lines() { return line.text }
      return ""
    }
    let search = Task { await recorded.wait(for: "news", upTo: nil).match }
    await recorded.isAwaited(by: 5)
    session.append("the news\n")
    recorded.noteNews()
    #expect(await text(task.value) == ["the news\n"])
    #expect(await text(thread.value) == ["the news\n"])
    #expect(await first.value == ["the news\n"])
    #expect(await line.value == "the news")
    #expect(await search.value == 4..<8)
    #expect(recorded.waiters.count == 0)
  }

  @Test("The source is asked with the cursor of the wait, and not if there is news already")
  func cursors() async throws {
    let (session, recorded) = try record()
    let source = Source()
    recorded.setNewsSource(source.ask)
    session.append("old")
    #expect(await text(recorded.output(waitingUpTo: nil)) == ["old"])
    #expect(source.count == 0)
    let cursor = recorded.output().cursor
    let waiting = wait(for: recorded, since: cursor, onThread: false)
    await recorded.isAwaited(by: 1)
    session.append("new")
    recorded.noteNews()
    #expect(await text(waiting.value) == ["new"])
    #expect(Set(source.cursors) == [cursor])
    #expect(await recorded.output(since: 2, waitingUpTo: .zero).chunks.isEmpty)
    #expect(Set(source.cursors) == [cursor])
  }

  @Test(
    "[recording-news] A waiter is on the list before it asks, and looks once more after",
    arguments: [false, true])
  func order(onThread: Bool) async throws {
    let (session, recorded) = try record()
    let requests = Atomic(0)
    recorded.setNewsSource { [weak recorded, weak session] _ in
      switch requests.add(1, ordering: .relaxed).newValue {
      // Nothing else wakes the waiter: it must be on the list by now.
      case 1: recorded?.noteNews()
      // Nothing tells of this: the waiter must look.
      default: session?.append("news")
      }
      return true
    }
    let output = await wait(for: recorded, onThread: onThread).value
    #expect(text(output) == ["news"])
    #expect(requests.load(ordering: .relaxed) == 2)
    #expect(recorded.waiters.count == 0)
  }

  @Test("A wait that is told of news though there is none asks anew, and sleeps on")
  func falseAlarm() async throws {
    let (session, recorded) = try record()
    let source = Source()
    recorded.setNewsSource(source.ask)
    let waiting = wait(for: recorded, onThread: false)
    for count in 1...3 {
      await source.isAsked(count)
      await recorded.isAwaited(by: 1)
      recorded.noteNews()
    }
    await source.isAsked(4)
    session.append("news")
    recorded.noteNews()
    #expect(await text(waiting.value) == ["news"])
  }

  @Test("Without a promise, a wait looks and asks at intervals", arguments: [false, true])
  func noPromise(onThread: Bool) async throws {
    let (session, recorded) = try record()
    let source = Source(promises: false)
    recorded.setNewsSource(source.ask)
    let waiting = wait(for: recorded, onThread: onThread)
    await source.isAsked(3)
    session.append("news")
    #expect(await text(waiting.value) == ["news"])
  }

  @Test("Waits with a promise of a source that is replaced ask the new one, or look at intervals")
  func replaced() async throws {
    let (session, recorded) = try record()
    let (first, second) = (Source(), Source())
    recorded.setNewsSource(first.ask)
    let waiting = wait(for: recorded, onThread: false)
    await first.isAsked(1)
    recorded.setNewsSource(second.ask)
    await second.isAsked(1)
    recorded.setNewsSource(nil)
    session.append("news")
    #expect(await text(waiting.value) == ["news"])
  }

  @Test("A waiter that reads one append after another is told of each")
  func everyAppend() async throws {
    let (session, recorded) = try record()
    recorded.setNewsSource { _ in true }
    let count = 20_000
    let reader = Task {
      var cursor = Cursor.start
      var seq = 0
      while seq < count {
        let output = await recorded.output(since: cursor, waitingUpTo: nil)
        cursor = output.cursor
        seq = output.lastSeq
      }
      return seq
    }
    await onThread {
      for _ in 0..<count {
        session.append("x")
        recorded.noteNews()
      }
    }
    #expect(await reader.value == count)
  }

  // MARK: Other ends of a wait

  @Test("[recording-news] A wait with a promise ends at its limit, and with its task")
  func limits() async throws {
    let (session, recorded) = try record()
    recorded.setNewsSource { _ in true }
    for onThread in [false, true] {
      let waiting = wait(for: recorded, onThread: onThread, upTo: .milliseconds(30))
      #expect(await waiting.value.chunks.isEmpty)
    }
    let waiting = wait(for: recorded, onThread: false)
    await recorded.isAwaited(by: 1)
    waiting.cancel()
    #expect(await waiting.value.chunks.isEmpty)
    #expect(recorded.waiters.count == 0)
    #expect(session.isAlive)
  }

  @Test(
    "[recording-news] A wait that is told of news finds that the recording program is gone",
    arguments: [false, true])
  func abandoned(onThread: Bool) async throws {
    var (session, recorded): (Session?, RecordedSession) = try record()
    recorded.setNewsSource { _ in true }
    let waiting = wait(for: recorded, onThread: onThread)
    await recorded.isAwaited(by: 1)
    session = nil
    #expect(session == nil)
    recorded.noteNews()
    #expect(await waiting.value.isAbandoned)
  }

  @Test("News tells a reader that polls that the recording program is gone")
  func abandonedPoll() throws {
    var (session, recorded): (Session?, RecordedSession) = try record()
    recorded.noteNews()
    #expect(!recorded.output().isAbandoned)
    session?.append("last words")
    session = nil
    #expect(!recorded.output().isAbandoned)
    recorded.noteNews()
    #expect(recorded.output().isAbandoned)
  }

  // MARK: Forgotten recordings

  @Test(
    "[recording-news] Waits for a recording end when it is forgotten", arguments: [false, true])
  func forgotten(onThread: Bool) async throws {
    let (session, recorded) = try record()
    recorded.setNewsSource { _ in true }
    let waiting = wait(for: recorded, onThread: onThread)
    let outputs = Task {
      var outputs: [Output] = []
      for await output in recorded.outputs() { outputs.append(output) }
      return outputs
    }
    let search = Task { await recorded.wait(for: "x", upTo: nil).outcome }
    await recorded.isAwaited(by: 3)
    #expect(!recorded.isForgotten)
    recorded.noteForgotten()
    #expect(recorded.isForgotten)
    let output = await waiting.value
    #expect(output.isForgotten)
    #expect(output.isComplete)
    #expect(!output.isAbandoned)
    #expect(!output.isClosed)
    #expect(await outputs.value.map(\.isForgotten) == [true])
    #expect(await search.value == .forgotten)
    // A later wait ends at once; reads work as before.
    #expect(await recorded.output(waitingUpTo: nil).isForgotten)
    session.append("late")
    #expect(text(recorded.output()) == ["late"])
    #expect(!session.isForgotten)
  }

  @Test("A forgotten recording is still being written, has ended or is abandoned")
  func forgottenState() throws {
    var (session, recorded): (Session?, RecordedSession) = try record()
    recorded.noteForgotten()
    #expect(recorded.state == .recording)
    session?.append("x")
    session = nil
    #expect(recorded.state == .abandoned)
    #expect(recorded.output().isAbandoned)
    #expect(recorded.output().isForgotten)
    recorded.noteForgotten()
    #expect(recorded.state == .abandoned)

    let (closed, other) = try record()
    other.noteForgotten()
    closed.close()
    #expect(other.state == .ended)
  }
}
