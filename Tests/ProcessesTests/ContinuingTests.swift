import Processes
import Testing

/// Sessions that continue another one.
struct ContinuingTests {
  /// A session, and one that continues it after three chunks of four bytes.
  private func pair() throws -> (Session, Session, origin: Cursor) {
    let original = Session(id: "a", workspaceID: "w")
    for text in ["one\n", "two\n", "thr\n"] { original.append(text) }
    let origin = original.output().cursor
    return (original, try Session(continuing: origin, id: "a", workspaceID: "w"), origin)
  }

  @Test("[continuing] Seqs, offsets and cursors go on where the other session's were")
  func goingOn() throws {
    let (original, copy, origin) = try pair()
    for session in [original, copy] { session.append("four\n", to: .stderr) }
    let (left, right) = (original.output(since: origin), copy.output(since: origin))
    #expect(right.chunks.map(\.seq) == [4])
    #expect(right.chunks.map(\.offset) == [12])
    #expect(right.chunks.first?.stream == .stderr)
    #expect(right.cursor == left.cursor)
    #expect(right.missedBytes == 0)
    #expect(!right.isCursorForeign)
    #expect(!original.output(since: right.cursor).isCursorForeign)
    #expect(copy.totalBytes == original.totalBytes)
  }

  @Test("[continuing] What came before counts as lost, and as missed by a reader that asks for it")
  func missing() throws {
    let (original, copy, _) = try pair()
    #expect(copy.lostBytes == 12)
    #expect(copy.lastSeq == 3)
    copy.append("four\n")
    let output = copy.output()
    #expect(output.missedChunks == 3)
    #expect(output.missedBytes == 12)
    let cursor = original.output(maxBytes: 4).cursor
    let rest = copy.output(since: cursor)
    #expect(rest.missedChunks == 2)
    #expect(rest.missedBytes == 8)
    #expect(copy.output(since: 2).missedBytes == nil)
    #expect(copy.output(since: Session().output().cursor).isCursorForeign)
  }

  @Test("[continuing] Waits, lines, tails and searches work as in any session")
  func reading() async throws {
    let (_, copy, origin) = try pair()
    #expect(copy.tail(bytes: 10).chunks.isEmpty)
    async let news = copy.output(since: origin, waitingUpTo: nil)
    async let found = copy.wait(for: "ur\nfi", since: origin)
    copy.append("four\n")
    copy.append("five\n")
    #expect(await news.lastSeq >= 4)
    #expect(await found.match == 14..<19)
    copy.setExit(3)
    var lines: [String] = []
    for await line in copy.lines() { lines.append(line.text) }
    #expect(lines == ["four", "five"])
    #expect(copy.output().exitCode == 3)
  }

  @Test("[continuing] A session can be continued before it has output")
  func atTheBeginning() throws {
    let original = Session(id: "a")
    let copy = try Session(continuing: original.output().cursor, id: "a")
    copy.append("one\n")
    #expect(copy.output().chunks.map(\.seq) == [1])
    #expect(copy.output().missedBytes == 0)
    #expect(!original.output(since: copy.output().cursor).isCursorForeign)
  }
}
