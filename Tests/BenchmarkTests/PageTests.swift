import BenchmarkHarness
import Foundation
import Testing

#if canImport(FoundationXML)
  import FoundationXML
#endif

/// The page of plots and figures.
@Suite struct PageTests {
  private static func result(
    _ group: String, _ name: String, _ size: Int, bytes: Int? = nil, metrics: [Metric] = []
  ) -> CaseResult {
    CaseResult(
      benchmark: Case(group, name, size: size, bytes: bytes) { [] },
      rows: [
        ContenderResult(name: limitName, nanoseconds: [9, 10, 12]),
        ContenderResult(name: "a <&> \"b\"", nanoseconds: [20, 30, 25], metrics: metrics),
      ])
  }

  private static var results: [CaseResult] {
    [
      result("append", "plain", 16, bytes: 16), result("append", "plain", 64, bytes: 64),
      result("read", "nothing-new", 16), result("read", "nothing-new", 64),
      result("sessions", "sweep", 1_000), result("sessions", "resident", 1),
      result(
        "together", "latency", 0,
        metrics: [Metric("p50", 10, .nanoseconds), Metric("max", 900, .nanoseconds)]),
      result("together", "latency", 4, metrics: [Metric("missed", 0.25, .share)]),
      result("together", "rate", 2, metrics: [Metric("missed", 0, .share)]),
    ]
  }

  private static func record(_ results: [CaseResult]) -> Record {
    Record(name: "a", facts: [Fact("processor", "a <chip>")], results: results)
  }

  private let figures = Figures(Self.record(Self.results)) { 1_024 / $0 }

  @Test("Each group has the plots that suit its metrics")
  func everyGroupGetsThePicturesThatSuitIt() {
    #expect(figures.sections.map(\.group) == ["append", "read", "sessions", "together"])
    #expect(
      figures.all.map(\.id) == [
        "append-plain", "append-plain-ratio", "read-nothing-new", "sessions-times",
        "together-latency", "together-times", "together-latency-percentiles",
        "together-missed",
      ])
  }

  @Test("Each plot is well-formed XML with its labels")
  func picturesAreWellFormedAndHoldTheirLabels() {
    for figure in figures.all {
      let parser = XMLParser(data: Data(figure.svg.utf8))
      #expect(parser.parse(), "\(figure.id): \(String(describing: parser.parserError))")
      #expect(!figure.svg.contains("nan"), "\(figure.id)")
      #expect(!figure.svg.contains("inf"), "\(figure.id)")
    }
    let plot = figures.all[0].svg
    for label in [
      "16 B", "64 B", "throughput, GB/s · a &lt;chip&gt;", "size of a chunk", ">limit<",
    ] {
      #expect(plot.contains(label))
    }
    #expect(plot.contains("a &lt;&amp;&gt; &quot;b&quot;"))
  }

  @Test("The plot of reads has the number of retained chunks on its axis")
  func readsAreDrawnAgainstTheNumberOfChunks() {
    let plot = figures.all.first { $0.id == "read-nothing-new" }
    #expect(plot?.svg.contains(">chunks retained<") == true)
    #expect(plot?.svg.contains(">64<") == true)
    #expect(plot?.svg.contains(">16<") == true)
  }

  @Test("The percentiles of several contenders have a plot for each size")
  func percentilesOfSeveralSizesGetAPictureEach() {
    let metrics = [Metric("p50", 10, .nanoseconds), Metric("p99", 20, .nanoseconds)]
    func ids(_ rows: [ContenderResult]) -> [String] {
      let results = [1, 4].map { size in
        CaseResult(benchmark: Case("together", "latency", size: size) { [] }, rows: rows)
      }
      return Figures(Self.record(results)) { $0 }.all.map(\.id)
    }
    let ring = ContenderResult(name: "ring", metrics: metrics)
    let session = ContenderResult(name: "session", metrics: metrics)
    #expect(ids([ring]) == ["together-latency-percentiles"])
    #expect(
      ids([ring, session])
        == ["together-latency-1-percentiles", "together-latency-4-percentiles"])
  }

  @Test("The percentiles of a plot are in ascending order")
  func percentilesStandInOrder() throws {
    let plot = try #require(figures.all.first { $0.id == "together-latency-percentiles" })
    let p50 = try #require(plot.svg.range(of: ">p50<"))
    let max = try #require(plot.svg.range(of: ">max<"))
    #expect(p50.lowerBound < max.lowerBound)
  }

  @Test("The page contains every figure and refers to no other file")
  func thePageNeedsNoOtherFileAndHoldsEverything() {
    let page = Page(record: Self.record(Self.results), figures: figures).html
    #expect(page.contains("a &lt;chip&gt;"))
    for figure in figures.all { #expect(page.contains(figure.svg)) }
    for forbidden in ["<script", "<link", "@import", "url(", "src="] {
      #expect(!page.contains(forbidden))
    }
    #expect(page.components(separatedBy: "<tr").count - 1 == 18 + 4)
    #expect(page.contains("missed 25 %"))
    #expect(!page.contains("a <"))
  }

  @Test("A metric that never differs is a note, a sample count is omitted, and neither is plotted")
  func constants() {
    let results = [2, 4].map { size in
      Self.result(
        "together", "rate", size,
        metrics: [
          Metric("torn", 0, .count), Metric("missed", Double(size) / 8, .share),
          Metric("count", Double(size), .count),
        ])
    }
    let figures = Figures(Self.record(results)) { $0 }
    #expect(figures.all.map(\.id) == ["together-rate", "together-missed"])
    #expect(figures.sections[0].notes == ["torn: 0 in all 2 rows"])
    let page = Page(record: Self.record(results), figures: figures).html
    #expect(page.contains("torn: 0 in all 2 rows."))
  }

  @Test("The page shows notes even without a plot")
  func notesAlone() {
    let results = [2, 4].map { size in
      CaseResult(
        benchmark: Case("g", "n", size: size) { [] },
        rows: [ContenderResult(name: "a", metrics: [Metric("torn", 0, .count)])])
    }
    let figures = Figures(Self.record(results)) { $0 }
    #expect(figures.all.isEmpty)
    let page = Page(record: Self.record(results), figures: figures).html
    #expect(page.contains("torn: 0 in all 2 rows."))
  }
}
