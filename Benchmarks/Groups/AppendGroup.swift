import BenchmarkHarness
import OutputRing
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Appending, over and over, to something that is full at the 1 MiB cap.
func appendCases() -> [Case] {
  let limits = [16: 1.3, 64: 1.8, 256: 1.7, 1_024: 1.25, 4_096: 1.05, 16_384: 1.05, 65_536: 1.05]
  let factors = [64: 10.0, 1_024: 6.0, 65_536: 2.3]
  let plain = limits.keys.sorted().map { size in
    var targets: [String: Target] = ["ring": .timesLimit(limits[size]!)]
    if let factor = factors[size] {
      targets["session"] = .timesFaster(than: "original", factor)
    }
    return Case("append", "plain", size: size, bytes: size, targets: targets) {
      appendContenders { Payload(size: size) }
    }
  }
  let jittered = limits.keys.sorted().map { size in
    Case(
      "append", "jittered", size: size, bytes: size,
      targets: size >= 4_096 ? ["ring": .timesLimit(0.5)] : [:]
    ) {
      appendContenders { Payload(size: size, jitter: 7) }
    }
  }
  let session = Case(
    "append", "session", size: 64, bytes: 64, targets: ["session": .nanoseconds(15)]
  ) {
    appendContenders { Payload(size: 64) }.filter { [limitName, "session"].contains($0.name) }
  }
  return plain + [session] + jittered
}

/// A ring's writer in memory of its own: a closure's captured variable would be checked for exclusive
/// access on every append, which is not what is being measured.
func makeWriter() -> UnsafeMutablePointer<RingWriter> {
  let writer = UnsafeMutablePointer<RingWriter>.allocate(capacity: 1)
  unsafe writer.initialize(to: RingWriter(RingLayout(capacity: Session.maxBufferBytes)))
  return unsafe writer
}

/// Ends what `makeWriter` made.
func freeWriter(_ writer: UnsafeMutablePointer<RingWriter>) {
  unsafe writer.deinitialize(count: 1)
  unsafe writer.deallocate()
}

private func appendContenders(_ makePayload: () -> Payload) -> [Contender] {
  let limit = MemcpyLimit(size: Session.maxBufferBytes)
  let ring = unsafe makeWriter()
  let reserving = unsafe makeWriter()
  let session = Session(id: "s", workspaceID: "w")
  let original = Original(capacity: Session.maxBufferBytes)
  let deque = LockedDeque(capacity: Session.maxBufferBytes)

  func contender(
    _ name: String, _ append: @escaping (Payload, _ count: Int) -> Void
  ) -> Contender {
    let payload = makePayload()
    return Contender(name) { count in append(payload, count) }
  }
  return [
    contender(limitName) { payload, count in
      unsafe payload.forEach(count) { unsafe limit.append($0) }
    },
    contender("ring") { payload, count in
      unsafe payload.forEach(count) { unsafe ring.pointee.append($0) }
    },
    contender("reservation") { payload, count in
      unsafe payload.forEach(count) { bytes in
        var rest = unsafe bytes
        while rest.count > 0 {
          let written = unsafe reserving.pointee.append(reserving: rest.count) { first, second in
            unsafe fill(first, second, from: rest)
          }
          unsafe rest = UnsafeRawBufferPointer(rebasing: rest[written...])
        }
      }
    },
    contender("session") { payload, count in
      unsafe payload.forEach(count) { unsafe session.append($0, to: .stdout) }
    },
    contender("original") { payload, count in
      unsafe payload.forEach(count) { unsafe original.append($0) }
    },
    contender("deque") { payload, count in
      unsafe payload.forEach(count) { unsafe deque.append($0) }
    },
  ]
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
