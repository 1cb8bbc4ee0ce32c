import BenchmarkContenders
import BenchmarkHarness
import OutputRing
import Processes
import Synchronization

/// Appending, over and over, to something that is full at the 1 MiB cap.
func appendCases() -> [Case] {
  let limits = [16: 1.3, 64: 1.8, 256: 1.7, 1_024: 1.25, 4_096: 1.05, 16_384: 1.05, 65_536: 1.05]
  let factors = [64: 10.0, 1_024: 8.0]
  let plain = limits.keys.sorted().map { size in
    var targets: [String: Target] = ["ring": .timesLimit(limits[size]!)]
    if let factor = factors[size] {
      targets["producer"] = .timesFaster(than: "original", factor)
    }
    return Case("append", "plain", size: size, bytes: size, targets: targets) {
      contenders { Payload(size: size) }
    }
  }
  let jittered = limits.keys.sorted().map { size in
    Case(
      "append", "jittered", size: size, bytes: size,
      targets: ["ring": .timesLimit(limits[size]!)]
    ) {
      contenders { Payload(size: size, jitter: 7) }
    }
  }
  return plain + [partsCase()] + jittered + groupCases()
}

/// What appending to a session consists of, each part by itself.
private func partsCase() -> Case {
  Case(
    "append", "parts", size: 64, bytes: 64,
    targets: [
      "producer": .over(["ring"], nanoseconds: 1.5),
      "producer, clock": .over(["ring", "clock"], nanoseconds: 1.5),
    ]
  ) {
    let whole = (Appender.all + [Appender.producerWithClock])
      .map { contender($0(), Payload(size: 64)) }
    let lock = Mutex(0)
    return whole.filter { [limitName, "ring"].contains($0.name) }
      + [
        Contender("lock") { count in for _ in 0..<count { lock.withLock { $0 &+= 1 } } },
        Contender("clock") { count in for _ in 0..<count { consume(ActivityClock.system.now) } },
      ] + whole.filter { ["producer", "producer, clock", "session"].contains($0.name) }
  }
}

/// Sixty-four chunks a time: one by one, and published at once.
private func groupCases() -> [Case] {
  [16, 64, 256].map { size in
    Case("append", "64 at once", size: size, bytes: 64 * size) {
      let chunks = (0..<64).map { [UInt8](repeating: UInt8($0), count: size) }
      let (single, group) = (RingProducer(), RingProducer())
      let session = Session()
      return [
        Contender("ring, one by one") { count in
          for _ in 0..<count {
            for chunk in chunks { unsafe single.writer.pointee.append(chunk) }
          }
        },
        Contender("ring, group") { count in
          for _ in 0..<count { unsafe group.writer.pointee.append(contentsOf: chunks) }
        },
        Contender("session, one by one") { count in
          for _ in 0..<count { for chunk in chunks { session.append(chunk, to: .stdout) } }
        },
        Contender("session, group") { count in
          for _ in 0..<count { session.append(contentsOf: chunks, to: .stdout) }
        },
      ]
    }
  }
}

private func contenders(_ makePayload: () -> Payload) -> [Contender] {
  Appender.all.map { contender($0(), makePayload()) }
}

private func contender(_ appender: Appender, _ payload: Payload) -> Contender {
  Contender(appender.name) { count in appender.append(payload, count) }
}
