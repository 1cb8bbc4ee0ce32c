import Foundation
@testable import Processes
import ReferenceModel
import Testing

/// Waiting for a pattern or a line.
@Suite(.timeLimit(.minutes(10))) struct SearchTests {
  private let session = Session(id: "s", capacity: 1_000)

  private func append(_ texts: String..., to stream: StandardStream = .stdout) {
    for text in texts { session.append(text.utf8, to: stream) }
  }

  /// Searches what is there.
  private func find(
    _ text: String, of stream: StandardStream? = nil, since cursor: Cursor = .start
  ) async -> WaitResult {
    await session.wait(for: text, of: stream, since: cursor, upTo: .zero)
  }

  @Test("[wait-for] A match may span any number of chunks")
  func chunkBoundaries() async {
    append("xxre", "a", "dy.")
    let result = await find("ready")
    #expect(result.outcome == .matched(2..<7))
    #expect(result.match == 2..<7)
    #expect(result.missedBytes == 0)
    #expect(result.line == nil)
    #expect(await find("readyy").outcome == .timedOut)
    #expect(await find("readyy").match == nil)
  }

  @Test("[wait-for] An append ends the wait, though part of the match was there before")
  func anAppendEndsTheWait() async {
    append("rea")
    let task = Task { await session.wait(for: Array("ready".utf8), upTo: nil) }
    await session.isAwaited(by: 1)
    append("d")
    append("y")
    #expect(await task.value.outcome == .matched(0..<5))
  }

  @Test("[wait-for] Each stream is searched on its own")
  func streams() async {
    append("re")
    append("ady re", to: .stderr)
    append("ady")
    append("ady", to: .stderr)
    #expect(await find("ready").outcome == .matched(0..<11))
    #expect(await find("ready", of: .stdout).outcome == .matched(0..<11))
    #expect(await find("ready", of: .stderr).outcome == .matched(6..<14))
    #expect(await find("y r").outcome == .matched(4..<7))
    #expect(await find("y r", of: .stdout).outcome == .timedOut)
  }

  @Test("[wait-for] Each match is found once, in the order in which they end")
  func allMatches() async throws {
    append("abab")
    append("xa", to: .stderr)
    append("ab", "ab")
    append("b", to: .stderr)
    append("a")
    var found: [Range<Int>] = []
    var cursor = Cursor.start
    while case let result = await find("ab", since: cursor), let match = result.match {
      found.append(match)
      cursor = try #require(Cursor(result.cursor.description))
    }
    #expect(found == [0..<2, 2..<4, 6..<8, 8..<10, 5..<11])
  }

  @Test("[wait-for] A wait that goes on finds a match that had begun")
  func goesOn() async {
    append("rea")
    let first = await find("ready")
    #expect(first.outcome == .timedOut)
    append("dy")
    #expect(await find("ready", since: first.cursor).outcome == .matched(0..<5))
    // Where none has begun, the cursor is that of a read.
    #expect(await find("zzz").cursor == session.output().cursor)
  }

  @Test("[wait-for] A pattern that repeats itself is found where it first ends")
  func repetitions() async {
    append("aa", "b", "a", "ab", "aab")
    #expect(await find("aabaabaab").outcome == .matched(0..<9))
    #expect(await find("baab").outcome == .matched(2..<6))
  }

  @Test("[wait-for] A pattern that repeats itself is found across an interruption")
  func interruptedRepetitions() async {
    append("aa")
    append("x", to: .stderr)
    append("aab")
    #expect(await find("aaab").outcome == .matched(1..<6))
  }

  @Test("[wait-for] It does not span what was missed, and says how much that was")
  func losses() async {
    for stream in [nil, StandardStream.stdout] {
      let session = Session(capacity: 4)
      session.append("re", to: .stdout)
      let first = await session.wait(for: "ready", of: stream, upTo: .zero)
      session.append("123", to: .stdout)
      session.append("ady", to: .stdout)
      let next = await session.wait(
        for: "ready", of: stream, since: first.cursor, upTo: .zero)
      #expect(next.outcome == .timedOut)
      #expect(next.missedBytes == 3)
    }
  }

  @Test("[wait-for] What is retained is searched however little time there is")
  func noTime() async {
    let session = Session()
    for _ in 0..<1_000 { session.append([UInt8](repeating: 0x20, count: 1_000), to: .stdout) }
    session.append("ready", to: .stdout)
    let end = 1_000_005
    #expect(await session.wait(for: "ready", upTo: .zero).match == end - 5..<end)
    #expect(await session.wait(for: "ready", upTo: .seconds(-1)).match == end - 5..<end)
    #expect(await session.wait(for: "steady", upTo: .milliseconds(1)).outcome == .timedOut)
  }

  @Test(
    "[wait-for] A match in long output is found wherever it lies", arguments: [4_096, 1_000_000])
  func longOutput(chunkSize: Int) async {
    let text = "ready"
    // Searches divide the output about here, and the payload storage wraps behind them.
    let wrap = Session().reader.layout.payloadSize
    let ends = [4_096, 4_096 + LiteralSearch.longestRun, wrap, wrap + 65_536]
    for position in ends.flatMap({ $0 - 6...$0 + 1 }) {
      let session = Session()
      let count = position < 900_000 ? 900_000 : wrap + 65_536 * 2
      var output = [UInt8](repeating: 0x20, count: count)
      output.replaceSubrange(position..<position + text.utf8.count, with: text.utf8)
      for start in stride(from: 0, to: output.count, by: chunkSize) {
        session.append(output[start..<min(start + chunkSize, output.count)], to: .stdout)
      }
      let result = await session.wait(for: text, upTo: .zero)
      #expect(result.match == position..<position + text.utf8.count)
    }
  }

  /// A search that has begun with a session's output, and where it goes on.
  private func begun(
    in session: Session, for text: String, of stream: StandardStream? = nil
  ) -> (LiteralSearch, Cursor) {
    var search = LiteralSearch(Array(text.utf8), of: stream)
    let output = session.output()
    _ = search.search(output, since: .start, of: session)
    return (search, output.cursor)
  }

  private static let isInPlace = !LiteralSearch.isRaceReported

  @Test(
    "Output in which no match ends is passed over, and what a match may begin with is kept",
    .enabled(if: isInPlace))
  func passedOver() {
    for (text, isPassed) in [
      ("x", true), ("ey", true), ("rea dy", true), ("re", true), ("ready", false),
    ] {
      let session = Session()
      session.append("begun")
      var (search, cursor) = begun(in: session, for: "ready")
      session.append(String(repeating: " ", count: 5_000) + text)
      // A second time, nothing is left, or the same stands in the way.
      for _ in 0..<2 {
        _ = search.skip(past: &cursor, maxWork: 1 << 20, of: session)
        #expect(cursor.seq == (isPassed ? 2 : 1), "\(text)")
      }
      session.append("ady" + String(repeating: " ", count: 5_000))
      _ = search.skip(past: &cursor, maxWork: 1 << 20, of: session)
      let end = 5_005 + text.utf8.count
      #expect(cursor.seq == (text == "re" ? 2 : isPassed ? 3 : 1), "\(text)")
      let match = search.search(session.output(since: cursor), since: cursor, of: session)
      let range = text == "re" ? end - 2..<end + 3 : isPassed ? nil : end - 5..<end
      #expect(match?.range == range, "\(text)")
    }
  }

  @Test(
    "What is missed is not passed over, nor a match's beginning that several chunks share",
    .enabled(if: isInPlace))
  func notPassedOver() {
    let session = Session(capacity: 10_000)
    session.append("begun")
    var (search, cursor) = begun(in: session, for: "ready")
    session.append(String(repeating: " ", count: 5_000) + "re")
    session.append("a")
    _ = search.skip(past: &cursor, maxWork: 1 << 20, of: session)
    #expect(cursor.seq == 1)
    for _ in 0..<4 { session.append(String(repeating: " ", count: 5_000)) }
    _ = search.skip(past: &cursor, maxWork: 1 << 20, of: session)
    #expect(cursor.seq == 1)
  }

  @Test("Of a stream that is not searched, all is passed over", .enabled(if: isInPlace))
  func otherStream() {
    let session = Session()
    session.append("begun")
    var (search, cursor) = begun(in: session, for: "ready", of: .stderr)
    session.append(String(repeating: "ready", count: 1_000))
    _ = search.skip(past: &cursor, maxWork: 1 << 20, of: session)
    #expect(cursor.seq == 2)
    session.append(String(repeating: "ready", count: 1_000), to: .stderr)
    _ = search.skip(past: &cursor, maxWork: 1 << 20, of: session)
    #expect(cursor.seq == 2)
  }

  @Test("[wait-for] Other tasks have their turn, however much there is to search")
  @MainActor func turns() async {
    final class Turn { var hasCome = false }
    let session = Session()
    // More than one read takes.
    for _ in 0..<4 { session.append(String(repeating: "x", count: 60_000) + "\n") }
    session.append("end\n")
    let turn = Turn()
    Task { turn.hasCome = true }
    var hadCome = false
    let result = await session.wait(forLineOf: nil, upTo: .zero) { line in
      hadCome = turn.hasCome
      return line.text == "end"
    }
    #expect(result.line?.text == "end")
    #expect(hadCome)
  }

  @Test("[wait-for] Other tasks have many turns while many tiny chunks are searched")
  @MainActor func turnsBetweenTinyChunks() async {
    final class Turns {
      var count = 0
      var isOver = false
    }
    let session = Session()
    for index in 0..<40_000 { session.append("x", to: index % 2 == 0 ? .stdout : .stderr) }
    session.append("\n")
    let turns = Turns()
    let other = Task {
      while !turns.isOver {
        turns.count += 1
        await Task.yield()
      }
    }
    let result = await session.wait(forLineOf: .stdout, upTo: .zero) { _ in true }
    turns.isOver = true
    await other.value
    #expect(result.line?.text.utf8.count == 20_000)
    #expect(turns.count >= 8)
  }

  @Test("[wait-for] Cancelling the task ends the wait")
  func cancellation() async {
    let task = Task { await session.wait(for: "ready", upTo: nil) }
    await session.isAwaited(by: 1)
    task.cancel()
    #expect(await task.value.outcome == .timedOut)
  }

  @Test("[wait-for] A cursor of another session begins at the start")
  func foreignCursor() async {
    let other = Session()
    other.append("ready, steady", to: .stdout)
    let cursor = await other.wait(for: "ready", upTo: nil).cursor
    append("ready")
    #expect(await find("ready", since: cursor).outcome == .matched(0..<5))
  }

  @Test("[wait-for] In a recording, and to its end")
  func recordings() async throws {
    let path = ScratchFile.newPath()
    let session = try Session(recordingTo: path)
    let recorded = try RecordedSession(at: path)
    unsafe unlink(path)
    session.append("rea", to: .stdout)
    let task = Task { await recorded.wait(for: "ready", upTo: nil) }
    session.append("dy\n", to: .stdout)
    #expect(await task.value.outcome == .matched(0..<5))
    session.setExit(0)
    #expect(await recorded.wait(for: "never", upTo: nil).outcome == .exited(0))
  }

  @Test("An empty pattern ends the program")
  func emptyPattern() async {
    await #expect(processExitsWith: .failure) {
      _ = await Session(id: "").wait(for: "", upTo: .zero)
    }
  }

  @Test("[wait-for] A cursor that does not fit to the output hides none of it")
  func madeUpCursors() async throws {
    for stream in [StandardStream.stdout, .stderr] {
      let session = Session(capacity: 1_000)
      session.append("abc\n", to: .stdout)
      session.append("def\n", to: stream)
      // An offset at the end of the next chunk and far behind it, and a stream that is far ahead.
      for text in ["1.8.0.0", "1.100.0.0", "1.4.8000.0"] {
        let cursor = try #require(Cursor(text))
        let result = await session.wait(for: "def", since: cursor, upTo: .zero)
        #expect(result.match == 4..<7, "\(stream) \(text)")
      }
    }
  }

  // MARK: Ends

  @Test("[pattern-exit] The exit ends a wait once all before it was searched; a match comes first")
  func exits() async {
    append("steady")
    session.setExit(3, closing: false)
    #expect(await find("ready").outcome == .exited(3))
    #expect(await find("steady").outcome == .matched(0..<6))
    let task = Task { await session.wait(for: "go", since: session.newestCursor, upTo: nil) }
    #expect(await task.value.outcome == .exited(3))
  }

  @Test("[pattern-exit] A match comes before the exit, however many reads it takes to find it")
  func exitBehindManyReads() async {
    let session = Session()
    for index in 0..<10_000 { session.append("x", to: index % 2 == 0 ? .stdout : .stderr) }
    session.append("ready")
    session.setExit(3, closing: false)
    #expect(await session.wait(for: "ready", upTo: nil).outcome == .matched(10_000..<10_005))
  }

  @Test("[pattern-exit] With the result's cursor, the next wait is for late output, and the close")
  func lateOutput() async {
    session.setExit(3, closing: false)
    let exit = await session.wait(for: "late", upTo: nil)
    #expect(exit.outcome == .exited(3))
    let task = Task { await session.wait(for: "late", since: exit.cursor, upTo: nil) }
    await session.isAwaited(by: 1)
    append("late")
    let late = await task.value
    #expect(late.outcome == .matched(0..<4))
    let last = Task { await session.wait(for: "late", since: late.cursor, upTo: nil) }
    await session.isAwaited(by: 1)
    session.close()
    #expect(await last.value.outcome == .closed)
  }

  @Test("[pattern-exit] A match does not hide the exit from the next wait")
  func theExitBehindAMatch() async {
    append("ready")
    session.setExit(3)
    let match = await find("ready")
    let exit = await session.wait(for: "go", since: match.cursor, upTo: nil)
    #expect(exit.outcome == .exited(3))
    #expect(await session.wait(for: "go", since: exit.cursor, upTo: nil).outcome == .closed)
  }

  @Test("[pattern-exit] A close without an exit code ends a wait, and so does a manager")
  func closeAndForget() async {
    let manager = SessionManager(idleTimeout: .seconds(1))
    manager.register(session)
    let task = Task { await session.wait(for: "ready", upTo: nil) }
    await session.isAwaited(by: 1)
    manager.forget(id: "s")
    #expect(await task.value.outcome == .forgotten)
    session.close()
    #expect(await session.wait(for: "ready", upTo: nil).outcome == .closed)
  }

  @Test("[pattern-exit] The end of the recording program ends a wait")
  func abandoned() async throws {
    let path = ScratchFile.newPath()
    var session: Session? = try Session(recordingTo: path)
    let recorded = try RecordedSession(at: path)
    unsafe unlink(path)
    session?.append("x", to: .stdout)
    session = nil
    #expect(await recorded.wait(for: "ready", upTo: nil).outcome == .abandoned)
  }

  // MARK: Lines

  @Test("[wait-for-line] Each line is looked at, until one matches")
  func lines() async {
    append("one\ntw", "o\nthree\n")
    var seen: [String] = []
    let result = await session.wait(forLineOf: nil, upTo: nil) { line in
      seen.append(line.text)
      return line.text.contains(/t.o/)
    }
    #expect(seen == ["one", "two"])
    #expect(result.outcome == .matched(4..<7))
    #expect(result.line?.text == "two")
    let next = await session.wait(forLineOf: .stdout, since: result.cursor, upTo: nil) { _ in true }
    #expect(next.line?.text == "three")
  }

  @Test("[wait-for-line] A line without its newline is looked at when the session is closed")
  func unfinishedLines() async {
    append("ready")
    session.setExit(0, closing: false)
    let exit = await session.wait(forLineOf: nil, upTo: nil) { _ in true }
    #expect(exit.outcome == .exited(0))
    session.close()
    let closed = await session.wait(forLineOf: nil, since: exit.cursor, upTo: nil) { _ in true }
    #expect(closed.line?.text == "ready")
    #expect(closed.line?.ending == .end)
  }

  @Test("[wait-for-line] What was missed is counted, also without a match")
  func missedBytes() async {
    let session = Session(capacity: 4)
    session.append("abcd\n", to: .stdout)
    session.append("ef\n", to: .stderr)
    let result = await session.wait(forLineOf: .stdout, upTo: .zero) { _ in true }
    #expect(result.outcome == .timedOut)
    #expect(result.missedBytes == 5)
    let other = await session.wait(forLineOf: .stderr, upTo: .zero) { _ in true }
    #expect(other.missedBytes == 5)
    #expect(other.line?.text == "ef")
  }

  @Test("[wait-for-line] What the predicate throws is thrown")
  func errors() async {
    struct Failure: Error, Equatable {}
    append("a\n")
    await #expect(throws: Failure()) {
      try await session.wait(forLineOf: nil, upTo: nil) { _ throws(Failure) in throw Failure() }
    }
  }

  @Test("[wait-for-line] The predicate is called on the caller's actor")
  @MainActor func isolation() async {
    append("a\n")
    var count = 0
    _ = await session.wait(forLineOf: nil, upTo: nil) { _ in
      MainActor.assertIsolated()
      count += 1
      return true
    }
    #expect(count == 1)
  }
}
