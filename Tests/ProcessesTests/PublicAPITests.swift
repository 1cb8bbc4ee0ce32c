import Foundation
import Processes
import Testing

/// What is left of the public surface of Processes beyond the contract's rows.
@Suite struct ProcessesPublicAPITests {
  @Test("A session has the documented defaults, and keeps its id, workspace and capacity")
  func constants() {
    #expect(Session.maxBufferBytes == 1_048_576)
    #expect(Session().capacity == Session.maxBufferBytes)
    #expect(StandardStream.allCases.map(\.rawValue) == ["stdout", "stderr"])
    let session = Session(id: "a", workspaceID: "b", capacity: 3)
    #expect(session.id == "a")
    #expect(session.workspaceID == "b")
    #expect(session.capacity == 3)
  }

  @Test("A session appends bytes from any collection, buffer or span")
  func appendTakesAnyBytes() {
    let session = Session()
    let bytes: [UInt8] = [1, 2, 3]
    session.append(bytes, to: .stdout)
    session.append(bytes[1...], to: .stdout)
    session.append(ContiguousArray(bytes), to: .stdout)
    session.append(bytes.reversed(), to: .stdout)
    session.append(Data(bytes), to: .stdout)
    session.append("é".utf8, to: .stdout)
    // A bridged or lazy string's UTF-8 need not be contiguous.
    session.append(("a" + String(NSString("b"))).utf8, to: .stdout)
    unsafe session.append(bytes.span.bytes, to: .stdout)
    unsafe bytes.withUnsafeBytes { unsafe session.append($0, to: .stderr) }
    unsafe session.append(UnsafeRawBufferPointer(start: nil, count: 0), to: .stderr)
    session.append(EmptyCollection<UInt8>(), to: .stderr)
    session.append(RawSpan(), to: .stderr)
    #expect(
      session.output().chunks.map { Array($0.data) } == [
        bytes, [2, 3], bytes, [3, 2, 1], bytes, [0xc3, 0xa9], [0x61, 0x62], bytes, bytes,
      ])
    #expect(session.output().chunks.last?.stream == .stderr)
  }

  @Test("A reservation whose closure throws appends nothing and gives the lock back")
  func reservations() {
    struct Failure: Error {}
    let session = Session()
    let count = unsafe session.append(reserving: .max, to: .stderr) { first, second in
      unsafe first[0] = 9
      return first.count + second.count > 65_536 ? -1 : 1
    }
    #expect(count == 1)
    #expect(throws: Failure.self) {
      try unsafe session.append(reserving: 1, to: .stderr) { (_, _) throws(Failure) in
        throw Failure()
      }
    }
    // The lock was given back.
    session.append([8], to: .stdout)
    #expect(session.output().chunks.map { Array($0.data) } == [[9], [8]])
  }

  /// Several producers take turns: nothing is lost, and each one's chunks are in its own order.
  @Test("Concurrent producers lose nothing, and each producer's chunks stay in order")
  func severalProducers() {
    let session = Session(capacity: 1 << 20)
    DispatchQueue.concurrentPerform(iterations: 4) { producer in
      for index in 0..<5_000 {
        if index % 5 == 0 {
          _ = unsafe session.append(reserving: 9, to: .stderr) { first, second in
            let bytes = [UInt8(producer), UInt8(index & 0xff), UInt8(index >> 8)]
            for (place, byte) in bytes.enumerated() {
              if place < first.count {
                unsafe first[place] = byte
              } else {
                unsafe second[place - first.count] = byte
              }
            }
            return 3
          }
        } else {
          session.append([UInt8(producer), UInt8(index & 0xff), UInt8(index >> 8)], to: .stdout)
        }
      }
    }
    let output = session.output()
    #expect(output.chunks.count == 20_000)
    #expect(output.missedChunks == 0)
    var next = [0, 0, 0, 0]
    var inOrder = true
    for chunk in output.chunks {
      let producer = Int(chunk.data[0])
      let index = Int(chunk.data[1]) | Int(chunk.data[2]) << 8
      inOrder = inOrder && next[producer] == index
      next[producer] += 1
    }
    #expect(inOrder)
    #expect(next == [5_000, 5_000, 5_000, 5_000])
  }

  @Test("Instants of the activity clock advance by durations, and saturate at the limits")
  func instants() {
    let time = ManualTime()
    let start = time.clock.now
    time.advance(by: .seconds(3))
    #expect(start.duration(to: time.clock.now) == .seconds(3))
    #expect(start < time.clock.now)
    #expect(start.advanced(by: .seconds(3)) == time.clock.now)
    #expect(start.advanced(by: .seconds(-1)) < start)
    // As late, or as early, as can be represented.
    let latest = start.advanced(by: .seconds(Int64.max))
    #expect(latest > start)
    #expect(latest.advanced(by: .seconds(1)) == latest)
    let earliest = start.advanced(by: .seconds(Int64.min))
    #expect(earliest < start)
    let negative = ActivityClock { -5 }
    #expect(negative.now.advanced(by: .seconds(Int64.min)) < negative.now)
    #expect(negative.now.advanced(by: .nanoseconds(5)).nanoseconds == 0)
    #expect(ActivityClock.system.now <= ActivityClock.system.now)
  }

  @Test("An output that was not read into is empty and at the start")
  func emptyOutput() {
    let output = Output()
    #expect(output.chunks.isEmpty)
    #expect(output.isAlive)
    #expect(!output.isClosed)
    #expect(!output.hasMore)
    #expect(output.lastSeq == 0)
    #expect(output.cursor == .start)
    #expect(output.missedBytes == 0)
    #expect(output.chunks.payload.isEmpty)
  }

  /// Memory that was used for one session does for another, whatever it said.
  @Test("A read into a used output leaves nothing of an earlier session")
  func outputsMoveBetweenSessions() {
    let full = Session(capacity: 4)
    for _ in 0..<20 { full.append([1, 2, 3], to: .stdout) }
    full.setExit(7)
    var output = full.output(maxBytes: 1)
    let fresh = Session()
    fresh.read(into: &output)
    #expect(output.chunks.isEmpty)
    #expect(output.isAlive)
    #expect(!output.isClosed)
    #expect(!output.hasMore)
    #expect(output.lostBytes == 0)
    #expect(output.missedChunks == 0)
    #expect(output.missedBytes == 0)
    #expect(output.cursor == .start)
    #expect(!output.isCursorAhead)
  }

  @Test("The total byte count includes the lost bytes")
  func totalBytesCountsWhatWasLost() {
    let session = Session(id: "s", workspaceID: "w", capacity: 10)
    #expect(session.totalBytes == 0)
    session.append([UInt8](repeating: 1, count: 25), to: .stdout)
    session.append([2, 3], to: .stderr)
    #expect(session.totalBytes == 27)
    #expect(session.lostBytes == 25)
  }
}
