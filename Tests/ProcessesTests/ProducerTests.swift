import Foundation
import Synchronization
import Testing

@testable import Processes

/// ``Session/Producer``. What it appends and how that is read, the model compares (`ModelTests`,
/// `StressTests` and `Fuzz` run on sessions of both kinds).
@Suite(.timeLimit(.minutes(10))) struct ProducerTests {
  init() async { await untilWakeupsArePromised() }

  private func makeProducer(clock: ActivityClock = .system) -> Session.Producer {
    Session.Producer(id: "s", workspaceID: "w", capacity: 1_000, clock: clock)
  }

  /// A clock that stands where it is told to.
  private final class Time: Sendable {
    let nanoseconds = Atomic<Int64>(1_000)
    var clock: ActivityClock { ActivityClock { self.nanoseconds.load(ordering: .relaxed) } }
    var now: Int64 {
      get { nanoseconds.load(ordering: .relaxed) }
      set { nanoseconds.store(newValue, ordering: .relaxed) }
    }
  }

  @Test("Readers see what the producer appends, its exit and its close")
  func appendsAndExits() {
    var producer = makeProducer()
    let session = producer.session
    producer.append("out".utf8, to: .stdout)
    let error = [UInt8]("err".utf8)
    unsafe producer.append(error.span.bytes, to: .stderr)
    let written = unsafe producer.append(reserving: 10, to: .stdout) { first, _ in
      unsafe first.copyBytes(from: "xyz".utf8)
      return 3
    }
    #expect(written == 3)
    producer.setExit(7, closing: false)
    let output = session.output()
    #expect(output.chunks.map(\.data.description) == ["out", "err", "xyz"])
    #expect(output.chunks.map(\.stream) == [.stdout, .stderr, .stdout])
    #expect(output.exitCode == 7)
    #expect(!output.isClosed)
    producer.close()
    #expect(session.isClosed)
    #expect(session.exitCode == 7)
  }

  @Test("[producers] Releasing a producer closes its session and wakes its readers")
  func lettingGoCloses() async {
    func waitForEnd(_ producer: consuming Session.Producer) async -> Output {
      let session = producer.session
      let task = Task { await session.output(since: .start, waitingUpTo: nil) }
      await session.isAwaited(by: 1)
      _ = consume producer
      return await task.value
    }
    let output = await waitForEnd(makeProducer())
    #expect(output.isComplete)
    #expect(output.exitCode == nil)
    #expect(output.chunks.isEmpty)
  }

  @Test("The exit wakes a waiting reader, and so does the close")
  func exitAndCloseWake() async {
    var producer = makeProducer()
    let session = producer.session
    let exit = Task { await session.output(since: .start, waitingUpTo: nil) }
    await session.isAwaited(by: 1)
    producer.setExit(3, closing: false)
    let cursor = await exit.value.cursor
    #expect(session.exitCode == 3)
    let close = Task { await session.output(since: cursor, waitingUpTo: nil) }
    await session.isAwaited(by: 1)
    producer.close()
    #expect(await close.value.isComplete)
  }

  @Test("Each operation of a producer wakes a sleeping reader")
  func everythingWakes() {
    func wakes(_ name: String, _ act: (inout Session.Producer) -> Void) {
      var producer = makeProducer()
      let wait = PendingWait(for: producer.session, past: .start)
      #expect(!wait.isOver)
      act(&producer)
      #expect(wait.isOver, "\(name)")
    }
    wakes("append") { $0.append([1], to: .stdout) }
    wakes("reservation") { unsafe $0.append(reserving: 1, to: .stdout) { _, _ in 1 } }
    wakes("exit") { $0.setExit(0, closing: false) }
    wakes("close") { $0.close() }
  }

  @Test("Releasing a producer wakes a sleeping reader")
  func lettingGoWakes() {
    let producer = makeProducer()
    let wait = PendingWait(for: producer.session, past: .start)
    #expect(!wait.isOver)
    _ = consume producer
    #expect(wait.isOver)
  }

  @Test("Releasing the producer of a closed session does not change the session")
  func lettingGoOfAClosedOne() {
    var producer = makeProducer()
    let session = producer.session
    producer.setExit(1)
    let status = session.reader.status
    _ = consume producer
    #expect(session.reader.status == status)
  }

  @Test(
    "[producers] Beside a producer, the session's append, setExit and close end the program"
  )
  func sessionTraps() async throws {
    let append = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let producer = Session.Producer(id: "mine", workspaceID: "w")
      producer.session.append([1], to: .stdout)
    }
    #expect(try isExplained(append))
    let reserve = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let producer = Session.Producer(id: "mine", workspaceID: "w")
      unsafe producer.session.append(reserving: 1, to: .stdout) { _, _ in 0 }
    }
    #expect(try isExplained(reserve))
    let exit = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let producer = Session.Producer(id: "mine", workspaceID: "w")
      producer.session.setExit(0)
    }
    #expect(try isExplained(exit))
    let close = await #expect(
      processExitsWith: .failure, observing: [\.standardErrorContent]
    ) {
      let producer = Session.Producer(id: "mine", workspaceID: "w")
      producer.session.close()
    }
    #expect(try isExplained(close))
  }

  private func isExplained(_ result: ExitTest.Result?) throws -> Bool {
    let text = String(decoding: try #require(result).standardErrorContent, as: UTF8.self)
    return text.contains("session 'mine' has an exclusive producer")
  }

  @Test("A session lends its producer once, until it is given back")
  func takingAndGivingBack() throws {
    let session = Session(id: "s", capacity: 1_000)
    session.append("a".utf8, to: .stdout)
    func take() -> Bool { session.takeProducer() != nil }
    do {
      guard var producer = session.takeProducer() else {
        Issue.record("the session has a producer to give")
        return
      }
      #expect(!take())
      producer.append("b".utf8, to: .stdout)
      producer.giveBack()
    }
    #expect(!session.isClosed)
    session.append("c".utf8, to: .stdout)
    #expect(session.output().chunks.map(\.data.description) == ["a", "b", "c"])
  }

  @Test("The last activity is the time given, or else the time of the session's clock")
  func activity() {
    let time = Time()
    var producer = makeProducer(clock: time.clock)
    let session = producer.session
    time.now = 2_000
    let turn = time.clock.now
    time.now = 3_000
    producer.append("x".utf8, to: .stdout, at: turn)
    #expect(session.lastActivity.nanoseconds == 2_000)
    producer.append([], to: .stdout)
    #expect(session.lastActivity.nanoseconds == 3_000)
    time.now = 4_000
    unsafe producer.append(reserving: 1, to: .stdout) { _, _ in 0 }
    #expect(session.lastActivity.nanoseconds == 3_000)
    unsafe producer.append(reserving: 1, to: .stdout, at: time.clock.now) { _, _ in 1 }
    #expect(session.lastActivity.nanoseconds == 4_000)
    time.now = 5_000
    producer.setExit(0)
    #expect(session.lastActivity.nanoseconds == 5_000)
  }

  @Test("[idle] The last activity never moves back, whichever thread notes it")
  func activityIsAMaximum() {
    let time = Time()
    var producer = makeProducer(clock: time.clock)
    let session = producer.session
    let early = time.clock.now
    time.now = 9_000
    session.noteActivity()
    producer.append("x".utf8, to: .stdout, at: early)
    #expect(session.lastActivity.nanoseconds == 9_000)
    DispatchQueue.concurrentPerform(iterations: 4) { thread in
      for step in 0..<1_000 {
        session.noteActivity(
          at: ActivityClock.Instant(nanoseconds: Int64(10_000 + step * 4 + thread)))
      }
    }
    #expect(session.lastActivity.nanoseconds == 10_000 + 999 * 4 + 3)
  }

  /// Each side waits for the other, so that one wake-up lost ends everything.
  @Test("Two exclusive producers that wait for each other lose no wake-up")
  func noWakeUpIsLost() async {
    let rounds = 20_000
    @Sendable func play(
      _ own: consuming Session.Producer, _ other: Session, serves: Bool
    ) async -> Int {
      var cursor = Cursor.start
      var received = 0
      if serves { own.append([1], to: .stdout) }
      while received < rounds {
        let output = await other.output(since: cursor, waitingUpTo: nil)
        received += output.chunks.count + output.missedChunks
        cursor = output.cursor
        if serves, received == rounds { break }
        own.append([1], to: .stdout)
      }
      return received
    }
    let ping = Session(id: "ping", capacity: 1_000)
    let pong = Session(id: "pong", capacity: 1_000)
    async let first = play(ping.takeProducer()!, pong, serves: true)
    async let second = play(pong.takeProducer()!, ping, serves: false)
    #expect(await [first, second] == [rounds, rounds])
  }
}
