import BenchmarkContenders
import Processes
import Testing

/// A comparison is fair only if all do the same work.
@Suite struct ContenderTests {
  private static let cap = Session.maxBufferBytes

  @Test(
    "Each contender retains the same last bytes", arguments: [64, 1_000, 4_096, 65_536], [0, 7])
  func everyContenderRetainsTheSameLastBytes(size: Int, jitter: Int) throws {
    // One and a half times the cap, so that all have overwritten or dropped something.
    let count = Self.cap * 3 / 2 / size
    var input: [UInt8] = []
    unsafe Payload(size: size, jitter: jitter).forEach(count) {
      unsafe input.append(contentsOf: $0)
    }
    for make in Appender.all {
      let appender = make()
      appender.append(Payload(size: size, jitter: jitter), count)
      let retained = appender.retained()
      #expect(retained.count <= Self.cap, "\(appender.name)")
      // All keep whole chunks but the limit, which knows none.
      #expect(retained.count > Self.cap - size - 2 * jitter, "\(appender.name)")
      #expect(retained == Array(input.suffix(retained.count)), "\(appender.name)")
    }
  }

  @Test("Each contender but the limit retains the same chunks")
  func allButTheLimitRetainTheSameChunks() throws {
    let retained = Appender.all.map { make in
      let appender = make()
      appender.append(Payload(size: 1_000, jitter: 7), 2_000)
      return (appender.name, appender.retained())
    }
    let chunked = retained.filter { $0.0 != "limit" }
    #expect(chunked.count == 7)
    for (name, bytes) in chunked { #expect(bytes == chunked[0].1, "\(name)") }
  }

  @Test("The bounded contenders drop chunks of 16 bytes by their number first")
  func sixteenByteChunksMeetTheBoundOnTheirNumberFirst() {
    for make in Appender.all {
      let appender = make()
      appender.append(Payload(size: 16), 80_000)
      let bounded = ["ring", "words", "reservation", "producer", "session"].contains(appender.name)
      let chunks = bounded ? Session.maxBufferedChunks : Self.cap / 16
      #expect(appender.retained().count == 16 * chunks, "\(appender.name)")
    }
  }

  @Test("The original and the deque read the same chunks as a session")
  func theOriginalAndTheDequeReadWhatASessionReads() {
    let session = Session(id: "s", workspaceID: "w", capacity: 1_000)
    let original = Original(capacity: 1_000)
    let deque = LockedDeque(capacity: 1_000)
    unsafe Payload(size: 90, jitter: 7).forEach(40) { bytes in
      unsafe session.append(bytes, to: .stdout)
      unsafe original.append(bytes)
      unsafe deque.append(bytes)
    }
    #expect(original.lostBytes == session.lostBytes)
    #expect(deque.lostBytes == session.lostBytes)
    for since in 0...41 {
      let expected = session.output(since: Cursor(seq: since)).chunks.map { Array($0.data) }
      #expect(original.output(since: since).chunks.map(\.data) == expected)
      #expect(deque.output(since: since) == expected)
    }
  }
}
