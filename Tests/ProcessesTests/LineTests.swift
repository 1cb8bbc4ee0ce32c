@testable import Processes
import ReferenceModel
import Testing

/// Lines of a session's output.
@Suite(.timeLimit(.minutes(10))) struct LineTests {
  private let session = Session(id: "s", capacity: 1_000)

  private func append(_ texts: String..., to stream: StandardStream = .stdout) {
    for text in texts { session.append(text.utf8, to: stream) }
  }

  /// All lines of a session that is closed.
  private func lines(
    of stream: StandardStream? = nil, since cursor: Cursor = .start, maxLength: Int = 65_536
  ) async -> [Line] {
    session.close()
    var lines: [Line] = []
    for await line in session.lines(of: stream, since: cursor, maxLength: maxLength) {
      lines.append(line)
    }
    return lines
  }

  @Test("[lines] Chunks divide lines anywhere, also within a character")
  func chunksDivideLinesAnywhere() async {
    append("one\ntw", "o\n\n", "four", "\n")
    session.append([0xe2], to: .stdout)
    session.append([0x82, 0xac, 0x0a], to: .stdout)
    let lines = await lines()
    #expect(lines.map(\.text) == ["one", "two", "", "four", "€"])
    #expect(lines.map(\.offset) == [0, 4, 8, 9, 14])
    #expect(lines.allSatisfy { $0.isComplete && !$0.isPart && !$0.followsLoss })
  }

  @Test("Missed counts are added up to the largest, whatever a file's writer tells")
  func hugeCounts() {
    var missed = Missed()
    (missed.chunks, missed.bytes) = (1 << 60, .max)
    for _ in 0..<9 { missed += missed }
    #expect(missed.chunks == .max)
    #expect(missed.bytes == .max)
  }

  @Test("[lines] Each stream has lines of its own, in the order in which they end")
  func eachStreamHasItsOwn() async {
    append("out")
    append("err\n", to: .stderr)
    append("put\n")
    let lines = await lines()
    #expect(lines.map(\.stream) == [.stderr, .stdout])
    #expect(lines.map(\.text) == ["err", "output"])
    #expect(lines.map(\.range) == [3..<6, 0..<10])
  }

  @Test("[lines] Of one stream, the other one's lines are left out")
  func oneStream() async {
    append("a\n")
    append("b\n", to: .stderr)
    append("c\n")
    #expect(await lines(of: .stdout).map(\.text) == ["a", "c"])
    #expect(await lines(of: .stderr).map(\.text) == ["b"])
  }

  @Test("[lines] A last line without a newline comes at the close, and says so")
  func theLastLine() async {
    append("a\nb")
    let lines = await lines()
    #expect(lines.map(\.text) == ["a", "b"])
    #expect(lines.map(\.ending) == [.newline, .end])
    #expect(lines.map(\.isComplete) == [true, false])
  }

  @Test("[lines] Text is without the carriage return before a newline; the bytes have it")
  func carriageReturns() async {
    append("a\r\n", "50%\rb\r\r\n", "c\r")
    let lines = await lines()
    #expect(lines.map(\.text) == ["a", "50%\rb\r", "c\r"])
    #expect(lines.map { Array($0.bytes) }.first == [0x61, 0x0d])
  }

  @Test("[lines] What is no UTF-8 is repaired in the text, and kept in the bytes")
  func repairedText() async {
    session.append([0x61, 0xff, 0x62, 0x0a], to: .stdout)
    let line = await lines()[0]
    #expect(line.text == "a\u{fffd}b")
    #expect(Array(line.bytes) == [0x61, 0xff, 0x62])
  }

  @Test("[lines] They come as they are completed, and end with the session")
  func asTheyAreCompleted() async {
    var iterator = session.lines().makeAsyncIterator()
    append("a\nb")
    #expect(await iterator.next()?.text == "a")
    let next = Task { [iterator] in
      var iterator = iterator
      return await iterator.next()
    }
    await session.isAwaited(by: 1)
    append("c\n")
    #expect(await next.value?.text == "bc")
    session.setExit(0)
    #expect(await iterator.next()?.text == "bc")
    #expect(await iterator.next() == nil)
    #expect(await iterator.next() == nil)
  }

  @Test("Cancelling the task ends its sequence of lines")
  func cancellation() async {
    let task = Task { [session] in
      for await _ in session.lines() {}
    }
    await session.isAwaited(by: 1)
    task.cancel()
    await task.value
  }

  @Test("[lines] The lines of a session that its manager drops end, with what is pending")
  func forgotten() async {
    let manager = SessionManager(idleTimeout: .seconds(1))
    manager.register(session)
    append("a\nb")
    manager.forget(id: "s")
    var lines: [Line] = []
    for await line in session.lines() { lines.append(line) }
    #expect(lines.map(\.ending) == [.newline, .end])
  }

  @Test("[lines] A line of one read is no copy")
  func noCopy() async {
    append("first\n", "second\n")
    var iterator = session.lines().makeAsyncIterator()
    let first = await iterator.next()?.bytes
    let second = await iterator.next()?.bytes
    let addresses = [first, second].map {
      unsafe $0?.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) } ?? 0
    }
    #expect(addresses[1] - addresses[0] == 6)
    #expect(first?.startIndex == 0)
    #expect(second?.startIndex == 0)
  }

  @Test("Lines agree with a splitter that looks at each byte, also after a loss", arguments: 0..<20)
  func agreesWithTheModel(seed: UInt64) {
    for seed in seed * 25..<seed * 25 + 25 {
      let script = Script.randomLines(seed: seed)
      #expect(script.run() == nil, "\(seed)")
    }
  }

  // MARK: Long lines

  @Test("[long-line] It comes in parts that say so, none of which ends within a character")
  func longLines() async {
    append("aaaaé", "é€\nbbbbb\n")
    let lines = await lines(maxLength: 5)
    #expect(lines.map(\.text) == ["aaaa", "éé", "€", "bbbbb"])
    #expect(lines.map(\.ending) == [.limit, .limit, .newline, .newline])
    #expect(lines.map(\.isContinuation) == [false, true, true, false])
    #expect(lines.map(\.isPart) == [true, true, true, false])
    #expect(lines.map(\.offset) == [0, 4, 8, 12])
  }

  @Test("[long-line] A part comes as soon as its length is known")
  func partsComeAtOnce() async {
    var iterator = session.lines(maxLength: 4).makeAsyncIterator()
    append("abcde")
    #expect(await iterator.next()?.text == "abcd")
    session.close()
    let last = await iterator.next()
    #expect(last?.text == "e")
    #expect(last?.isContinuation == true)
    #expect(last?.ending == .end)
  }

  @Test("[long-line] The other stream may lie within a character at the limit")
  func interruptedAtTheLimit() async {
    session.append([0x61, 0x62, 0xe2], to: .stdout)
    append("x", to: .stderr)
    session.append([0x82], to: .stdout)
    append("y\n", to: .stderr)
    session.append([0xac, 0x0a], to: .stdout)
    let lines = await lines(of: .stdout, maxLength: 4)
    #expect(lines.map(\.text) == ["ab", "€"])
    #expect(lines.map(\.range) == [0..<2, 2..<8])
  }

  @Test("The largest limit is as good as none")
  func noLimit() async {
    append("abc", "def\n", "g")
    #expect(await lines(maxLength: .max).map(\.text) == ["abcdef", "g"])
    #expect(session.tail(lines: .max, maxLength: .max).map(\.text) == ["abcdef", "g"])
  }

  @Test("A limit below a character's length ends the program")
  func limits() async {
    await #expect(processExitsWith: .failure) { _ = Session(id: "").lines(maxLength: 3) }
  }

  // MARK: Losses

  @Test("[line-loss] It ends the line before it, and the next line tells its size")
  func losses() async {
    let session = Session(capacity: 10)
    var iterator = session.lines().makeAsyncIterator()
    session.append("a\nbc", to: .stdout)
    #expect(await iterator.next()?.text == "a")
    session.append("defghi\n", to: .stdout)
    session.append("jklm\nno\n", to: .stdout)
    session.close()
    let cut = await iterator.next()
    #expect(cut?.text == "bc")
    #expect(cut?.ending == .loss)
    #expect(cut?.missedBytes == 0)
    let next = await iterator.next()
    #expect(next?.text == "jklm")
    #expect(next?.missedChunks == 1)
    #expect(next?.missedBytes == 7)
    #expect(next?.followsLoss == true)
    let last = await iterator.next()
    #expect(last?.text == "no")
    #expect(last?.missedBytes == 0)
    #expect(last?.followsLoss == false)
  }

  @Test("[line-loss] Lines and missed bytes add up to what was written")
  func accounts() async {
    let session = Session(capacity: 100)
    var random = SplitMix64(seed: 7)
    let reader = Task {
      var sum = 0
      for await line in session.lines() {
        sum += line.bytes.count + (line.isComplete ? 1 : 0) + (line.missedBytes ?? 0)
      }
      return sum
    }
    for _ in 0..<20_000 {
      let text = random.pick(["a", "bcd\n", "e\nf", "\n"])
      session.append(text.utf8, to: random.pick([.stdout, .stderr]))
    }
    session.close()
    #expect(await reader.value == session.totalBytes)
  }

  @Test("[line-loss] A loss behind the last line of a stream is told by an element without bytes")
  func lossAtTheEnd() async {
    let session = Session(capacity: 4)
    session.append("ab\n", to: .stdout)
    session.append("cd\n", to: .stderr)
    session.close()
    var lines: [Line] = []
    for await line in session.lines(of: .stdout) { lines.append(line) }
    #expect(lines.map(\.missedBytes) == [3])
    #expect(lines.map(\.bytes.count) == [0])
    #expect(lines.map(\.ending) == [.end])
  }

  // MARK: Cursors

  @Test("[line-cursor] A line's cursor goes on behind it, within a chunk and as text")
  func cursors() async throws {
    append("a\nb\nc", "d\ne\n")
    let all = await lines()
    for index in all.indices {
      let cursor = try #require(Cursor(all[index].cursor.description))
      #expect(await lines(since: cursor).map(\.text) == all[(index + 1)...].map(\.text))
      #expect(await lines(since: cursor).allSatisfy { $0.missedBytes == 0 })
    }
  }

  @Test(
    "[line-cursor] With both streams it goes on within the other stream's line, and repeats none")
  func cursorsOfBothStreams() async throws {
    append("out")
    append("1\n2\n", to: .stderr)
    append("put\n")
    let all = await lines()
    #expect(all.map(\.text) == ["1", "2", "output"])
    for index in all.indices {
      let cursor = try #require(Cursor(all[index].cursor.description))
      #expect(await lines(since: cursor).map(\.text) == all[(index + 1)...].map(\.text))
    }
    // What a plain read gets begins with the chunk in which the pending line does.
    #expect(session.output(since: all[0].cursor).chunks.map(\.seq) == [1, 2, 3])
  }

  @Test("[line-cursor] Behind a part, it goes on with the rest of the line as such")
  func cursorsBehindParts() async {
    append("abcdefg\n")
    let all = await lines(maxLength: 4)
    #expect(all.map(\.text) == ["abcd", "efg"])
    let rest = await lines(since: all[0].cursor, maxLength: 4)
    #expect(rest.map(\.text) == ["efg"])
    #expect(rest.map(\.isContinuation) == [true])
  }

  @Test("[line-cursor] Once what follows is lost, what was missed is counted from the line")
  func cursorsAndLosses() async {
    let session = Session(capacity: 10)
    session.append("ab\ncd\n", to: .stdout)
    var iterator = session.lines().makeAsyncIterator()
    let first = await iterator.next()
    session.append("efghi\n", to: .stdout)
    session.close()
    var rest: [Line] = []
    for await line in session.lines(since: first?.cursor ?? .start) { rest.append(line) }
    #expect(rest.map(\.text) == ["efghi"])
    #expect(rest.map(\.missedBytes) == [3])
  }

  @Test("[line-cursor] A cursor of another session begins at the start")
  func foreignCursors() async {
    let other = Session()
    other.append("0123\n5", to: .stdout)
    other.append("6\n", to: .stderr)
    other.close()
    var cursors: [Cursor] = []
    for await line in other.lines() { cursors.append(line.cursor) }
    append("a\nb\n")
    for cursor in cursors {
      #expect(await lines(since: cursor).map(\.text) == ["a", "b"])
    }
  }

  @Test("[line-cursor] A made-up cursor skips nothing that does not fit to it")
  func madeUpCursors() async {
    append("a\n", "b\n")
    for text in ["0.1000", "1.1000", "0.0.800000", "1.3.9223372036854775807", "1.3.7"] {
      let lines = await lines(since: Cursor(text) ?? .start)
      #expect(lines.contains { $0.text == "b" || $0.text.isEmpty }, "\(text)")
    }
    #expect(await lines(since: Cursor("1.1000") ?? .start).map(\.text) == ["b"])
  }

  @Test("[line-cursor] The newest cursor begins with what comes from now on")
  func newest() async {
    append("a\nb")
    let cursor = session.newestCursor
    append("c\nd\n")
    #expect(await lines(since: cursor).map(\.text) == ["c", "d"])
    #expect(session.output(since: cursor).chunks.map(\.seq) == [2])
    // It knows nothing of the exit, so a wait tells of it.
    #expect(await session.output(since: session.newestCursor, waitingUpTo: nil).isClosed)
  }

  @Test("A line prints its stream, its text and what is unusual about it")
  func descriptions() async {
    append("a\nbcdef")
    let lines = await lines(maxLength: 4)
    #expect(
      lines.map(\.description) == [
        "stdout \"a\"", "stdout \"bcde\", ended by limit", "stdout \"f\", continued, ended by end",
      ])
  }
}
