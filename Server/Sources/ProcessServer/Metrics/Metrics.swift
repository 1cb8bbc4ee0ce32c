import Synchronization

/// The metrics of the server.
///
/// `GET /metrics` gives them to Prometheus, and ``MetricsReport`` to the program's backend for
/// swift-metrics: there is one list of them, ``values(of:)``, with what was lost first.
final class Metrics: Sendable {
  /// The kinds of requests that are counted separately.
  enum Route: String, CaseIterable {
    case output, events, stdin, launch
  }

  /// One metric, as of now.
  struct Value {
    enum Kind: String { case gauge, counter }

    let kind: Kind
    let name: String
    let help: String
    let value: Int
  }

  private struct Counters {
    var polls = 0
    var missedChunks = 0
    var missedBytes = 0
    var outputBytes = 0
    var responses: [Int: Int] = [:]
  }

  private let counters = Mutex(Counters())
  private let latencies: [Route: Histogram] = Dictionary(
    uniqueKeysWithValues: Route.allCases.map { ($0, Histogram()) })
  /// What else gets the metrics.
  let report: MetricsReport

  init(report: MetricsReport) { self.report = report }

  /// Records how much a poll, or a part of a stream of events, found.
  func polled(bytes: Int, missedChunks: Int, missedBytes: Int) {
    counters.withLock { counters in
      counters.polls += 1
      counters.outputBytes.increase(by: bytes)
      counters.missedChunks.increase(by: missedChunks)
      counters.missedBytes.increase(by: missedBytes)
    }
  }

  /// The number of requests that were answered with more than a few bytes: requests that read
  /// output.
  var answerCount: Int { counters.withLock(\.polls) }

  /// Records that a request was answered.
  func responded(status: Int) {
    counters.withLock { $0.responses[status, default: 0] += 1 }
    report.responded(status: status)
  }

  /// Records how long the server worked for a request, without the time that it only waited.
  func worked(on route: Route, for duration: Duration) {
    latencies[route]?.record(duration)
    report.worked(on: route, for: duration)
  }

  /// Returns all metrics but responses and latencies.
  func values(of api: API) -> [Value] {
    let (jobs, connections) = (api.jobs, api.connections)
    let counters = counters.withLock { $0 }
    let (sessions, running, totals) = jobs.totals()
    let (outgoing, incoming) = (connections.outgoing, connections.incoming)
    return [
      .counter(
        "lost_bytes_total", "Bytes captured that are no longer retained.", totals.lostBytes),
      .counter(
        "missed_chunks_total", "Chunks that clients asked for too late.", counters.missedChunks),
      .counter(
        "missed_bytes_total", "Bytes that clients asked for too late, where known.",
        counters.missedBytes),
      .counter(
        "dropped_bytes_total", "Bytes written after the session had been closed.",
        totals.droppedBytes),
      .counter(
        "log_lines_dropped_total", "Lines that a log could not take.",
        api.configuration.droppedLogLines()),
      .counter("captured_bytes_total", "Bytes of output captured.", totals.capturedBytes),
      .gauge("sessions", "Sessions that can be read.", sessions),
      .gauge(
        "sessions_running", "Sessions of which something runs, those included that were deleted.",
        running),
      .counter("sessions_gone_total", "Sessions deleted or swept out.", totals.pastSessions),
      .gauge("connections", "Open connections.", connections.count),
      .gauge("waits", "Requests and streams that wait for output.", connections.waitCount),
      .counter("polls_total", "Reads by clients.", counters.polls),
      .counter("read_bytes_total", "Bytes of output sent to clients.", counters.outputBytes),
      .gauge("outgoing_bytes", "Bytes that wait to be sent.", outgoing.total),
      .gauge("incoming_bytes", "Bytes of requests that are not complete.", incoming.total),
      .counter(
        "overloads_total", "Requests for which there was no room.",
        outgoing.counts.refusals + incoming.counts.refusals + connections.bodies.counts.refusals),
      .counter(
        "cut_off_total", "Connections cut off to make room.",
        outgoing.counts.cutOffs + incoming.counts.cutOffs),
    ] + (api.fleet.map { Self.values(of: $0) } ?? [])
  }

  private static func values(of fleet: Fleet) -> [Value] {
    let (stored, missed, copies) = fleet.counts
    return [
      .counter("fleet_missed_bytes_total", "Bytes that the fleet's Redis did not take.", missed),
      .counter("fleet_stored_bytes_total", "Bytes stored in the fleet's Redis.", stored),
      .gauge(
        "fleet_connected", "Whether the fleet's Redis can be used.", fleet.isConnected ? 1 : 0),
      .gauge("fleet_copies", "Sessions of other servers that are kept here.", copies),
    ]
  }

  /// Returns all metrics in Prometheus's text format, version 0.0.4.
  func text(_ api: API) -> String {
    var page = Page()
    for value in values(of: api) {
      page.begin(value.name, value.kind.rawValue, value.help)
      page.line(value.name, "\(value.value)")
    }
    page.begin("responses_total", "counter", "Responses by status.")
    for (status, count) in counters.withLock(\.responses).sorted(by: { $0.key < $1.key }) {
      page.line("responses_total{status=\"\(status)\"}", "\(count)")
    }
    page.begin("request_seconds", "histogram", "Time spent on requests, waiting not counted.")
    for route in Route.allCases {
      guard let (counts, sum) = latencies[route]?.snapshot else { continue }
      var total = 0
      for (index, count) in counts.enumerated() {
        total += count
        let bound = index < Histogram.bounds.count ? "\(Histogram.bounds[index])" : "+Inf"
        page.line("request_seconds_bucket{route=\"\(route)\",le=\"\(bound)\"}", "\(total)")
      }
      page.line("request_seconds_sum{route=\"\(route)\"}", "\(sum)")
      page.line("request_seconds_count{route=\"\(route)\"}", "\(total)")
    }
    return page.text
  }
}

extension Metrics.Value {
  fileprivate static func gauge(_ name: String, _ help: String, _ value: Int) -> Self {
    Self(kind: .gauge, name: name, help: help, value: value)
  }

  fileprivate static func counter(_ name: String, _ help: String, _ value: Int) -> Self {
    Self(kind: .counter, name: name, help: help, value: value)
  }
}

private struct Page {
  var text = ""

  mutating func begin(_ name: String, _ kind: String, _ help: String) {
    text += "# HELP processd_\(name) \(help)\n# TYPE processd_\(name) \(kind)\n"
  }

  mutating func line(_ name: String, _ value: String) { text += "processd_\(name) \(value)\n" }
}

extension Int {
  /// Adds a count, up to the largest one: a damaged file of output may tell any.
  mutating func increase(by count: Int) {
    let (sum, isOverflow) = addingReportingOverflow(count)
    self = isOverflow ? .max : sum
  }
}
