import BenchmarkContenders
import BenchmarkHarness
import OutputRing
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Keeps a result from being optimised away.
@inline(never)
func consume<Value>(_ value: Value) {}

/// Reading from a session that is full.
func readCases() -> [Case] {
  let polls = [16, 64, 1_024, 65_536].map { size in
    Case(
      "read", "nothing-new", size: size,
      targets: ["session": .nanoseconds(10)]
    ) {
      let (session, original, deque) = full(size)
      let newest = session.lastSeq
      let reader = session.reader
      return [
        Contender("original") { count in
          for _ in 0..<count { consume(original.output(since: newest)) }
        },
        Contender("deque") { count in
          for _ in 0..<count { consume(deque.output(since: newest)) }
        },
        Contender("ring") { count in
          var batch = RingBatch()
          for _ in 0..<count {
            reader.read(since: RingCursor(seq: newest), into: &batch)
            consume(batch.count)
          }
        },
        Contender("session") { count in
          for _ in 0..<count { consume(session.output(since: Cursor(seq: newest)).lastSeq) }
        },
      ]
    }
  }
  // One chunk is new each time; appending it is part of the operation.
  let caughtUp = [64, 4_096].map { size in
    Case("read", "caught-up", size: size) {
      let (session, original, deque) = full(size)
      let bytes = [UInt8](repeating: 1, count: size)
      var cursor = session.output(since: Cursor(seq: .max)).cursor
      var originalSeq = session.lastSeq
      var dequeSeq = session.lastSeq
      var output = Output(reservingBytes: Session.maxBufferBytes, chunks: 16)
      return [
        Contender("original") { count in
          for _ in 0..<count {
            unsafe bytes.withUnsafeBytes { unsafe original.append($0) }
            originalSeq += 1
            consume(original.output(since: originalSeq - 1).chunks.count)
          }
        },
        Contender("deque") { count in
          for _ in 0..<count {
            unsafe bytes.withUnsafeBytes { unsafe deque.append($0) }
            dequeSeq += 1
            consume(deque.output(since: dequeSeq - 1).count)
          }
        },
        Contender("fresh") { count in
          for _ in 0..<count {
            unsafe bytes.withUnsafeBytes { unsafe session.append($0, to: .stdout) }
            let output = session.output(since: cursor)
            cursor = output.cursor
            consume(output.chunks.count)
          }
        },
        Contender("reused") { count in
          for _ in 0..<count {
            unsafe bytes.withUnsafeBytes { unsafe session.append($0, to: .stdout) }
            session.read(since: cursor, into: &output)
            cursor = output.cursor
            consume(output.chunks.count)
          }
        },
      ]
    }
  }
  let lostBytes = [64, 4_096].map { size in
    Case("read", "lost-bytes", size: size) {
      let (session, original, deque) = full(size)
      return [
        Contender("original") { count in for _ in 0..<count { consume(original.lostBytes) } },
        Contender("deque") { count in for _ in 0..<count { consume(deque.lostBytes) } },
        Contender("session") { count in for _ in 0..<count { consume(session.lostBytes) } },
      ]
    }
  }
  // A caller that keeps the bytes, and one that looks at each.
  let toArray = Case("read", "to-array", size: 65_536, bytes: 65_536) {
    let (session, _, _) = full(65_536)
    let output = session.output()
    let data = output.chunks[0].data
    let bytes = [UInt8](data)
    return [
      Contender(limitName) { count in
        for _ in 0..<count {
          consume(unsafe bytes.withUnsafeBytes { unsafe [UInt8]($0) }.count)
        }
      },
      Contender("Array") { count in for _ in 0..<count { consume([UInt8](data).count) } },
    ]
  }
  let everything = [64, 1_024, 4_096, 65_536].map { size in
    let bound = size == 64 ? 1.3 : size == 4_096 ? 1.05 : nil
    return Case(
      "read", "everything", size: size, bytes: Session.maxBufferBytes,
      targets: bound.map { ["fresh": .timesLimit($0), "reused": .timesLimit($0)] } ?? [:]
    ) {
      let (session, original, deque) = full(size)
      let limit = CopyOfOneBuffer(size: Session.maxBufferBytes)
      var output = Output(
        reservingBytes: Session.maxBufferBytes, chunks: Session.maxBufferedChunks)
      return [
        Contender(limitName) { count in for _ in 0..<count { limit.copy() } },
        Contender("fresh") { count in
          for _ in 0..<count { consume(session.output().chunks.count) }
        },
        Contender("reused") { count in
          for _ in 0..<count {
            session.read(into: &output)
            consume(output.chunks.count)
          }
        },
        Contender("original") { count in
          for _ in 0..<count { consume(original.output(since: 0).chunks.count) }
        },
        Contender("deque") { count in
          for _ in 0..<count { consume(deque.output(since: 0).count) }
        },
      ]
    }
  }
  return polls + caughtUp + lostBytes + [toArray] + everything + scanCases() + [lagCase()]
}

/// Counting the newlines of a full session, with and without a copy of its payload.
private func scanCases() -> [Case] {
  [64, 4_096].map { size in
    Case("read", "scan", size: size, bytes: Session.maxBufferBytes) {
      let (session, _, _) = full(size)
      let reader = session.reader
      var output = Output(
        reservingBytes: Session.maxBufferBytes, chunks: Session.maxBufferedChunks)
      return [
        Contender("read") { count in
          for _ in 0..<count {
            session.read(into: &output)
            consume(unsafe output.chunks.payload.withUnsafeBytes { unsafe newlines(in: $0) })
          }
        },
        Contender("visit") { count in
          for _ in 0..<count {
            var sum = 0
            let visit = unsafe reader.visit { bytes, _ in sum += unsafe newlines(in: bytes) }
            consume(visit.isIntact ? sum : 0)
          }
        },
      ]
    }
  }
}

@inline(never)
private func newlines(in bytes: UnsafeRawBufferPointer) -> Int {
  unsafe bytes.reduce(0) { $0 &+ ($1 == 0x0a ? 1 : 0) }
}

/// How far a reader is behind, without reading.
private func lagCase() -> Case {
  Case("read", "lag", size: 64) {
    let (session, _, _) = full(64)
    let cursor = session.output(maxBytes: 1).cursor
    return [
      Contender("lag") { count in
        for _ in 0..<count { consume(session.lag(since: cursor).chunks) }
      },
      Contender("peek") { count in
        for _ in 0..<count { consume(session.reader.peek(since: 1)?.seq) }
      },
    ]
  }
}

/// A session and what it replaces, filled one and a half times with chunks of a size.
private func full(_ size: Int) -> (Session, Original, LockedDeque) {
  let session = Session(id: "s", workspaceID: "w")
  let original = Original(capacity: Session.maxBufferBytes)
  let deque = LockedDeque(capacity: Session.maxBufferBytes)
  unsafe Payload(size: size).forEach(Session.maxBufferBytes * 3 / 2 / size) { bytes in
    unsafe session.append(bytes, to: .stdout)
    unsafe original.append(bytes)
    unsafe deque.append(bytes)
  }
  return (session, original, deque)
}

/// The limit for reading everything: `memcpy` of the cap's size from one buffer to another.
@safe
private final class CopyOfOneBuffer {
  private let source: UnsafeMutableRawPointer
  private let destination: UnsafeMutableRawPointer
  private let size: Int

  init(size: Int) {
    self.size = size
    unsafe source = .allocate(byteCount: size, alignment: 4_096)
    unsafe destination = .allocate(byteCount: size, alignment: 4_096)
    unsafe memset(source, 1, size)
    unsafe memset(destination, 2, size)
  }

  deinit {
    unsafe source.deallocate()
    unsafe destination.deallocate()
  }

  func copy() { unsafe memcpy(destination, source, size) }
}
