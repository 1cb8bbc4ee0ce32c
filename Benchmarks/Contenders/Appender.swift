import CRingShims
import OutputRing
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Something that payloads are appended to, over and over, and that retains the last 1 MiB of them.
package struct Appender {
  package let name: String
  /// Appends the next so many payloads.
  package let append: (_ payload: Payload, _ count: Int) -> Void
  /// All bytes retained, in order: what a test compares.
  package let retained: () -> [UInt8]

  /// Every one, empty.
  ///
  /// Their loops are here, beside what they call, so that no contender is favoured by what the
  /// compiler inlines across modules and what not.
  package static var all: [() -> Appender] {
    [limit, ring, words, reservation, producer, session, original, deque]
  }

  private static let cap = Session.maxBufferBytes

  private static func limit() -> Appender {
    let limit = MemcpyLimit(size: cap)
    return Appender(name: "limit") { payload, count in
      unsafe payload.forEach(count) { unsafe limit.append($0) }
    } retained: {
      limit.retained
    }
  }

  private static func ring() -> Appender { ring("ring", copyMethod: .current) }

  /// The ring without its copy: relaxed words, as portable C would have it.
  private static func words() -> Appender { ring("words", copyMethod: .atomicWords) }

  private static func ring(_ name: String, copyMethod: RingCopyMethod) -> Appender {
    let producer = RingProducer(copyMethod: copyMethod)
    return Appender(name: name) { payload, count in
      let writer = unsafe producer.writer
      unsafe payload.forEach(count) { unsafe writer.pointee.append($0) }
    } retained: {
      producer.retained
    }
  }

  private static func reservation() -> Appender {
    let producer = RingProducer()
    return Appender(name: "reservation") { payload, count in
      let writer = unsafe producer.writer
      unsafe payload.forEach(count) { bytes in
        var rest = unsafe bytes
        while rest.count > 0 {
          let written = unsafe writer.pointee.append(reserving: rest.count) { first, second in
            unsafe fill(first, second, from: rest)
          }
          unsafe rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
      }
    } retained: {
      producer.retained
    }
  }

  private static func session() -> Appender {
    let session = Session(id: "s", workspaceID: "w")
    return Appender(name: "session") { payload, count in
      unsafe payload.forEach(count) { unsafe session.append($0, to: .stdout) }
    } retained: {
      session.output().chunks.flatMap { Array($0.data) }
    }
  }

  /// A session's exclusive producer, which is told the time, as an event loop tells it once a turn.
  private static func producer() -> Appender {
    let box = SessionProducer()
    return Appender(name: "producer") { payload, count in
      let producer = unsafe box.producer
      let now = ActivityClock.system.now
      unsafe payload.forEach(count) { unsafe producer.pointee.append($0, to: .stdout, at: now) }
    } retained: {
      box.retained
    }
  }

  /// The same, which reads the clock for each chunk.
  package static func producerWithClock() -> Appender {
    let box = SessionProducer()
    return Appender(name: "producer, clock") { payload, count in
      let producer = unsafe box.producer
      unsafe payload.forEach(count) { unsafe producer.pointee.append($0, to: .stdout) }
    } retained: {
      box.retained
    }
  }

  private static func original() -> Appender {
    let original = Original(capacity: cap)
    return Appender(name: "original") { payload, count in
      unsafe payload.forEach(count) { unsafe original.append($0) }
    } retained: {
      original.retained
    }
  }

  private static func deque() -> Appender {
    let deque = LockedDeque(capacity: cap)
    return Appender(name: "deque") { payload, count in
      unsafe payload.forEach(count) { unsafe deque.append($0) }
    } retained: {
      deque.retained
    }
  }
}

/// Does with `memcpy` what `readv(2)` would do.
@inline(__always)
private func fill(
  _ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer,
  from bytes: UnsafeRawBufferPointer
) -> Int {
  let source = bytes.baseAddress!
  let beforeWrap = min(first.count, bytes.count)
  unsafe memcpy(first.baseAddress!, source, beforeWrap)
  let rest = min(second.count, bytes.count - beforeWrap)
  if rest > 0 { unsafe memcpy(second.baseAddress!, source + beforeWrap, rest) }
  return beforeWrap + rest
}
