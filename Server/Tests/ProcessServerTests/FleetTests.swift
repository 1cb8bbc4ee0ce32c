import NIOCore
import Processes
import RESPClient
import Synchronization
import Testing

@testable import ProcessServer

/// What a fleet stores, and the copies made of it. What servers do with each other and with Redis
/// is tested by Server/Tests/fleet.py.
struct FleetTests {
  /// An entry as Redis returns it.
  private func entry(_ batch: Batch) -> RESPValue {
    entry(id: batch.id, batch.descriptors, batch.payload)
  }

  private func entry(id: String, _ descriptors: ByteBuffer, _ payload: ByteBuffer) -> RESPValue {
    .array([
      .bulk(ByteBuffer(string: id)),
      .array([
        .bulk(ByteBuffer(string: "c")), .bulk(descriptors), .bulk(ByteBuffer(string: "d")),
        .bulk(payload),
      ]),
    ])
  }

  /// What is known of a session.
  private func facts(
    of session: Session, state: String = "", isClosed: Bool = false, isLost: Bool = false
  ) throws -> RemoteState {
    let epoch = session.output().cursor.description.split(separator: ".")[3]
    var hash = [
      "life": "l", "host": "h", "workspace": "w",
      "order": #"{"epoch":\#(epoch),"start_ns":5,"timestamps":false}"#,
      "state": #"{"last_seq":0,"total_bytes":0,"closed":\#(isClosed)\#(state)}"#,
    ]
    if isLost { hash["lost"] = "1" }
    return try #require(RemoteState(hash, isReachable: true))
  }

  @Test("A batch that is stored is read again, with streams, times and places")
  func batches() throws {
    for timestamps in [false, true] {
      let session = Session(timestamps: timestamps)
      session.append("first")
      session.append(Array(repeating: 7, count: 70_000), to: .stderr)
      session.append("last\n")
      let batch = Batch(session.output(since: 1))
      #expect(batch.id == "3-70010")
      let stored = try #require(StoredBatch(entry(batch), hasTimestamps: timestamps))
      #expect(stored.firstSeq == 2)
      #expect(stored.lastSeq == 3)
      #expect(stored.begin == 5)
      #expect(stored.end == 70_010)
      #expect(stored.chunks.map(\.stream) == [.stderr, .stdout])
      #expect(stored.chunks.map(\.bytes.readableBytes) == [70_000, 5])
      #expect(stored.chunks.map(\.timestamp) == session.output(since: 1).chunks.map(\.timestamp))
    }
  }

  @Test("A batch ends where the output has a gap behind its head")
  func gaps() {
    let session = Session(capacity: 4_096, headCapacity: 10)
    session.append("head")
    for _ in 0..<10 { session.append(Array(repeating: 1, count: 1_000), to: .stdout) }
    let output = session.output()
    #expect(output.gapIndex == 1)
    let batch = Batch(output)
    #expect(batch.lastSeq == 1)
    #expect(batch.payload.readableBytes == 4)
  }

  @Test("An entry that no server stores is refused, whatever is in it")
  func damage() {
    let session = Session()
    session.append("one")
    session.append("two", to: .stderr)
    let batch = Batch(session.output())
    func isRead(_ entry: RESPValue) -> Bool { StoredBatch(entry, hasTimestamps: false) != nil }
    #expect(isRead(entry(batch)))
    for id in [
      "", "2", "2-", "-6", "x-6", "2-5", "1-6", "2-6-1", "9999999999999999999-6", "1000-6", "9-12",
    ] {
      #expect(!isRead(entry(id: id, batch.descriptors, batch.payload)), "\(id)")
    }
    for bytes: [UInt8] in [
      [], [6], [0, 6, 7], [6, 0], [6, 9], [6, 7, 1], [0x86], Array(repeating: 0xff, count: 10),
    ] {
      #expect(!isRead(entry(id: "2-6", ByteBuffer(bytes: bytes), batch.payload)), "\(bytes)")
    }
    // Behind an offset, and yet the first.
    let first = entry(id: "1-6", ByteBuffer(bytes: [6]), ByteBuffer(string: "abc"))
    #expect(!isRead(first))
    for value: RESPValue in [.null, .integer(1), .array([]), .array([.null, .null])] {
      #expect(!isRead(value))
    }
  }

  @Test("A copy has the session's chunks, cursors and end")
  func copies() throws {
    let session = Session(id: "s", workspaceID: "w")
    let manager = SessionManager(idleTimeout: .seconds(60))
    var copy = try SessionCopy(of: "s", facts(of: session), behind: 0, offset: 0, in: manager)
    var cursor = Cursor.start
    for text in ["one", "two", "three"] {
      session.append(text, to: text == "two" ? .stderr : .stdout)
      let output = session.output(since: cursor)
      cursor = output.cursor
      let stored = try #require(StoredBatch(entry(Batch(output)), hasTimestamps: false))
      for _ in 0..<2 { try copy.append(stored, of: facts(of: session), in: manager) }
    }
    session.setExit(3)
    for isClosed in [false, true] {
      copy.end(as: try facts(of: session, state: #","exit_code":3"#, isClosed: isClosed))
      #expect(copy.session.exitCode == 3)
      #expect(copy.session.isClosed == isClosed)
    }
    let (left, right) = (session.output(), copy.session.output())
    #expect(right.chunks.map(\.seq) == left.chunks.map(\.seq))
    #expect(right.chunks.map(\.offset) == left.chunks.map(\.offset))
    #expect(right.chunks.map { String($0.data) } == ["one", "two", "three"])
    #expect(right.cursor == left.cursor)
    #expect(!copy.session.output(since: left.cursor).isCursorForeign)
  }

  @Test("Where a batch is missing, another copy takes the place, and a wait for the first one ends")
  func missingBatches() async throws {
    let session = Session(id: "s", workspaceID: "w")
    let manager = SessionManager(idleTimeout: .seconds(60))
    var copy = try SessionCopy(of: "s", facts(of: session), behind: 0, offset: 0, in: manager)
    let first = copy.session
    async let news = first.output(since: .start, waitingUpTo: nil)
    session.append("lost")
    session.append("kept")
    let stored = try #require(
      StoredBatch(entry(Batch(session.output(since: 1))), hasTimestamps: false))
    try copy.append(stored, of: facts(of: session), in: manager)
    #expect(await news.isForgotten)
    #expect(copy.session !== first)
    let output = copy.session.output()
    #expect(output.chunks.map(\.seq) == [2])
    #expect(output.missedChunks == 1)
    #expect(output.missedBytes == 4)
    #expect(output.lostBytes == 4)
  }

  @Test("A copy that takes another one's place has the session's exit as well")
  func missingBatchesBehindAnExit() throws {
    let session = Session(id: "s", workspaceID: "w")
    let manager = SessionManager(idleTimeout: .seconds(60))
    var copy = try SessionCopy(of: "s", facts(of: session), behind: 0, offset: 0, in: manager)
    let exited = try facts(of: session, state: #","exit_code":3"#)
    copy.end(as: exited)
    session.append("lost")
    session.append("kept")
    let stored = try #require(
      StoredBatch(entry(Batch(session.output(since: 1))), hasTimestamps: false))
    try copy.append(stored, of: exited, in: manager)
    copy.end(as: exited)
    #expect(copy.session.exitCode == 3)
    #expect(!copy.session.isAlive)
  }

  @Test("Batches that were made anew continue a copy that ends in the middle of one")
  func otherBatches() throws {
    let session = Session(id: "s", workspaceID: "w")
    let manager = SessionManager(idleTimeout: .seconds(60))
    var copy = try SessionCopy(of: "s", facts(of: session), behind: 0, offset: 0, in: manager)
    let first = copy.session
    for text in ["one", "two", "three"] {
      session.append(text)
      let all = try #require(
        StoredBatch(entry(Batch(session.output())), hasTimestamps: false))
      try copy.append(all, of: facts(of: session), in: manager)
    }
    #expect(copy.session === first)
    #expect(first.output().chunks.map { String($0.data) } == ["one", "two", "three"])
    #expect(first.output().cursor == session.output().cursor)
  }

  @Test("A session whose server is lost is closed without an exit")
  func lostServers() throws {
    let session = Session(id: "s", workspaceID: "w")
    let manager = SessionManager(idleTimeout: .seconds(60))
    let lost = try facts(of: session, isLost: true)
    var copy = try SessionCopy(of: "s", lost, behind: 0, offset: 0, in: manager)
    copy.end(as: lost)
    let output = copy.session.output()
    #expect(output.isClosed)
    #expect(output.exitCode == nil)
    #expect(lost.ending(for: output).isHostLost)
    #expect(lost.summary.contains { $0.name == "host_lost" })
  }

  @Test("Fields that no server stores are refused, and numbers out of range count as none")
  func damagedFields() throws {
    #expect(RemoteState([:], isReachable: true) == nil)
    let fields = ["life": "l", "host": "h", "workspace": "w", "order": "{}", "state": "{}"]
    #expect(RemoteState(fields, isReachable: true) != nil)
    for (name, text) in [
      ("order", "["), ("order", "[]"), ("state", "{"), ("state", "7"),
      ("state", #"{"last_seq":10,"total_bytes":3}"#),
      ("state", #"{"last_seq":4611686018427387904,"total_bytes":4611686018427387904}"#),
    ] {
      #expect(RemoteState(fields.merging([name: text]) { $1 }, isReachable: true) == nil)
    }
    let odd = try #require(
      RemoteState(
        fields.merging(["state": #"{"last_seq":-1,"exit_code":99999999999,"total_bytes":"x"}"#]) {
          $1
        }, isReachable: true))
    #expect(odd.lastSeq == 0)
    #expect(odd.exitCode == nil)
    #expect(odd.totalBytes == 0)
  }

  @Test("A member's URLs are checked, and no message shows a password")
  func urls() throws {
    _ = try APIServer.FleetMembership(redis: "redis://h", advertisedURL: "http://h:1")
    _ = try APIServer.FleetMembership(redis: "rediss://u:p@h:7/2", advertisedURL: "https://h")
    for url in ["", "h:1", "ftp://h", "http://", "http://h/x", "http://u@h", "http://h h"] {
      #expect(throws: APIServer.InvalidURL.self) {
        try APIServer.FleetMembership(redis: "redis://h", advertisedURL: url)
      }
    }
    for url in ["", "h", "http://h", "redis://", "redis://u:secret@h:x", "redis://u:secret@/x"] {
      let error = #expect(throws: APIServer.InvalidURL.self) {
        try APIServer.FleetMembership(redis: url, advertisedURL: "http://h:1")
      }
      #expect(error?.description.contains("secret") == false)
    }
  }

  @Test("Slots are given to as many tasks at a time as there are, in turn")
  func slots() async {
    let slots = Slots(3)
    let counts = Counts()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<50 {
        group.addTask {
          await slots.using {
            counts.enter()
            await Task.yield()
            counts.leave()
          }
        }
      }
    }
    #expect(counts.most <= 3)
    #expect(counts.all == 50)
  }
}

private final class Counts: Sendable {
  private let state = Mutex((now: 0, most: 0, all: 0))
  var most: Int { state.withLock(\.most) }
  var all: Int { state.withLock(\.all) }

  func enter() {
    state.withLock { state in
      state.now += 1
      state.all += 1
      state.most = max(state.most, state.now)
    }
  }

  func leave() { state.withLock { $0.now -= 1 } }
}
