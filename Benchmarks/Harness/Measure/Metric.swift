/// A figure that is not the time of an operation: a percentile, a share, a size.
package struct Metric: Codable, Sendable, Equatable {
  package enum Unit: String, Codable, Sendable {
    case nanoseconds, bytes, bytesPerSecond, share, count
  }

  /// Such as `p99.9` or `missed`.
  package let name: String
  package let value: Double
  package let unit: Unit

  package init(_ name: String, _ value: Double, _ unit: Unit) {
    self.name = name
    self.value = value
    self.unit = unit
  }

  package var formattedValue: String { unit.format(value) }

  /// Whether it is a point of a latency distribution: `p50`, `p99.9`, `max`.
  package var isPercentile: Bool {
    unit == .nanoseconds
      && (name == "max" || (name.hasPrefix("p") && Double(name.dropFirst()) != nil))
  }

  /// Whether it says how often was measured, and not what came of it.
  var isSampleCount: Bool { name == "count" || name == "runs" }
}

extension Metric.Unit {
  package func format(_ value: Double) -> String {
    switch self {
    case .nanoseconds: formatTime(value)
    case .bytes: formatBytes(value)
    case .bytesPerSecond: "\(formatSignificant(value / 1e9)) GB/s"
    case .share: "\(formatSignificant(value * 100)) %"
    case .count: formatSignificant(value)
    }
  }

  package var title: String {
    switch self {
    case .nanoseconds: "time"
    case .bytes: "bytes"
    case .bytesPerSecond: "throughput"
    case .share: "share"
    case .count: "count"
    }
  }
}
