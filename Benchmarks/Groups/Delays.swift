import BenchmarkHarness
import Histogram

/// How long things took, in nanoseconds.
typealias Delays = Histogram<UInt64>

func makeDelays() -> Delays {
  Delays(highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
}

func delays(_ name: String, _ delays: Delays) -> ContenderResult {
  ContenderResult(
    name: name,
    metrics: [50, 99].map {
      Metric("p\(Int($0))", Double(delays.valueAtPercentile($0)), .nanoseconds)
    } + [
      Metric("max", Double(delays.maxRecorded), .nanoseconds),
      Metric("count", Double(delays.totalCount), .count),
    ])
}

extension Delays {
  /// How long ago the stamps were made.
  mutating func record(_ bytes: UnsafeRawBufferPointer) {
    let now = UInt64(Machine.nanoseconds())
    for place in stride(from: 0, to: bytes.count - 7, by: 8) {
      let stamp = unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      record(Swift.max(1, now &- stamp))
    }
  }
}
