import Foundation
import Processes
import ReferenceModel
import Testing

/// Rows of docs/contract.md. Each test states its row in brackets, and so do tests of other suites.
@Suite struct ContractTests {
  @Test("[append-over-cap] the oldest chunks are evicted whole, never the newest")
  func appendOverTheCap() {
    let session = Session(capacity: 10)
    for text in ["aaaa", "bbb", "ccc"] { session.append(text.utf8, to: .stdout) }
    #expect(session.output().texts == ["aaaa", "bbb", "ccc"])
    session.append("d".utf8, to: .stdout)
    #expect(session.output().texts == ["bbb", "ccc", "d"])
    #expect(session.lostBytes == 4)
    session.append("eeeeeee".utf8, to: .stdout)
    #expect(session.output().texts == ["d", "eeeeeee"])
    #expect(session.lostBytes == 10)
  }

  @Test("[large-chunk] its last 1 MiB is kept under one seq, the prefix is lost")
  func chunkLargerThanTheCap() {
    let session = Session()
    session.append("before".utf8, to: .stdout)
    let bytes = Stamp.bytes(3_000_000, at: 0)
    session.append(bytes, to: .stderr)
    let output = session.output()
    #expect(output.chunks.map(\.seq) == [2])
    #expect(output.chunks[0].offset == 6 + 3_000_000 - Session.maxBufferBytes)
    #expect(Array(output.chunks[0].data) == Array(bytes.suffix(Session.maxBufferBytes)))
    #expect(output.lostBytes == 6 + 3_000_000 - Session.maxBufferBytes)
    #expect(output.missedChunks == 1)
    #expect(output.missedBytes == output.lostBytes)
    // To a reader that had all before it, no chunk is missing, but the prefix is.
    let later = session.output(since: Cursor(seq: 1, offset: 6))
    #expect(later.missedChunks == 0)
    #expect(later.missedBytes == 3_000_000 - Session.maxBufferBytes)
  }

  @Test("[empty-append] it counts as activity, and makes no chunk and no seq")
  func emptyAppend() {
    let time = ManualTime()
    let session = Session(time: time)
    let made = session.lastActivity
    time.advance(by: .seconds(5))
    session.append([], to: .stdout)
    #expect(session.lastActivity == made.advanced(by: .seconds(5)))
    #expect(session.output().chunks.isEmpty)
    #expect(session.lastSeq == 0)
    session.append([1], to: .stdout)
    #expect(session.output().chunks.map(\.seq) == [1])
  }

  @Test("[tiny-chunks] a second bound limits their number, and counts like the first")
  func manyTinyChunks() {
    let session = Session()
    let count = Session.maxBufferedChunks + 1_000
    for _ in 0..<count { session.append([7], to: .stdout) }
    let output = session.output()
    #expect(output.chunks.count == Session.maxBufferedChunks)
    #expect(output.chunks.first?.seq == 1_001)
    #expect(output.chunks.last?.seq == count)
    #expect(output.lostBytes == 1_000)
    #expect(output.missedChunks == 1_000)
    #expect(output.missedBytes == 1_000)
    #expect(65_000 - Session.maxBufferedChunks < 1_500)  // "about 65,536"
  }

  @Test("[seq] one for each stored append, never reused, unchanged by eviction")
  func seq() {
    let session = Session(capacity: 5)
    for index in 1...100 {
      session.append(index % 7 == 0 ? [] : [1, 2], to: index % 2 == 0 ? .stdout : .stderr)
    }
    #expect(session.lastSeq == 86)
    #expect(session.output().chunks.map(\.seq) == [85, 86])
    #expect(session.output(since: 85).chunks.map(\.seq) == [86])
  }

  @Test("[offset] chunks without loss between them touch; a jump is the size of the loss")
  func offset() throws {
    let session = Session(capacity: 10)
    var end = 0
    var cursor = Cursor.start
    for size in [3, 4, 1, 9, 25, 10, 2, 2] {
      session.append(zeros(size), to: .stdout)
      guard size % 2 == 1 else { continue }
      let output = session.output(since: cursor)
      let jump = (output.chunks.first?.offset ?? end) - end
      #expect(jump == output.missedBytes)
      for (one, next) in zip(output.chunks, output.chunks.dropFirst()) {
        #expect(one.offset + one.data.count == next.offset)
      }
      cursor = output.cursor
      end = try #require(cursor.offset)
    }
    #expect(end == 3 + 4 + 1 + 9 + 25)
  }

  @Test("[read] every retained chunk with seq > since, and all numbers agree")
  func outputSince() {
    let session = Session(capacity: 10)
    for _ in 0..<9 { session.append(zeros(3), to: .stdout) }
    session.setExit(1, closing: false)
    for since in 0...9 {
      let output = session.output(since: Cursor(seq: since))
      #expect(output.chunks.map(\.seq) == Array(max(since + 1, 7)..<10))
      #expect(output.lostBytes == 18)
      #expect(output.missedChunks == max(0, 6 - since))
      #expect(output.missedBytes == max(0, 6 - since) * 3)
      #expect(output.lastSeq == 9)
      #expect(output.cursor == Cursor(seq: 9, offset: 27))
      #expect(output.exitCode == 1)
      #expect(!output.isAlive)
      #expect(!output.isClosed)
      #expect(!output.hasMore)
    }
  }

  @Test("[cursor-range] a negative seq is the same as 0")
  func sinceBelowZero() {
    let session = Session(capacity: 10)
    for _ in 0..<9 { session.append(zeros(3), to: .stdout) }
    for since in [-1, -1_000, .min] {
      let output = session.output(since: Cursor(seq: since))
      #expect(output.chunks.map(\.seq) == [7, 8, 9])
      #expect(output.missedChunks == 6)
      #expect(output.missedBytes == 18)
      #expect(!output.isCursorAhead)
    }
    let output = session.output(since: Cursor(seq: -5, offset: 20))
    #expect(output.missedChunks == 6)
    #expect(output.missedBytes == 18)
  }

  @Test("[cursor-range] a seq beyond the newest finds nothing, and is reported")
  func sinceBeyondTheNewest() {
    let session = Session()
    #expect(session.output(since: 1).isCursorAhead)
    #expect(!session.output(since: 0).isCursorAhead)
    session.append(zeros(3), to: .stdout)
    for since in [2, 1_000, .max] {
      let output = session.output(since: Cursor(seq: since))
      #expect(output.isCursorAhead)
      #expect(output.chunks.isEmpty)
      #expect(!output.hasMore)
      #expect(output.missedChunks == 0)
      #expect(output.missedBytes == 0)
      #expect(output.cursor == Cursor(seq: 1, offset: 3))
      #expect(output.lastSeq == 1)
    }
    #expect(session.output(since: Cursor(seq: 7, offset: .max)).isCursorAhead)
    #expect(!session.output(since: 1).isCursorAhead)
  }

  @Test("[read-again] readers do not consume, and a seq's bytes never change")
  func repeatedReads() {
    let session = Session(capacity: 100)
    for seq in 0..<8 { session.append(Stamp.bytes(10, at: 10 * seq), to: .stdout) }
    let first = session.output()
    let again = session.output()
    #expect(first.chunks.map(\.seq) == again.chunks.map(\.seq))
    #expect(first.chunks.payload == again.chunks.payload)
    for seq in 8..<40 { session.append(Stamp.bytes(10, at: 10 * seq), to: .stdout) }
    #expect(Array(first.chunks.payload) == Stamp.bytes(80, at: 0))
    #expect(first.chunks.map { Array($0.data) } == (0..<8).map { Stamp.bytes(10, at: 10 * $0) })
  }

  @Test("[read-again] bytes that a reader holds never change, though memory is reused")
  func readsIntoReusedMemory() {
    let session = Session(capacity: 100)
    var output = Output(reservingBytes: 100, chunks: 100)
    var held: [(Chunk, [UInt8])] = []
    var offset = 0
    for round in 0..<50 {
      session.append(Stamp.bytes(30, at: offset), to: .stdout)
      offset += 30
      session.read(into: &output)
      #expect(Array(output.chunks.last!.data) == Stamp.bytes(30, at: offset - 30))
      if round % 3 == 0, let chunk = output.chunks.last { held.append((chunk, Array(chunk.data))) }
    }
    for (chunk, bytes) in held { #expect(Array(chunk.data) == bytes) }
  }

  @Test("[slow-reader] it finds a gap that is counted exactly")
  func slowReader() {
    let session = Session(capacity: 100)
    session.append(zeros(60), to: .stdout)
    let cursor = session.output().cursor
    for _ in 0..<5_000 { session.append(zeros(60), to: .stdout) }
    let output = session.output(since: cursor)
    #expect(output.missedChunks == 4_999)
    #expect(output.missedBytes == 4_999 * 60)
    #expect(output.chunks.map(\.seq) == [5_001])
    // A bare seq that is older than every descriptor leaves the bytes, and only those, unknown.
    let bySeq = session.output(since: Cursor(seq: cursor.seq))
    #expect(bySeq.missedChunks == 4_999)
    #expect(bySeq.missedBytes == nil)
    #expect(session.output(since: 0).missedBytes == 5_000 * 60)
  }

  @Test("[exit-order] every append before the exit is in that read or before it")
  func exitSeen() {
    let session = Session()
    session.append("last words".utf8, to: .stderr)
    session.setExit(2)
    let output = session.output(maxBytes: 1)
    #expect(output.exitCode == 2)
    #expect(output.texts == ["last words"])
    // The same under concurrency: StressTests.
  }

  @Test("[late-append] it is accepted, and isAlive stays false")
  func appendAfterExit() {
    let session = Session()
    session.setExit(0)
    session.append("late".utf8, to: .stdout)
    let output = session.output()
    #expect(output.texts == ["late"])
    #expect(!output.isAlive)
    #expect(output.exitCode == 0)
    #expect(!session.isAlive)
    #expect(session.exitCode == 0)
  }

  @Test("[exit-again] the last one stands")
  func setExitAgain() {
    let session = Session()
    for code in [0, 137, -1, .min, .max, 5] as [Int32] {
      session.setExit(code)
      #expect(session.output().exitCode == code)
      #expect(session.exitCode == code)
      #expect(!session.output().isAlive)
      #expect(!session.isAlive)
    }
  }

  @Test("[closed] setExit closes unless output may still come; close() then does")
  func closed() {
    let plain = Session()
    #expect(!plain.isClosed)
    #expect(!plain.output().isClosed)
    #expect(plain.isAlive)
    plain.setExit(0)
    #expect(plain.isClosed)
    #expect(plain.output().isClosed)

    let late = Session()
    late.setExit(1, closing: false)
    #expect(!late.isClosed)
    #expect(!late.output().isClosed)
    #expect(!late.output().isComplete)
    late.append("late".utf8, to: .stdout)
    late.close()
    #expect(late.isClosed)
    #expect(late.output().isClosed)
    #expect(late.output().exitCode == 1)
    // It cannot be undone.
    late.setExit(2, closing: false)
    #expect(late.isClosed)
    #expect(late.output().isClosed)
    #expect(late.output().exitCode == 2)

    let closedFirst = Session()
    closedFirst.close()
    #expect(closedFirst.isClosed)
    #expect(closedFirst.isAlive)
    #expect(closedFirst.output().exitCode == nil)
    closedFirst.setExit(3, closing: false)
    #expect(closedFirst.isClosed)
    #expect(closedFirst.exitCode == 3)
  }

  @Test("[closed] a read in parts is complete only when nothing is left")
  func complete() {
    let session = Session()
    for _ in 0..<3 { session.append(zeros(10), to: .stdout) }
    session.setExit(0)
    #expect(!session.output(maxBytes: 20).isComplete)
    #expect(session.output(since: 2, maxBytes: 20).isComplete)
    #expect(session.output().isComplete)
  }

  @Test("[max-bytes] at least one chunk if any is due, and whether more are left")
  func maxBytes() {
    let session = Session()
    for _ in 0..<5 { session.append(zeros(10), to: .stdout) }
    for (limit, count) in [
      (Int.min, 1), (-1, 1), (0, 1), (1, 1), (10, 1), (19, 1), (20, 2), (49, 4), (50, 5),
      (51, 5), (.max, 5),
    ] {
      let output = session.output(maxBytes: limit)
      #expect(output.chunks.count == count)
      #expect(output.hasMore == (count < 5))
      #expect(output.lastSeq == count)
      #expect(output.cursor == Cursor(seq: count, offset: 10 * count))
    }
    let rest = session.output(since: 3, maxBytes: 20)
    #expect(rest.chunks.map(\.seq) == [4, 5])
    #expect(!rest.hasMore)
    let nothing = session.output(since: 5, maxBytes: 0)
    #expect(nothing.chunks.isEmpty)
    #expect(!nothing.hasMore)
  }

  @Test("[head] the first chunks stay, as many as fit")
  func head() {
    let session = Session(capacity: 100, headCapacity: 50)
    #expect(session.headCapacity == 50)
    for size in [20, 20, 20] { session.append(zeros(size), to: .stdout) }
    for _ in 0..<1_000 { session.append(zeros(10), to: .stdout) }
    let output = session.output()
    #expect(output.chunks.prefix(2).map(\.seq) == [1, 2])
    // The third did not fit, and nothing after it goes there.
    #expect(output.chunks[2].seq == 994)
    #expect(output.chunks.payload.count == 140)
    #expect(session.lostBytes == session.totalBytes - 140)
  }

  @Test("[head] without one, nothing stays")
  func noHead() {
    let session = Session(capacity: 10)
    #expect(session.headCapacity == 0)
    for _ in 0..<3 { session.append(zeros(10), to: .stdout) }
    #expect(session.output().chunks.map(\.seq) == [3])
  }

  @Test("[head] a producer of its own, and a session in a file, have one as well")
  func headElsewhere() throws {
    var producer = Session.Producer(capacity: 4, headCapacity: 4)
    for byte in 0..<9 as Range<UInt8> { producer.append([byte], to: .stdout) }
    #expect(Array(producer.session.output().chunks.payload) == [0, 1, 2, 3, 5, 6, 7, 8])
    let directory = TemporaryDirectory()
    let path = directory.path + "/head"
    let session = try Session(recordingTo: path, capacity: 4, headCapacity: 4)
    for byte in 0..<9 as Range<UInt8> { session.append([byte], to: .stdout) }
    let recorded = try RecordedSession(at: path)
    #expect(recorded.headCapacity == 4)
    #expect(Array(recorded.output().chunks.payload) == [0, 1, 2, 3, 5, 6, 7, 8])
  }

  @Test("[head-read] the head, then the newest; what is missed lies between")
  func headRead() {
    let session = Session(capacity: 40, headCapacity: 20)
    for _ in 0..<20 { session.append(zeros(10), to: .stdout) }
    for since in 0...2 {
      let output = session.output(since: Cursor(seq: since))
      #expect(output.chunks.map(\.seq) == Array(since + 1..<3) + Array(17...20))
      #expect(output.missedChunks == 14)
      #expect(output.missedBytes == 140)
      #expect(output.lostBytes == 140)
      #expect(output.gapIndex == 2 - since)
    }
    #expect(session.output(since: 3).gapIndex == 0)
    #expect(session.output(since: 3).missedChunks == 13)
  }

  @Test("[head-read] with a limit, the oldest that are due come first")
  func headReadWithLimit() {
    let session = Session(capacity: 40, headCapacity: 20)
    for _ in 0..<20 { session.append(zeros(10), to: .stdout) }
    for (limit, seqs) in [
      (0, [1]), (19, [1]), (20, [1, 2]), (29, [1, 2]), (30, [1, 2, 17]), (59, [1, 2, 17, 18, 19]),
    ] {
      let output = session.output(maxBytes: limit)
      #expect(output.chunks.map(\.seq) == seqs)
      #expect(output.missedChunks == (seqs.count > 2 ? 14 : 0))
      #expect(output.hasMore)
      let rest = session.output(since: output.cursor)
      #expect(seqs + rest.chunks.map(\.seq) == [1, 2, 17, 18, 19, 20])
    }
  }

  @Test("[raw-bytes] never decoded, split or joined")
  func rawBytes() {
    let session = Session()
    let euro = Array("€".utf8)
    session.append(euro[..<2], to: .stdout)
    session.append(euro[2...], to: .stdout)
    let all = (0...255).map { UInt8($0) }
    session.append(all, to: .stderr)
    let output = session.output()
    #expect(output.chunks.map { Array($0.data) } == [Array(euro[..<2]), Array(euro[2...]), all])
    #expect(Array(output.chunks.payload) == euro + all)
  }

  @Test("[register-again] it replaces and returns the replaced session")
  func registerTakenID() {
    let manager = SessionManager(idleTimeout: .seconds(60))
    let (first, second) = (Session(id: "a"), Session(id: "a"))
    #expect(manager.register(first) == nil)
    #expect(manager.register(second) === first)
    #expect(manager.session(id: "a") === second)
    #expect(manager.count == 1)
    #expect(manager.register(second) === second)
  }

  @Test("[sweep] drops and returns sessions idle for longer than the timeout")
  func sweep() {
    let time = ManualTime()
    let manager = SessionManager(idleTimeout: .seconds(10))
    for id in ["a", "b", "c"] { manager.register(Session(id: id, time: time)) }
    time.advance(by: .seconds(10))
    #expect(manager.sweep().isEmpty)
    manager.session(id: "b")?.append([1], to: .stdout)
    time.advance(by: .nanoseconds(1))
    #expect(Set(manager.sweep().map(\.id)) == ["a", "c"])
    #expect(manager.sessions.map(\.id) == ["b"])
    #expect(manager.count == 1)
  }

  @Test("[idle] append, setExit and register count; nothing else does")
  func idle() {
    let time = ManualTime()
    let session = Session(time: time)
    let manager = SessionManager(idleTimeout: .seconds(10))
    func isActivity(_ action: () -> Void) -> Bool {
      let before = session.lastActivity
      time.advance(by: .seconds(1))
      action()
      #expect(session.lastActivity == before || session.idleTime == .zero)
      return session.lastActivity != before
    }
    #expect(session.idleTime == .zero)
    #expect(isActivity { session.append([1], to: .stdout) })
    #expect(isActivity { session.append([], to: .stdout) })
    #expect(isActivity { session.append("x".utf8, to: .stderr) })
    #expect(isActivity { unsafe session.append(reserving: 1, to: .stdout) { _, _ in 1 } })
    #expect(!isActivity { unsafe session.append(reserving: 1, to: .stdout) { _, _ in 0 } })
    #expect(isActivity { session.setExit(0) })
    #expect(isActivity { manager.register(session) })
    #expect(!isActivity { session.close() })
    #expect(!isActivity { _ = session.output() })
    #expect(!isActivity { _ = manager.session(id: "s") })
    #expect(!isActivity { _ = manager.sweep() })
    #expect(session.idleTime == .seconds(4))
  }

  @Test("[chunk-text] Bytes become a string or data, and are equal and hashed by their bytes")
  func chunkText() {
    let session = Session()
    session.append("a\u{e9}".utf8, to: .stdout)
    session.append([0x61, 0xc3], to: .stdout)
    session.append([0xa9], to: .stderr)
    let chunks = session.output().chunks
    #expect(String(chunks[0].data) == "a\u{e9}")
    #expect(chunks[0].text == "a\u{e9}")
    #expect(chunks[1].text == "a\u{fffd}")
    #expect(Data(chunks[0].data) == Data([0x61, 0xc3, 0xa9]))
    #expect(Set([chunks[1].data, chunks[0].data.prefix(2), chunks[0].data]).count == 2)
    #expect(Set([chunks[2].data, chunks[0].data.dropFirst(2)]).count == 1)
    #expect(chunks[2].data.hashValue == chunks[0].data.dropFirst(2).hashValue)
  }

  @Test("[stream-payload] All bytes of one stream in a read, copied only if the other interrupts")
  func payloadOfAStream() {
    let session = Session()
    for (text, stream) in [
      ("a", StandardStream.stdout), ("b", .stdout), ("1", .stderr), ("c", .stdout), ("2", .stderr),
    ] {
      session.append(text.utf8, to: stream)
    }
    let output = session.output()
    #expect(String(output.payload(of: .stdout)) == "abc")
    #expect(String(output.payload(of: .stderr)) == "12")
    #expect(output.payload(of: .stdout).startIndex == 0)
    #expect(Output().payload(of: .stdout).isEmpty)
    let first = session.output(maxBytes: 3)
    let addresses = [first.payload(of: .stderr), first.chunks[2].data].map {
      unsafe $0.withUnsafeBytes { UInt(bitPattern: $0.baseAddress) }
    }
    #expect(addresses[0] == addresses[1])
    #expect(String(first.payload(of: .stderr)) == "1")
    #expect(first.payload(of: .stderr).startIndex == 0)
  }

  @Test("[chunk-json] stream and seq, never the data")
  func json() throws {
    let session = Session()
    session.append("secret".utf8, to: .stdout)
    session.append("secret".utf8, to: .stderr)
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let json = try session.output().chunks.map {
      String(decoding: try encoder.encode($0), as: UTF8.self)
    }
    #expect(json == [#"{"seq":1,"stream":"stdout"}"#, #"{"seq":2,"stream":"stderr"}"#])
  }

  @Test("[cursor-text] a cursor survives JSON, and no other value does harm")
  func cursorJSON() throws {
    let cursor = Cursor(seq: 7, offset: 1 << 40)
    let data = try JSONEncoder().encode(cursor)
    #expect(try JSONDecoder().decode(Cursor.self, from: data) == cursor)
    // Whatever a client makes of it, it does no harm.
    let session = Session(capacity: 2)
    for _ in 0..<9 { session.append([1], to: .stdout) }
    for seq in [Int.min, -1, 0, 1, 8, 9, 10, .max] {
      for offset in [Int.min, -1, 0, 1, .max] {
        for maxBytes in [nil, Int.min, .max] {
          let output = session.output(since: Cursor(seq: seq, offset: offset), maxBytes: maxBytes)
          #expect(output.missedBytes ?? 0 >= 0 && output.missedChunks >= 0)
        }
      }
    }
  }
}
