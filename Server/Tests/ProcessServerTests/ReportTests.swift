import Foundation
import HTTPTypes
import MetricsTestKit
import NIOEmbedded
import NIOHTTPTypes
import Synchronization
import Testing

@testable import ProcessServer

/// What a server tells others of its requests: metrics, and the access log.
@Suite(.timeLimit(.minutes(10))) struct ReportTests {
  @Test("Counts that a damaged file tells are added up to the largest")
  func hugeCounts() {
    let metrics = Metrics(report: MetricsReport(to: TestMetrics()))
    for _ in 0..<2 { metrics.polled(bytes: .max, missedChunks: .max, missedBytes: .max) }
    #expect(metrics.answerCount == 2)
  }

  @Test("A backend for swift-metrics gets each metric that Prometheus does, under the same name")
  func sameMetrics() async throws {
    let backend = TestMetrics()
    var names: Set<Substring> = []
    try await TestServer.run {
      $0.metricsFactory = backend
    } _: { server in
      let id = try await server.start("head -c 3000000 /dev/zero")
      _ = try await server.output(id) { $0.closed }
      let page = try await server.request("GET", "/metrics", token: nil).text
      let lines = page.split(separator: "\n").filter { $0.hasPrefix("# TYPE ") }
      names = Set(lines.map { $0.split(separator: " ")[2] })
      // The counts of before its end are reported when the server ends.
    }
    #expect(Set(backend.recorders.map { $0.label[...] }).isSubset(of: names))
    let reported =
      backend.counters.map(\.label) + backend.recorders.map(\.label) + backend.timers.map(\.label)
      + backend.meters.map(\.label)
    #expect(Set(reported.map { $0[...] }) == names)
    #expect(try backend.expectCounter("processd_captured_bytes_total").totalValue == 3_000_000)
    #expect(try backend.expectCounter("processd_lost_bytes_total").totalValue > 1_900_000)
    #expect(try backend.expectCounter("processd_missed_bytes_total").totalValue >= 0)
    let launches = try backend.expectTimer("processd_request_seconds", [("route", "launch")])
    #expect(launches.values.count == 1)
    let answers = try backend.expectCounter("processd_responses_total", [("status", "200")])
    #expect(answers.totalValue >= 3)
  }

  @Test("Counters are reported as increases")
  func increases() throws {
    let backend = TestMetrics()
    let report = MetricsReport(to: backend)
    for value in [3, 3, 7, 5, 8] {
      report.report([Metrics.Value(kind: .counter, name: "lost", help: "", value: value)])
    }
    #expect(try backend.expectCounter("processd_lost").totalValue == 8)
    report.report([Metrics.Value(kind: .gauge, name: "waits", help: "", value: 4)])
    report.report([Metrics.Value(kind: .gauge, name: "waits", help: "", value: 2)])
    #expect(try backend.expectGauge("processd_waits").lastValue == 2)
  }

  /// Serves while the body runs; returns what the access log then has.
  private func accesses(
    _ body: (TestServer) async throws -> Void
  ) async throws -> [AccessRecord] {
    let records = Records()
    try await TestServer.run {
      $0.accessLog = { record in records.all.withLock { $0.append(record) } }
    } _: {
      try await body($0)
    }
    return records.all.withLock { $0 }
  }

  private final class Records: Sendable {
    let all = Mutex<[AccessRecord]>([])
  }

  @Test("The access log has the route, the workspace and the status of each request")
  func accessLog() async throws {
    let records = try await accesses { server in
      let id = try await server.start("true")
      _ = try await server.get("processes/\(id)/output?wait_ms=1", token: TestServer.bob)
      _ = try await server.request("GET", "/healthz?token=secret", token: nil)
      _ = try await server.request("GET", "/secret", token: nil)
      _ = try await server.get("processes", token: "unknown")
    }
    let texts = records.map { record in
      "\(record.method ?? "-") \(record.route ?? "-") \(record.workspace ?? "-")"
        + " \(record.status ?? 0)"
    }
    #expect(
      texts == [
        "POST /api/sdk/envs/{name}/tool/call alice 200",
        "GET /api/sdk/processes/{sid}/output bob 403", "GET /healthz - 200", "GET - - 404",
        "GET /api/sdk/processes - 401",
      ])
    #expect(records.allSatisfy { $0.isComplete && $0.address == "127.0.0.1" })
    #expect(records.allSatisfy { $0.duration > .zero })
    #expect(!records.contains { $0.json.contains("secret") })
  }

  @Test("The access log has what is no request, and streams that their client leaves")
  func irregularities() async throws {
    let records = try await accesses { server in
      try await Wire.connect(port: server.port) { wire in
        try await wire.send("nonsense\r\n\r\n")
        #expect(try await wire.response().status == 400)
      }
      let id = try await server.start("cat")
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "GET", "/api/sdk/processes/\(id)/events?since=0", token: TestServer.alice)
        try await server.waits(1)
      }
    }
    let first = try #require(records.first)
    #expect(first.method == nil && first.route == nil && first.status == 400)
    let events = try #require(records.first { $0.route?.hasSuffix("/events") == true })
    #expect(events.status == 200 && events.workspace == "alice")
  }

  @Test("The access log has the workspace of each request, and not that of its connection")
  func workspaces() async throws {
    let records = try await accesses { server in
      try await Wire.connect(port: server.port) { wire in
        for _ in 0..<20 {
          for token in [TestServer.alice, nil, TestServer.bob, "unknown"] {
            try await wire.request("GET", "/api/sdk/processes", token: token)
          }
        }
        for _ in 0..<80 {
          let reply = try await wire.response()
          #expect(reply.headers["processd-workspace"] == nil)
        }
      }
    }
    #expect(records.map(\.workspace) == (0..<20).flatMap { _ in ["alice", nil, "bob", nil] })
  }

  @Test("A response is complete when its end is written, and not if the connection ends before")
  func completeness() throws {
    let records = Records()
    let logger = AccessLogger(Connections(APIServer.Limits()), routes: RouteTable(Route.all)) {
      record in records.all.withLock { $0.append(record) }
    }
    let channel = EmbeddedChannel(handler: logger)
    let request = HTTPRequest(method: .get, scheme: nil, authority: nil, path: "/healthz?x")
    for _ in 0..<3 { try channel.writeInbound(HTTPRequestPart.head(request)) }
    try channel.writeOutbound(HTTPResponsePart.head(HTTPResponse(status: .continue)))
    try channel.writeOutbound(HTTPResponsePart.head(HTTPResponse(status: .ok)))
    try channel.writeOutbound(HTTPResponsePart.end(nil))
    try channel.writeOutbound(HTTPResponsePart.head(HTTPResponse(status: .notFound)))
    #expect(records.all.withLock { $0.map(\.status) } == [200])
    _ = try channel.finish()
    let all = records.all.withLock { $0 }
    #expect(all.map(\.status) == [200, 404, nil])
    #expect(all.map(\.isComplete) == [true, false, false])
    #expect(all.map(\.route) == ["/healthz", "/healthz", "/healthz"])
  }

  @Test("A record is an object of JSON on one line")
  func format() throws {
    var record = AccessRecord(
      time: Date(timeIntervalSince1970: 1_700_000_000.25), address: "::1", workspace: "a\"\n",
      method: "GET", route: nil, status: 200, duration: .microseconds(1_002_003))
    #expect(
      record.json
        == #"{"time":"2023-11-14T22:13:20.250Z","address":"::1","workspace":"a\"\n","#
        + #""method":"GET","route":null,"status":200,"seconds":1.002003,"complete":false}"#)
    record.workspace = nil
    record.status = nil
    record.method = nil
    record.duration = .milliseconds(5)
    record.isComplete = true
    #expect(record.json.hasSuffix(#""status":null,"seconds":0.005000,"complete":true}"#))
  }
}
