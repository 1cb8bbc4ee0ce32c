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

  @Test("[foreign-cursor] a cursor of another session reads from the start, and is told so")
  func fromTheStart() {
    let output = new.output(since: old.output().cursor)
    #expect(output.isCursorForeign)
    #expect(output.chunks.map(\.seq) == Array(6...15))
    #expect(output.missedChunks == 5)
    #expect(output.missedBytes == 50)
    #expect(!output.isCursorAhead)
  }

  @Test("the next read goes on in this session")
  func theNextRead() {
    let cursor = new.output(since: old.output().cursor).cursor
    let output = new.output(since: cursor)
    #expect(!output.isCursorForeign)
    #expect(output.chunks.isEmpty)
    #expect(output.cursor.seq == 15)
  }

  @Test("a cursor of another session is foreign though nothing was written in either")
  func betweenEmptySessions() {
    let (first, second) = (Session(id: "s", capacity: 100), Session(id: "s", capacity: 100))
    let output = second.output(since: first.output().cursor)
    #expect(output.isCursorForeign)
    #expect(output.cursor == .start)
    #expect(!second.output(since: output.cursor).isCursorForeign)
  }

  @Test("a cursor of another session is foreign wherever it is in this one")
  func wherever() {
    let cursor = new.output().cursor
    let behind = old.output(since: cursor)
    #expect(behind.isCursorForeign)
    #expect(!behind.isCursorAhead)
    #expect(behind.chunks.count == 3)
    for _ in 0..<12 { old.append("x".utf8, to: .stdout) }
    #expect(old.output(since: cursor).chunks.count == 15)
  }

  @Test("reading into memory tells foreign cursors as well, and forgets what an earlier read told")
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

  @Test("[foreign-cursor] what no session made is foreign to none")
  func bareCursors() throws {
    let cursors = [.start, Cursor(seq: 3, offset: 9), try #require(Cursor("3.9.17179869184"))]
    for cursor in cursors { #expect(!new.output(since: cursor).isCursorForeign) }
    #expect(!new.output(since: 3).isCursorForeign)
  }

  @Test("a cursor is foreign after it was text or JSON, too")
  func asText() throws {
    let text = try #require(Cursor(old.output().cursor.description))
    #expect(new.output(since: text).isCursorForeign)
    #expect(!old.output(since: text).isCursorForeign)
  }

  @Test("[foreign-cursor] a wait from a cursor of another session ends at once")
  func waits() async {
    let empty = Session(id: "s", capacity: 100)
    let cursor = old.output().cursor
    let output = await empty.output(since: cursor, waitingUpTo: nil)
    #expect(output.isCursorForeign)
    let start = Session(id: "t", capacity: 100).output().cursor
    #expect(empty.hasNews(past: start))
    #expect(!empty.hasNews(past: empty.output().cursor))
  }

  @Test("a sequence from a cursor of another session begins at the start")
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

  @Test("a session's producers come and go; its cursors stay its own")
  func producers() {
    let session = Session(id: "s", capacity: 100)
    let cursor = session.output().cursor
    var producer = session.takeProducer()!
    producer.append("x".utf8, to: .stdout)
    #expect(!session.output(since: cursor).isCursorForeign)
    producer.giveBack()
    #expect(!session.output(since: cursor).isCursorForeign)
  }

  @Test("counts that differ in one bit after the first step of mixing have different epochs, too")
  func mixing() {
    for value in stride(from: UInt32(1), to: 1_000_000, by: 997) {
      for bit in 0..<32 {
        let other = value ^ 1 << bit ^ (1 << bit) >> 16
        #expect(SessionEpoch.mix(value) != SessionEpoch.mix(other))
      }
    }
  }

  @Test("no two sessions of many share an epoch, and none has 0")
  func epochs() {
    let epochs = Set((0..<100_000).map { _ in SessionEpoch.next() })
    #expect(epochs.count == 100_000)
    #expect(!epochs.contains(0))
  }
}
