@testable import Processes
import Testing

/// Cursors of one session that reach another, such as one that took its id.
@Suite(.timeLimit(.minutes(10))) struct ForeignCursorTests {
  private let old = Session(id: "s", capacity: 100)
  private let new = Session(id: "s", capacity: 100)

  init() {
    for _ in 0..<3 { old.append("old".utf8, to: .stdout) }
    for _ in 0..<15 { new.append("new output".utf8, to: .stdout) }
  }

  @Test(
    "[foreign-cursor] A read from a cursor of another session starts at the beginning, and says so")
  func fromTheStart() {
    let output = new.output(since: old.output().cursor)
    #expect(output.isCursorForeign)
    #expect(output.chunks.map(\.seq) == Array(6...15))
    #expect(output.missedChunks == 5)
    #expect(output.missedBytes == 50)
    #expect(!output.isCursorAhead)
  }

  @Test("The cursor of that read belongs to this session")
  func theNextRead() {
    let cursor = new.output(since: old.output().cursor).cursor
    let output = new.output(since: cursor)
    #expect(!output.isCursorForeign)
    #expect(output.chunks.isEmpty)
    #expect(output.cursor.seq == 15)
  }

  @Test("A cursor of another session is foreign even if both sessions are empty")
  func betweenEmptySessions() {
    let (first, second) = (Session(id: "s", capacity: 100), Session(id: "s", capacity: 100))
    let output = second.output(since: first.output().cursor)
    #expect(output.isCursorForeign)
    #expect(output.cursor == .start)
    #expect(!second.output(since: output.cursor).isCursorForeign)
  }

  @Test("A cursor of another session is foreign at any position")
  func wherever() {
    let cursor = new.output().cursor
    let behind = old.output(since: cursor)
    #expect(behind.isCursorForeign)
    #expect(!behind.isCursorAhead)
    #expect(behind.chunks.count == 3)
    for _ in 0..<12 { old.append("x".utf8, to: .stdout) }
    #expect(old.output(since: cursor).chunks.count == 15)
  }

  @Test("A read into an output reports a foreign cursor, and resets what an earlier read reported")
  func intoMemory() {
    var output = Output()
    new.read(since: old.output().cursor, into: &output)
    #expect(output.isCursorForeign)
    #expect(output.chunks.count == 10)
    #expect(output.missedChunks == 5)
    new.read(since: output.cursor, into: &output)
    #expect(!output.isCursorForeign)
    new.read(since: old.output().cursor, into: &output)
    new.read(since: 14, into: &output)
    #expect(!output.isCursorForeign)
    #expect(output.chunks.count == 1)
  }

  @Test("[foreign-cursor] A cursor that no session made is not foreign")
  func bareCursors() throws {
    let cursors = [.start, Cursor(seq: 3, offset: 9), try #require(Cursor("3.9.17179869184"))]
    for cursor in cursors { #expect(!new.output(since: cursor).isCursorForeign) }
    #expect(!new.output(since: 3).isCursorForeign)
  }

  @Test("A cursor that came as text keeps its session")
  func asText() throws {
    let text = try #require(Cursor(old.output().cursor.description))
    #expect(new.output(since: text).isCursorForeign)
    #expect(!old.output(since: text).isCursorForeign)
  }

  @Test(
    "[foreign-cursor] A wait with a foreign cursor ends at once, even if the session is empty"
  )
  func waits() async {
    let empty = Session(id: "s", capacity: 100)
    let cursor = old.output().cursor
    let output = await empty.output(since: cursor, waitingUpTo: nil)
    #expect(output.isCursorForeign)
    let start = Session(id: "t", capacity: 100).output().cursor
    #expect(empty.hasNews(past: start))
    #expect(!empty.hasNews(past: empty.output().cursor))
  }

  @Test("A sequence from a cursor of another session starts at the beginning")
  func sequences() async {
    var iterator = new.outputs(since: old.output().cursor).makeAsyncIterator()
    let first = await iterator.next()
    #expect(first?.isCursorForeign == true)
    #expect(first?.chunks.count == 10)
    new.setExit(0)
    let second = await iterator.next()
    #expect(second?.isCursorForeign == false)
    #expect(second?.isComplete == true)
  }

  @Test("A session's cursors stay valid when its producer is taken and given back")
  func producers() {
    let session = Session(id: "s", capacity: 100)
    let cursor = session.output().cursor
    var producer = session.takeProducer()!
    producer.append("x".utf8, to: .stdout)
    #expect(!session.output(since: cursor).isCursorForeign)
    producer.giveBack()
    #expect(!session.output(since: cursor).isCursorForeign)
  }

  @Test("Counts that differ in one bit after the first mixing step have different epochs")
  func mixing() {
    for value in stride(from: UInt32(1), to: 1_000_000, by: 997) {
      for bit in 0..<32 {
        let other = value ^ 1 << bit ^ (1 << bit) >> 16
        #expect(SessionEpoch.mix(value) != SessionEpoch.mix(other))
      }
    }
  }

  @Test("No two of 100,000 sessions share an epoch, and none has epoch 0")
  func epochs() {
    let epochs = Set((0..<100_000).map { _ in SessionEpoch.next() })
    #expect(epochs.count == 100_000)
    #expect(!epochs.contains(0))
  }
}
