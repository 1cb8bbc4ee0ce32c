import Foundation
@testable import Processes
import Synchronization
import Testing

/// Waiting for news. Nothing here depends on how long anything takes: a lost wake-up shows as a
/// test that does not end, which the time limit turns into a failure.
@Suite(.timeLimit(.minutes(10))) struct WaitingTests {
  private let session = Session(id: "s", capacity: 1_000)

  init() async { await untilWakeupsArePromised() }

  private func append(_ text: String) { session.append(text.utf8, to: .stdout) }

  /// Lets a task wait, does something once it does, and returns what it got.
  private func output(
    since cursor: Cursor, upTo limit: Duration? = nil, when event: () -> Void
  ) async -> Output {
    let task = Task { await session.output(since: cursor, waitingUpTo: limit) }
    await session.isAwaited(by: 1)
    event()
    return await task.value
  }

  @Test("A wait returns at once when there are chunks")
  func whatIsThereIsReturnedAtOnce() async {
    append("abc")
    let output = await session.output(waitingUpTo: nil)
    #expect(output.chunks.map(\.data.description) == ["abc"])
    #expect(await session.output(since: .start, waitingUpTo: nil).cursor == output.cursor)
    #expect(session.waiters.count == 0)
  }

  @Test("[waiting] An append ends the wait and is in its output")
  func anAppendEndsTheWait() async {
    append("abc")
    let read = session.output()
    let output = await output(since: read.cursor) { append("def") }
    #expect(output.chunks.map(\.data.description) == ["def"])
    #expect(output.cursor.offset == 6)
    #expect(session.waiters.count == 0)
  }

  @Test("A committed reservation ends the wait and is in its output")
  func aReservationEndsTheWait() async {
    let output = await output(since: .start) {
      unsafe session.append(reserving: 10, to: .stderr) { first, _ in
        unsafe first[0] = 7
        return 1
      }
    }
    #expect(output.chunks.map { Array($0.data) } == [[7]])
  }

  @Test("Neither an empty append nor an abandoned reservation ends the wait")
  func neitherAnEmptyAppendNorAnAbandonedReservationDoes() async {
    let output = await output(since: .start) {
      append("")
      unsafe session.append(reserving: 10, to: .stdout) { _, _ in 0 }
      #expect(session.waiters.count == 1)
      append("x")
    }
    #expect(output.chunks.map(\.data.description) == ["x"])
  }

  @Test("[waiting] The exit ends a wait, and the close ends the next one")
  func theExitEndsTheWaitAndThenTheClose() async {
    let exited = await output(since: .start) { session.setExit(3, closing: false) }
    #expect(exited.exitCode == 3)
    #expect(!exited.isClosed)
    #expect(exited.chunks.isEmpty)
    // Its cursor knows of the exit: the next wait is for something else.
    let closed = await output(since: exited.cursor) { session.close() }
    #expect(closed.isComplete)
    #expect(closed.exitCode == 3)
    #expect(await session.output(since: closed.cursor, waitingUpTo: nil).isComplete)
  }

  @Test("An exit between two reads ends the next wait")
  func anExitBetweenTwoReadsIsNotMissed() async {
    append("abc")
    let read = session.output()
    session.setExit(1, closing: false)
    let output = await session.output(since: read.cursor, waitingUpTo: nil)
    #expect(output.exitCode == 1)
    #expect(output.chunks.isEmpty)
    // The last one set stands, and is news again.
    let again = await self.output(since: output.cursor) { session.setExit(2, closing: false) }
    #expect(again.exitCode == 2)
  }

  @Test("Setting the same exit code again is news to a cursor")
  func theSameExitOnceMoreIsNews() {
    session.setExit(7, closing: false)
    let cursor = session.output().cursor
    #expect(!session.hasNews(past: cursor))
    session.setExit(7, closing: false)
    #expect(session.hasNews(past: cursor))
  }

  @Test("A wait from a seq ends at once after an exit, however often it repeats")
  func aBareSeqDoesNotKnowOfTheExit() async {
    append("abc")
    session.setExit(1, closing: false)
    #expect(await session.output(since: 1, waitingUpTo: nil).exitCode == 1)
    #expect(await session.output(since: 1, waitingUpTo: nil).exitCode == 1)
  }

  @Test("A wait from a cursor that is ahead ends at once, and says so")
  func aCursorThatIsAheadIsToldSo() async {
    #expect(await session.output(since: 7, waitingUpTo: nil).isCursorAhead)
  }

  @Test("Missed chunks end a wait even if no bytes are read")
  func missedChunksAreNews() async {
    let start = session.output().cursor
    for _ in 0..<100 { append(String(repeating: "x", count: 100)) }
    let output = await session.output(since: start, maxBytes: 0, waitingUpTo: nil)
    #expect(output.missedChunks == 90)
    #expect(output.missedBytes == 9_000)
    #expect(output.hasMore)
  }

  @Test(
    "A wait returns an empty output when its time is up",
    arguments: [Duration.zero, .seconds(-1), .seconds(Int64.min), .milliseconds(1)])
  func timeUp(limit: Duration) async {
    let output = await session.output(waitingUpTo: limit)
    #expect(output.chunks.isEmpty)
    #expect(output.isAlive)
    #expect(output.cursor == .start)
    #expect(session.waiters.count == 0)
  }

  @Test("A wait with the longest time limit ends with an append")
  func aVeryLongTimeIsNoTrap() async {
    let output = await output(since: .start, upTo: .seconds(Int64.max)) { append("x") }
    #expect(output.chunks.count == 1)
  }

  @Test("Cancelling the task ends its wait")
  func cancellingEndsTheWait() async {
    let task = Task { await session.output(waitingUpTo: nil) }
    await session.isAwaited(by: 1)
    task.cancel()
    #expect(await task.value.chunks.isEmpty)
    #expect(session.waiters.count == 0)
    // And one that was cancelled before it began never waits.
    let late = Task {
      unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
      return await session.output(waitingUpTo: nil)
    }
    #expect(await late.value.chunks.isEmpty)
  }

  @Test("One append wakes ten thousand waiters")
  func tenThousandWaiters() async {
    let count = 10_000
    await withTaskGroup(of: Int.self) { group in
      for _ in 0..<count {
        group.addTask { await session.output(waitingUpTo: .seconds(3_600)).chunks.count }
      }
      await session.isAwaited(by: count)
      append("x")
      var woken = 0
      for await chunks in group { woken += chunks }
      #expect(woken == count)
    }
    #expect(session.waiters.count == 0)
  }

  /// The producer published after this waiter looked and before it was on the list, whether or not
  /// another waiter has asked to be woken since.
  @Test("A waiter that joins the list after the append does not sleep", arguments: [false, true])
  func comesToTheListTooLate(isAwaited: Bool) {
    append("x")
    session.waiters.isWakeupRequested = isAwaited
    let thread = Parker()
    let ticket = session.waiters.makeTicket()
    let isAdded = session.waiters.add(.thread(thread), as: ticket)
    #expect(isAdded)
    #expect(session.sleep(as: ticket, past: .start, until: nil, unpromised: .now) == nil)
    #expect(session.waiters.count == 0)
    thread.park(for: nil)
  }

  @Test(
    "A cursor before the first chunk is the start, and waits like the start",
    arguments: [-1, Int.min])
  func negativePositions(seq: Int) async {
    for cursor in [Cursor(seq: seq, offset: 7), Cursor("\(seq)")!, Cursor("\(seq).5")!] {
      #expect(cursor == .start)
      #expect(!session.hasNews(past: cursor))
    }
    // Each of these would never come to an end, or never to a sleep, if the two looks differed.
    let late = Task { await session.output(since: Cursor(seq: seq), waitingUpTo: nil) }
    let element = Task {
      for await output in session.outputs(since: Cursor("\(seq)")!) { return output.chunks.count }
      return 0
    }
    let thread = Task {
      await onThread { [session] in session.waitForOutput(since: Cursor(seq: seq), upTo: nil) }
    }
    await session.isAwaited(by: 3)
    append("x")
    #expect(await late.value.chunks.count == 1)
    #expect(await element.value == 1)
    #expect(await thread.value.chunks.count == 1)
  }

  @Test("The producer itself wakes every blocked thread")
  func manyThreads() async {
    let count = 40
    let woken = DispatchGroup()
    for _ in 0..<count {
      woken.enter()
      Thread.detachNewThread { [session] in
        _ = session.waitForOutput(upTo: nil)
        woken.leave()
      }
    }
    await session.isAwaited(by: count)
    // No task can run meanwhile, so that none could do the waking.
    let poolIsBlocked = DispatchSemaphore(value: 0)
    let threads = ProcessInfo.processInfo.activeProcessorCount * 4
    for _ in 0..<threads { Task.detached { poolIsBlocked.wait() } }
    await onThread { [session] in
      session.append("x".utf8, to: .stdout)
      woken.wait()
      for _ in 0..<threads { poolIsBlocked.signal() }
    }
    #expect(session.waiters.count == 0)
  }

  /// Each side waits for the other, so that one wake-up lost ends everything.
  @Test("Two tasks that wait for each other lose no wake-up")
  func noWakeUpIsLostBetweenTwoTasks() async {
    let (ping, pong) = (Session(id: "ping", capacity: 1_000), Session(id: "pong", capacity: 1_000))
    let rounds = 20_000
    func play(_ own: Session, _ other: Session, serves: Bool) async -> Int {
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
    async let first = play(ping, pong, serves: true)
    async let second = play(pong, ping, serves: false)
    #expect(await [first, second] == [rounds, rounds])
  }

  /// A producer that pauses at random against readers of both kinds: all of them see everything.
  @Test("[waiting] Tasks and threads that follow a producer lose no wake-up")
  func noWakeUpIsLostUnderStress() async {
    let session = Session(id: "s", capacity: 1 << 16)
    let total = 20_000
    let sums = await withTaskGroup(of: Int.self) { group in
      for reader in 0..<4 {
        group.addTask {
          var sum = 0
          for await output in session.outputs(maxBytes: reader == 0 ? 1 : nil) {
            sum += output.chunks.count + output.missedChunks
          }
          return sum
        }
      }
      for _ in 0..<2 {
        group.addTask {
          await onThread {
            var (cursor, sum) = (Cursor.start, 0)
            while true {
              let output = session.waitForOutput(since: cursor, upTo: nil)
              sum += output.chunks.count + output.missedChunks
              if output.isComplete { return sum }
              cursor = output.cursor
            }
          }
        }
      }
      group.addTask {
        await onThread {
          var random = UInt64(42)
          for index in 0..<total {
            session.append([UInt8(index & 0xff)], to: .stdout)
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            if random >> 60 == 0 { usleep(UInt32(random >> 54) & 63) }
          }
          session.setExit(0)
          return total
        }
      }
      return await group.reduce(into: []) { $0.append($1) }
    }
    #expect(sums == Array(repeating: total, count: 7))
  }

  @Test("A thread can wait for output without a task")
  func threadsWaitToo() async {
    let news = await onThread { [session] in
      Thread.detachNewThread {
        while session.waiters.count == 0 { usleep(100) }
        session.append([1, 2, 3], to: .stdout)
      }
      return session.waitForOutput(since: .start, upTo: nil)
    }
    #expect(news.chunks.map { Array($0.data) } == [[1, 2, 3]])
    let nothing = await onThread { [session] in
      session.waitForOutput(since: news.cursor, upTo: .milliseconds(1))
    }
    #expect(nothing.chunks.isEmpty)
    #expect(session.waiters.count == 0)
    let atOnce = await onThread { [session] in session.waitForOutput(upTo: nil) }
    #expect(atOnce.chunks.count == 1)
  }
}

/// ``Session/outputs(since:maxBytes:)``.
@Suite(.timeLimit(.minutes(10))) struct OutputsTests {
  @Test("A sequence of outputs yields every chunk, and then the exit")
  func elementsToTheEnd() async {
    let session = Session(id: "s", capacity: 1_000)
    session.append("a".utf8, to: .stdout)
    session.append("b".utf8, to: .stderr)
    let task = Task {
      var texts: [String] = []
      var last: Output?
      for await output in session.outputs() {
        texts += output.chunks.map(\.data.description)
        last = output
      }
      return (texts, last?.isComplete, last?.exitCode)
    }
    await session.isAwaited(by: 1)
    session.append("c".utf8, to: .stdout)
    await session.isAwaited(by: 1)
    session.setExit(5)
    let (texts, isComplete, exitCode) = await task.value
    #expect(texts == ["a", "b", "c"])
    #expect(isComplete == true)
    #expect(exitCode == 5)
  }

  @Test("A sequence of a closed session yields one last element")
  func aClosedSessionHasOneLastElement() async {
    let session = Session(id: "s", capacity: 1_000)
    session.append("abc".utf8, to: .stdout)
    session.setExit(0)
    var elements = 0
    for await output in session.outputs(since: session.output().cursor) {
      #expect(output.chunks.isEmpty)
      #expect(output.isComplete)
      elements += 1
    }
    #expect(elements == 1)
  }

  @Test("An element of a sequence counts the chunks and bytes that it missed")
  func gapsAreCountedInTheElements() async {
    let session = Session(id: "s", capacity: 100)
    var iterator = session.outputs().makeAsyncIterator()
    for index in 0..<50 { session.append([UInt8](repeating: UInt8(index), count: 10), to: .stdout) }
    let first = await iterator.next()
    #expect(first?.missedChunks == 40)
    #expect(first?.missedBytes == 400)
    #expect(first?.chunks.count == 10)
    session.append([1], to: .stdout)
    #expect(await iterator.next()?.missedChunks == 0)
  }

  @Test("A sequence starts after its cursor, and its elements hold at most maxBytes")
  func maxBytesAndAStart() async {
    let session = Session(id: "s", capacity: 100)
    for index in 0..<9 { session.append([UInt8(index)], to: .stdout) }
    session.setExit(0)
    var pieces: [[UInt8]] = []
    for await output in session.outputs(since: 2, maxBytes: 3) {
      pieces.append(Array(output.chunks.payload))
    }
    #expect(pieces == [[2, 3, 4], [5, 6, 7], [8]])
  }

  @Test("Cancelling the task ends its sequence")
  func cancellingEndsTheSequence() async {
    let session = Session(id: "s", capacity: 100)
    let task = Task {
      var elements = 0
      for await _ in session.outputs() { elements += 1 }
      return elements
    }
    await session.isAwaited(by: 1)
    task.cancel()
    #expect(await task.value == 0)
  }

  @Test("A cursor from JSON keeps its position, and what it knows of the exit")
  func aCursorSurvivesItsJSON() throws {
    let session = Session(id: "s", capacity: 100)
    session.append("abc".utf8, to: .stdout)
    session.setExit(0, closing: false)
    let cursor = session.output().cursor
    let decoded = try JSONDecoder().decode(Cursor.self, from: JSONEncoder().encode(cursor))
    #expect(decoded == cursor)
    #expect(!session.hasNews(past: decoded))
    #expect(decoded.epoch == session.epoch)
    let bare = try JSONDecoder().decode(Cursor.self, from: Data(#"{"seq":1,"offset":3}"#.utf8))
    #expect(bare == cursor)
    #expect(session.hasNews(past: bare))
    #expect(bare.hashValue == cursor.hashValue)
    let start = try JSONEncoder().encode(Cursor.start)
    #expect(!String(decoding: start, as: UTF8.self).contains("status"))
  }
}

extension SessionReader {
  /// Returns once so many wait.
  func isAwaited(by count: Int) async {
    while waiters.count < count { await Task.yield() }
  }
}

/// Waits until the system knows that this process issues fences: before, waiters look again every
/// millisecond by themselves, and a wake-up that is missing would go unnoticed.
func untilWakeupsArePromised() async {
  while !ProcessFence.issue() { await Task.yield() }
}

/// Runs a body on a thread of its own, which may be blocked.
func onThread<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
  await withCheckedContinuation { continuation in
    Thread.detachNewThread { continuation.resume(returning: body()) }
  }
}
