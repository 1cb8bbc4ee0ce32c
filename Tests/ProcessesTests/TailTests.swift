@testable import Processes
import ReferenceModel
import Testing

/// The newest chunks and lines of a session.
@Suite struct TailTests {
  private let session = Session(id: "s", capacity: 1_000)

  private func append(_ texts: String..., to stream: StandardStream = .stdout) {
    for text in texts { session.append(text.utf8, to: stream) }
  }

  @Test("[tail-bytes] The newest chunks within a number of bytes, and one at least")
  func bytes() {
    append("aaa", "bb", "c", "dddd")
    for (bytes, seqs) in [
      (0, [4]), (3, [4]), (4, [4]), (5, [3, 4]), (6, [3, 4]), (7, [2, 3, 4]), (9, [2, 3, 4]),
      (10, [1, 2, 3, 4]), (Int.max, [1, 2, 3, 4]),
    ] {
      let tail = session.tail(bytes: bytes)
      #expect(tail.chunks.map(\.seq) == seqs, "\(bytes)")
      #expect(tail.missedChunks == 0)
      #expect(tail.missedBytes == 0)
      #expect(tail.cursor == session.output().cursor)
      #expect(!tail.hasMore)
    }
  }

  @Test("[tail-bytes] Its state and cursor are those of a read")
  func state() async {
    append("a", "b")
    session.setExit(5)
    let tail = session.tail(bytes: 1)
    #expect(tail.exitCode == 5)
    #expect(tail.isComplete)
    #expect(await session.output(since: tail.cursor, waitingUpTo: nil).chunks.isEmpty)
    #expect(Session().tail(bytes: 10).chunks.isEmpty)
  }

  @Test("[tail-bytes] Only what is retained")
  func retained() {
    let session = Session(capacity: 10)
    for _ in 0..<100 { session.append(zeros(3), to: .stdout) }
    #expect(session.tail(bytes: 1_000).chunks.map(\.seq) == [98, 99, 100])
    #expect(session.tail(bytes: 1_000).lostBytes == 291)
    session.append(zeros(100), to: .stdout)
    #expect(session.tail(bytes: 1).chunks.map(\.data.count) == [10])
  }

  @Test("[tail-bytes] While the producer appends, it ends with the newest chunks, without a gap")
  func whileTheProducerAppends() async {
    let session = Session(capacity: 10_000)
    let producer = Task {
      for index in 0..<50_000 {
        session.append(Stamp.bytes(1 + index % 9, at: session.totalBytes), to: .stdout)
      }
    }
    for _ in 0..<2_000 {
      let before = session.lastSeq
      let tail = session.tail(bytes: 50)
      #expect(tail.chunks.payload.count <= 50)
      #expect(tail.lastSeq >= before)
      for chunk in tail.chunks {
        #expect(Array(chunk.data) == Stamp.bytes(chunk.data.count, at: chunk.offset))
      }
    }
    await producer.value
  }

  @Test("[tail-lines] The newest lines, also the one without a newline")
  func lines() {
    append("one\ntwo\nth", "ree\nfo")
    append("err\n", to: .stderr)
    append("ur")
    #expect(session.tail(lines: 0).isEmpty)
    #expect(session.tail(lines: 1).map(\.text) == ["four"])
    #expect(session.tail(lines: 1).map(\.ending) == [.end])
    #expect(session.tail(lines: 3).map(\.text) == ["three", "err", "four"])
    #expect(session.tail(lines: 9).map(\.text) == ["one", "two", "three", "err", "four"])
    #expect(session.tail(lines: 2, of: .stderr).map(\.text) == ["err"])
    #expect(session.tail(lines: 2, of: .stdout).map(\.text) == ["three", "four"])
    #expect(session.tail(lines: 9).allSatisfy { !$0.followsLoss })
  }

  @Test("[tail-lines] A line is read from its beginning, however far back that is")
  func farBack() {
    let session = Session()
    session.append("begin", to: .stderr)
    for index in 0..<20_000 { session.append("line \(index)\n", to: .stdout) }
    session.append(" end\n", to: .stderr)
    #expect(session.tail(lines: 2).map(\.text) == ["line 19999", "begin end"])
    #expect(session.tail(lines: 20_001).count == 20_001)
    #expect(session.tail(lines: 2, of: .stdout).map(\.text) == ["line 19998", "line 19999"])
  }

  @Test("[tail-lines] One line is read from its beginning, too")
  func oneLongLine() {
    let session = Session()
    for _ in 0..<50 { session.append([UInt8](repeating: 0x78, count: 100), to: .stdout) }
    session.append("\n", to: .stdout)
    #expect(session.tail(lines: 1).map(\.bytes.count) == [5_000])
    #expect(session.tail(lines: 1).map(\.followsLoss) == [false])
  }

  @Test("[tail-lines] The first line of what is retained may lack its beginning, and says so")
  func lostBeginning() {
    let session = Session(capacity: 8)
    session.append("abc", to: .stdout)
    session.append("def\ngh\n", to: .stdout)
    let lines = session.tail(lines: 5)
    #expect(lines.map(\.text) == ["def", "gh"])
    #expect(lines.map(\.followsLoss) == [true, false])
    #expect(lines.map(\.missedBytes) == [0, 0])
  }

  @Test("[tail-lines] The last line's cursor goes on with what comes next")
  func goesOn() async {
    append("a\nb\n")
    let cursor = session.tail(lines: 1)[0].cursor
    append("c\n")
    session.close()
    var lines: [String] = []
    for await line in session.lines(since: cursor) { lines.append(line.text) }
    #expect(lines == ["c"])
  }

  @Test("A tail of less than nothing ends the program")
  func preconditions() async {
    await #expect(processExitsWith: .failure) { _ = Session(id: "").tail(bytes: -1) }
    await #expect(processExitsWith: .failure) { _ = Session(id: "").tail(lines: -1) }
  }
}
