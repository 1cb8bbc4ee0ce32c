import Synchronization

/// The metrics of the server, which Prometheus collects.
final class Metrics: Sendable {
  /// The kinds of requests that are counted separately.
  enum Route: String, CaseIterable {
    case output, events, stdin, launch
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

  /// Records how much a poll, or a part of a stream of events, found.
  func polled(bytes: Int, missedChunks: Int, missedBytes: Int) {
    counters.withLock { counters in
      counters.polls += 1
      counters.outputBytes += bytes
      counters.missedChunks += missedChunks
      counters.missedBytes += missedBytes
    }
  }

  /// The number of requests that were answered with more than a few bytes: requests that read
  /// output.
  var answerCount: Int { counters.withLock(\.polls) }

  /// Records that a request was answered.
  func responded(status: Int) { counters.withLock { $0.responses[status, default: 0] += 1 } }

  /// Records how long the server worked for a request, without the time that it only waited.
  func worked(on route: Route, for duration: Duration) { latencies[route]?.record(duration) }

  /// Returns all metrics in Prometheus's text format, version 0.0.4.
  func text(_ api: API) -> String {
    let (jobs, connections) = (api.jobs, api.connections)
    let counters = counters.withLock { $0 }
    let (sessions, running, totals) = jobs.totals()
    var page = Page()
    page.add("sessions", .gauge, "Sessions that can be read.", sessions)
    page.add(
      "sessions_running", .gauge,
      "Sessions of which something runs, those included that were deleted.", running)
    page.add("connections", .gauge, "Open connections.", connections.count)
    page.add("waits", .gauge, "Requests and streams that wait for output.", connections.waitCount)
    page.add("sessions_gone_total", .counter, "Sessions deleted or swept out.", totals.pastSessions)
    page.add(
      "captured_bytes_total", .counter, "Bytes of output captured.", totals.capturedBytes)
    page.add(
      "lost_bytes_total", .counter, "Bytes captured that are no longer retained.",
      totals.lostBytes)
    page.add(
      "dropped_bytes_total", .counter, "Bytes written after the session had been closed.",
      totals.droppedBytes)
    page.add("polls_total", .counter, "Reads by clients.", counters.polls)
    page.add("read_bytes_total", .counter, "Bytes of output sent to clients.", counters.outputBytes)
    page.add(
      "missed_chunks_total", .counter, "Chunks that clients asked for too late.",
      counters.missedChunks)
    page.add(
      "missed_bytes_total", .counter, "Bytes that clients asked for too late, where known.",
      counters.missedBytes)
    page.add(
      "outgoing_bytes", .gauge, "Bytes that wait to be sent.", connections.outgoing.total)
    page.add(
      "incoming_bytes", .gauge, "Bytes of requests that are not complete.",
      connections.incoming.total)
    page.add(
      "overloads_total", .counter, "Requests for which there was no room.",
      connections.outgoing.counts.refusals + connections.incoming.counts.refusals)
    page.add(
      "cut_off_total", .counter, "Connections cut off to make room.",
      connections.outgoing.counts.cutOffs + connections.incoming.counts.cutOffs)
    page.add(
      "log_lines_dropped_total", .counter, "Lines that the log could not take.",
      api.configuration.droppedLogLines())
    page.begin("responses_total", .counter, "Responses by status.")
    for (status, count) in counters.responses.sorted(by: { $0.key < $1.key }) {
      page.line("responses_total{status=\"\(status)\"}", "\(count)")
    }
    page.begin("request_seconds", .histogram, "Time spent on requests, waiting not counted.")
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

private struct Page {
  enum Kind: String { case gauge, counter, histogram }

  var text = ""

  mutating func begin(_ name: String, _ kind: Kind, _ help: String) {
    text += "# HELP processd_\(name) \(help)\n# TYPE processd_\(name) \(kind)\n"
  }

  mutating func line(_ name: String, _ value: String) { text += "processd_\(name) \(value)\n" }

  mutating func add(_ name: String, _ kind: Kind, _ help: String, _ value: Int) {
    begin(name, kind, help)
    line(name, "\(value)")
  }
}
