extension [CaseResult] {
  /// The names of all metrics, in the order of first appearance.
  var metricNames: [String] { flatMap { $0.rows.flatMap { $0.metrics.map(\.name) } }.uniqued }

  /// Returns a metric wherever it was measured.
  func values(of name: String) -> [(result: CaseResult, row: ContenderResult, metric: Metric)] {
    flatMap { result in
      result.rows.compactMap { row in
        row.metrics.first { $0.name == name }.map { (result, row, $0) }
      }
    }
  }

  /// The metrics, percentiles aside, that have one value in all of several rows: a picture or a
  /// column of them would show nothing that a sentence does not say.
  var constantMetrics: [String] {
    metricNames.filter { name in
      let values = values(of: name).map(\.metric)
      return values.count > 1 && values.allSatisfy { $0 == values[0] && !$0.isPercentile }
    }
  }

  /// Sentences that say what the constant metrics are.
  var constantNotes: [String] {
    constantMetrics.map { name in
      let values = values(of: name)
      return "\(name): \(values[0].metric.formattedValue) in all \(values.count) rows"
    }
  }
}
