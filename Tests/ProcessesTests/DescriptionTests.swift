import Processes
import Testing

/// How values print.
@Suite struct DescriptionTests {
  @Test("A chunk prints as its seq, its stream and its text")
  func chunk() {
    let session = Session()
    session.append("compiling…\n")
    session.append([0xff, 0x41], to: .stderr)
    let chunks = session.output().chunks
    #expect("\(chunks[0])" == #"#1 stdout "compiling…\n""#)
    #expect("\(chunks[1])" == "#2 stderr \"\u{fffd}A\"")
  }

  @Test("A long chunk prints its first 80 bytes and its length")
  func longChunk() {
    let session = Session()
    session.append(String(repeating: "x", count: 81))
    let text = String(repeating: "x", count: 80)
    #expect("\(session.output().chunks[0])" == "#1 stdout \"\(text)\"… (81 bytes)")
  }

  @Test("An output prints what was read, what was missed, and the state")
  func output() {
    let session = Session(capacity: 4)
    #expect("\(session.output())" == "no chunks; running")
    session.append("abc")
    #expect("\(session.output())" == "chunk #1 (3 bytes); running")
    session.append("de")
    session.append("f")
    session.setExit(3)
    let text = "chunks #2 to #3 (3 bytes), 1 chunks (3 bytes) missed; exited with 3, closed"
    #expect("\(session.output())" == text)
    let rest = session.output(maxBytes: 1)
    #expect("\(rest)".contains("missed, more to read; exited"))
    #expect("\(session.output(since: 9))" == "no chunks, cursor ahead; exited with 3, closed")
    let foreign = Session().output().cursor
    #expect("\(session.output(since: foreign))".contains(", cursor of another session; "))
  }

  @Test("A session prints its id, its counts and the state")
  func session() {
    let session = Session(id: "build-7", workspaceID: "acme", capacity: 4)
    session.append("abc")
    session.append("de")
    #expect(
      "\(session)"
        == #"session "build-7" of workspace "acme": 2 chunks, 5 bytes, 3 lost; running"#)
    let manager = SessionManager(idleTimeout: .seconds(1))
    let plain = Session(id: "x")
    manager.register(plain)
    manager.forget(id: "x")
    plain.close()
    let state = "no exit code, closed, forgotten by its manager"
    #expect("\(plain)" == #"session "x": 0 chunks, 0 bytes, 0 lost; \#(state)"#)
  }

  @Test("A session without an id has an id of its own, of 32 hexadecimal digits")
  func uniqueID() {
    let ids = (0..<100).map { _ in Session(capacity: 1).id }
    #expect(Set(ids).count == 100)
    for id in ids {
      #expect(id.utf8.count == 32)
      #expect(id.allSatisfy { $0.isHexDigit })
    }
    #expect(Session(capacity: 1).workspaceID == "")
  }
}

/// A reservation that is filled through a span.
@Suite struct SpanReservationTests {
  @Test("The bytes that a closure appends to the span are one chunk")
  func oneChunk() {
    let session = Session()
    let count = session.append(reserving: 10, to: .stderr) { span in
      #expect(span.freeCapacity == 10)
      for byte in "abc".utf8 { span.append(byte) }
    }
    #expect(count == 3)
    #expect(session.output().chunks.map(\.description) == [#"#1 stderr "abc""#])
  }

  @Test("A closure that appends nothing or throws adds no chunk")
  func nothing() {
    struct Failure: Error {}
    let session = Session()
    #expect(session.append(reserving: 10, to: .stdout) { (_: inout OutputRawSpan) in } == 0)
    #expect(throws: Failure.self) {
      try session.append(reserving: 10, to: .stdout) { (span: inout OutputRawSpan) in
        span.append(1)
        throw Failure()
      }
    }
    #expect(session.lastSeq == 0)
  }

  @Test("An exclusive producer fills spans as well")
  func producer() {
    var producer = Session.Producer(capacity: 100)
    let count = producer.append(reserving: 4, to: .stdout) { (span: inout OutputRawSpan) in
      span.append(65)
    }
    #expect(count == 1)
    #expect(producer.session.output().chunks.payload.elementsEqual([65]))
  }

  @Test("Spans are never empty, and all bytes arrive, where the memory wraps")
  func wrapping() {
    let session = Session(capacity: 1_000)
    var written = 0
    for _ in 0..<100 {
      written += session.append(reserving: 777, to: .stdout) { (span: inout OutputRawSpan) in
        #expect(span.freeCapacity > 0)
        while span.freeCapacity > 0 { span.append(UInt8(truncatingIfNeeded: span.byteCount)) }
      }
    }
    #expect(session.totalBytes == written)
    for chunk in session.output().chunks {
      let expected = (0..<chunk.data.count).map { UInt8(truncatingIfNeeded: $0) }
      #expect(chunk.data.elementsEqual(expected))
    }
  }
}
