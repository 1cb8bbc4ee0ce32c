import CoreMetrics
import Synchronization

/// Reports the server's metrics to a backend for swift-metrics, under the names that `GET /metrics`
/// has for them.
///
/// Responses and latencies are reported as they happen, all other metrics at each sweep.
final class MetricsReport: Sendable {
  private let factory: any MetricsFactory
  private let timers: [Metrics.Route: Timer]
  /// What the counters were when they were last reported.
  private let reported = Mutex<[String: Int]>([:])

  init(to factory: any MetricsFactory) {
    self.factory = factory
    timers = Dictionary(
      uniqueKeysWithValues: Metrics.Route.allCases.map { route in
        let dimensions = [("route", route.rawValue)]
        return (
          route,
          Timer(label: "processd_request_seconds", dimensions: dimensions, factory: factory)
        )
      })
  }

  func responded(status: Int) {
    Counter(
      label: "processd_responses_total", dimensions: [("status", "\(status)")], factory: factory
    ).increment()
  }

  func worked(on route: Metrics.Route, for duration: Duration) {
    timers[route]?.recordNanoseconds(Int64(duration / .nanoseconds(1)))
  }

  /// Reports all other metrics.
  func report(_ values: [Metrics.Value]) {
    reported.withLock { reported in
      for value in values {
        let label = "processd_" + value.name
        switch value.kind {
        case .gauge: Gauge(label: label, factory: factory).record(value.value)
        case .counter:
          let increase = value.value - reported[label, default: 0]
          // Sums over sessions are not of one instant.
          guard increase > 0 || reported[label] == nil else { continue }
          reported[label] = value.value
          Counter(label: label, factory: factory).increment(by: increase)
        }
      }
    }
  }
}
