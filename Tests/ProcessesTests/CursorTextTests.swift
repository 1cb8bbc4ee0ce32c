@testable import Processes
import Testing

/// Cursors as text, for clients that keep them.
@Suite struct CursorTextTests {
  @Test("A cursor survives its text form")
  func cursorsAreText() throws {
    let session = Session()
    #expect(Cursor.start.description == "0.0")
    session.append("abc".utf8, to: .stdout)
    #expect(session.output().cursor.description.hasPrefix("1.3.0."))
    session.setExit(3)
    let cursor = session.output().cursor
    #expect(cursor.description.split(separator: ".").count == 4)
    let copy = try #require(Cursor(cursor.description))
    #expect(copy == cursor)
    #expect(copy.description == cursor.description)
    #expect(copy.epoch == session.epoch)
  }

  @Test(
    "A cursor's text holds only the fields that are known, and is unchanged by parsing",
    arguments: [
      "1", "1.3", "1.3.21474836480", "1..21474836480", "1.3.0.1", "17.4096.21474836480.4294967295",
      "17..21474836480.4294967295",
    ])
  func shorterCursors(text: String) throws {
    let cursor = try #require(Cursor(text))
    #expect(cursor.description == text)
    #expect((cursor.epoch == 0) == (text.count { $0 == "." } < 3))
  }

  /// A cursor that came as text does not wait for the exit that it knows of.
  @Test("A wait from a cursor that came as text does not end for the exit that it knows")
  func cursorsKnowOfTheExit() async throws {
    let session = Session()
    session.setExit(3, closing: false)
    let known = try #require(Cursor(session.output().cursor.description))
    async let second = session.output(since: known, waitingUpTo: nil)
    let closer = Task.detached {
      try? await Task.sleep(for: .milliseconds(20))
      session.close()
    }
    #expect(await second.isClosed)
    await closer.value
  }

  @Test("A bare seq is a cursor")
  func seqsAreCursorsToo() throws {
    let session = Session()
    session.append("abc".utf8, to: .stdout)
    session.append("d".utf8, to: .stderr)
    #expect(session.output(since: try #require(Cursor("1"))).chunks.map(\.seq) == [2])
    #expect(Cursor("0")?.offset == 0)
    #expect(Cursor("-4")?.offset == 0)
    #expect(try #require(Cursor("1")).offset == nil)
    #expect(Cursor("1") == 1)
    #expect(Cursor("0") == 0)
  }

  @Test(
    "Malformed text is not a cursor",
    arguments: [
      "", ".", "1.", ".1", "1.2.", "1.2.3.", "1.2.3.4.5", "1.2.3.-4", "1.2.3.4294967296", "1.2.-3",
      "x",
      "1 ", "1.0x2", "1e3",
      "99999999999999999999", "1.99999999999999999999", "1..",
    ])
  func noCursors(text: String) { #expect(Cursor(text) == nil) }

  /// What a client may send is no danger, however absurd.
  @Test(
    "A read from any position returns consistent counts",
    arguments: [Int.min, -1, 0, 1, 5, 6, Int.max], [Int.min, -1, 0, 2, 7, Int.max])
  func absurdCursors(seq: Int, offset: Int) throws {
    let session = Session(capacity: 4)
    for _ in 0..<6 { session.append("ab".utf8, to: .stdout) }
    let cursor = try #require(Cursor("\(seq).\(offset).18446744073709551615"))
    let output = session.output(since: cursor)
    #expect(output.chunks.allSatisfy { $0.seq > seq && $0.data.description == "ab" })
    #expect(output.isCursorAhead == (seq > 6))
    #expect((output.missedBytes ?? 0) >= 0)
    #expect(output.missedChunks >= 0)
    #expect(output.lastSeq == 6)
  }
}
