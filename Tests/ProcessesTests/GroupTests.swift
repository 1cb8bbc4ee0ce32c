import OutputRing
import Processes
import ReferenceModel
import Testing

/// Several appends at once, lag, and sessions of other capacities.
@Suite struct GroupTests {
  @Test("Chunks appended at once are in both streams' common order, and wake a waiter")
  func appending() async {
    let session = Session(id: "s")
    session.append("first\n")
    let waiter = Task { await session.output(since: 1, waitingUpTo: nil) }
    session.append(contentsOf: ["a\n", "", "b\n"].map(\.utf8), to: .stderr)
    let output = await waiter.value
    #expect(output.chunks.map(\.text) == ["a\n", "b\n"])
    #expect(output.chunks.map(\.seq) == [2, 3])
    #expect(output.chunks.map(\.stream) == [.stderr, .stderr])
  }

  @Test("[group] Each group wakes the readers that wait")
  func waking() {
    let session = Session(id: "s")
    let wait = PendingWait(for: session, past: .start)
    var wasOver: [Bool] = []
    session.append(
      contentsOf: (0..<1_000).lazy.map { index -> [UInt8] in
        if index == 500 || index == 600 { wasOver.append(wait.isOver) }
        return [1]
      }, to: .stdout)
    // Each chunk is looked at twice, within its group; the second group begins behind 512 chunks.
    #expect(wasOver == [false, false, true, true])
  }

  @Test("Appending no chunks at once is activity, and nothing else")
  func nothing() {
    let time = ManualTime()
    let session = Session(id: "s", clock: time.clock)
    time.advance(by: .seconds(7))
    session.append(contentsOf: [[UInt8]](), to: .stdout)
    #expect(session.lastActivity == time.clock.now)
    #expect(session.lastSeq == 0)
    time.advance(by: .seconds(7))
    session.append(contentsOf: [[1]], to: .stdout)
    #expect(session.lastActivity == time.clock.now)
  }

  @Test("An exclusive producer appends chunks at once, at the time given")
  func producer() async {
    let time = ManualTime()
    var producer = Session.Producer(id: "s", clock: time.clock)
    let session = producer.session
    let waiter = Task { await session.output(waitingUpTo: nil) }
    time.advance(by: .seconds(5))
    let then = time.clock.now
    time.advance(by: .seconds(5))
    producer.append(contentsOf: [[1, 2], [3]], to: .stdout, at: then)
    #expect(session.lastActivity == then)
    #expect(await waiter.value.chunks.map { Array($0.data) } == [[1, 2], [3]])
    time.advance(by: .seconds(5))
    producer.append(contentsOf: [[UInt8]](), to: .stdout, at: then)
    #expect(session.lastActivity == then)
    producer.append(contentsOf: [[UInt8]](), to: .stdout)
    #expect(session.lastActivity == time.clock.now)
  }

  @Test("[lag] A cursor's lag counts what is newer, and how much of that is lost")
  func lag() {
    let session = Session(id: "s", capacity: 10)
    session.append("abc")
    let cursor = session.output().cursor
    #expect(session.lag(since: cursor) == RingLag())
    for _ in 0..<5 { session.append("xyz") }
    #expect(
      session.lag(since: cursor)
        == RingLag(chunks: 5, bytes: 15, missedChunks: 2, missedBytes: 6))
    // As in a read, a cursor of another session counts as the start.
    let other = Session(id: "other")
    other.append("abcdef")
    #expect(session.lag(since: other.output().cursor) == session.lag(since: .start))
  }

  @Test("[session-capacity] A session of 16 MiB retains 16 MiB, in up to 258,048 chunks")
  func largeCapacity() {
    let session = Session(id: "s", capacity: 1 << 24)
    let chunk = zeros(1 << 16)
    for _ in 0..<300 { session.append(chunk, to: .stdout) }
    #expect(session.output().chunks.payload.count == 1 << 24)
    #expect(session.lostBytes == 300 << 16 - 1 << 24)
    for _ in 0..<300_000 { session.append([7], to: .stdout) }
    #expect(session.output().chunks.count == 258_048)
  }
}
