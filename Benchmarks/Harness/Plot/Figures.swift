/// Which pictures a set of results is shown in.
package struct Figures {
  package struct Section {
    package let group: String
    package let figures: [any Figure]
    /// What a sentence says better than a picture.
    package let notes: [String]
  }

  package let sections: [Section]

  /// - Parameter retainedChunks: How many chunks of a size a full session retains.
  package init(_ record: Record, retainedChunks: @escaping (_ chunkBytes: Int) -> Int) {
    let palette = Palette(record.results.flatMap { $0.rows.map(\.name) })
    sections = record.results.map(\.benchmark.group).uniqued.map { group in
      let results = record.results(of: group)
      let builder = SectionBuilder(
        group: group, results: results, processor: record.processor, palette: palette,
        retainedChunks: retainedChunks)
      return Section(group: group, figures: builder.figures, notes: results.constantNotes)
    }
  }

  package var all: [any Figure] { sections.flatMap(\.figures) }
}

/// The pictures of one group.
private struct SectionBuilder {
  let group: String
  let results: [CaseResult]
  let processor: String
  let palette: Palette
  let retainedChunks: (_ chunkBytes: Int) -> Int

  var figures: [any Figure] {
    var figures: [any Figure] = []
    var single: [CaseResult] = []
    for name in results.map(\.benchmark.name).uniqued {
      let cases = results.filter { $0.benchmark.name == name }
      let timed = cases.filter { result in result.rows.contains { $0.median != nil } }
      if timed.count > 1 {
        figures += lines(name, timed)
      } else {
        single += timed
      }
    }
    if !single.isEmpty { figures.append(dots(single)) }
    for name in results.map(\.benchmark.name).uniqued {
      figures += percentiles(name, results.filter { $0.benchmark.name == name })
    }
    return figures + otherMetrics
  }

  /// An axis's title, and the processor, which a picture must name wherever it is shown.
  private func axis(_ title: String) -> String { "\(title) · \(processor)" }

  // MARK: Cost and throughput against size

  private func lines(_ name: String, _ cases: [CaseResult]) -> [any Figure] {
    let isThroughput = group != "read" && cases.allSatisfy { $0.benchmark.bytes != nil }
    let axes =
      cases.allSatisfy { x($0.benchmark) > 0 }
      ? "Both axes are logarithmic." : "The vertical axis is logarithmic."
    let hasLimit = cases.contains { $0.row(limitName) != nil }
    let title = "\(group), \(name): \(isThroughput ? "throughput" : "time")"
    var figures: [any Figure] = [
      LineFigure(
        id: slug(group, name), title: title,
        caption: isThroughput
          ? "Higher is better. \(axes)"
          : "Lower is better; a flat line costs the same however much there is. \(axes)",
        xTitle: xTitle(cases),
        yTitle: axis(isThroughput ? "throughput, GB/s" : "time per operation"),
        formatX: formatX(cases),
        formatY: isThroughput ? { formatSignificant($0 / 1e9) } : { formatTime($0) },
        series: series(cases) { result, row in
          let times = Estimate(row.nanoseconds)
          guard isThroughput, let bytes = result.benchmark.bytes else { return times }
          return Estimate(row.nanoseconds.map { Double(bytes) * 1e9 / $0 })
        })
    ]
    if isThroughput && hasLimit {
      figures.append(
        LineFigure(
          id: slug(group, name, "ratio"), title: "\(group), \(name): time ÷ limit",
          caption: "Lower is better; on the dashed line as fast as the limit, below it faster. "
            + "Ratios are taken round by round.",
          xTitle: xTitle(cases), yTitle: axis("time ÷ time of the limit"),
          formatX: formatX(cases), formatY: { formatSignificant($0) },
          reference: (1, limitName),
          series: series(cases) { result, row in
            let ratios = result.ratios(of: row.name, to: limitName)
            return row.name == limitName || ratios.isEmpty ? nil : Estimate(ratios)
          }))
    }
    return figures
  }

  private func series(
    _ cases: [CaseResult], _ value: (CaseResult, ContenderResult) -> Estimate?
  ) -> [LineFigure.Series] {
    let names = cases.flatMap { $0.rows.map(\.name) }.uniqued
    let all = zip(names, palette.styles(for: names)).map { name, style in
      LineFigure.Series(
        name, style,
        cases.compactMap { result in
          guard let row = result.row(name), row.median != nil, let y = value(result, row)
          else { return nil }
          return LineFigure.Point(x: x(result.benchmark), y: y)
        })
    }
    return all.filter { !$0.points.isEmpty }
  }

  private func x(_ benchmark: Case) -> Double {
    group == "read" && benchmark.sizeMeaning == .bytes
      ? Double(retainedChunks(benchmark.size)) : Double(benchmark.size)
  }

  private func xTitle(_ cases: [CaseResult]) -> String {
    switch cases[0].benchmark.sizeMeaning {
    case .bytes: group == "read" ? "chunks retained" : "size of a chunk"
    case .sessions: "sessions"
    case .readers: "readers"
    case .other(let meaning): meaning
    }
  }

  private func formatX(_ cases: [CaseResult]) -> (Double) -> String {
    cases[0].benchmark.sizeMeaning == .bytes && group != "read"
      ? { formatBytes($0) } : { formatSignificant($0) }
  }

  // MARK: Cases of one size

  private func dots(_ cases: [CaseResult]) -> DotFigure {
    let names = cases.flatMap { $0.rows.map(\.name) }.uniqued
    let styles = Dictionary(
      uniqueKeysWithValues: zip(names, palette.styles(for: names)))
    let rows = cases.flatMap { result in
      result.rows.filter { $0.median != nil }.map { row in
        DotFigure.Row(
          "\(result.benchmark.name), \(row.name)", styles[row.name]!, Estimate(row.nanoseconds))
      }
    }
    return DotFigure(
      id: slug(group, "times"), title: "\(group): time per operation",
      caption: "Lower is better. " + cases.map(\.benchmark.label).joined(separator: "; ") + ".",
      axis: axis("time per operation"), format: { formatTime($0) }, rows: rows)
  }

  // MARK: Metrics

  /// One picture for each size, or one for all if they have one contender.
  private func percentiles(_ name: String, _ cases: [CaseResult]) -> [any Figure] {
    let cases = cases.filter { $0.rows.contains { $0.metrics.contains(where: \.isPercentile) } }
    guard cases.count > 1 else {
      return cases.map { percentileFigure([name], "\(group), \(name)", [$0], names: \.1.name) }
    }
    let size = { (result: CaseResult) in formatX([result])(x(result.benchmark)) }
    if cases.allSatisfy({ $0.rows.count == 1 }) {
      return [percentileFigure([name], "\(group), \(name)", cases) { size($0.0) }]
    }
    return cases.map { result in
      percentileFigure(
        [name, "\(result.benchmark.size)"],
        "\(group), \(name), \(xTitle([result])) \(size(result))", [result], names: \.1.name)
    }
  }

  private func percentileFigure(
    _ id: [String], _ title: String, _ cases: [CaseResult],
    names: ((CaseResult, ContenderResult)) -> String
  ) -> LineFigure {
    let rows = cases.flatMap { result in result.rows.map { (result, $0) } }
      .filter { _, row in row.metrics.contains(where: \.isPercentile) }
    let labels = rows.flatMap { _, row in row.metrics.filter(\.isPercentile).map(\.name) }.uniqued
    let names = rows.map(names)
    let series = zip(zip(names, palette.styles(for: names)), rows).map { look, row in
      LineFigure.Series(
        look.0, look.1,
        row.1.metrics.filter(\.isPercentile).map { metric in
          LineFigure.Point(
            x: Double(labels.firstIndex(of: metric.name)!), y: Estimate(metric.value))
        })
    }
    return LineFigure(
      id: slug(([group] + id + ["percentiles"]).joined(separator: "-")),
      title: "\(title): percentiles",
      caption: "Lower is better. p99 is the time that 99 of 100 operations stay below.",
      xTitle: cases.count > 1 ? "percentile; labels are \(xTitle(cases))" : "percentile",
      yTitle: axis("time of one operation"),
      formatX: { labels[Int($0)] }, formatY: { formatTime($0) }, series: series)
  }

  /// One picture for each metric that several rows have and that differs among them, but for
  /// percentiles and counts of samples.
  private var otherMetrics: [any Figure] {
    let constants = Set(results.constantMetrics)
    let names = results.flatMap { $0.rows.map(\.name) }.uniqued
    let looks = Dictionary(uniqueKeysWithValues: zip(names, palette.styles(for: names)))
    return results.metricNames.filter { !constants.contains($0) }.compactMap { name in
      let values = results.values(of: name)
      let first = values[0].metric
      guard values.count > 1, !first.isPercentile, !first.isSampleCount else { return nil }
      let unit = first.unit
      return DotFigure(
        id: slug(group, name), title: "\(group): \(name)",
        caption: "Each row is a case, its \(xTitle([values[0].result])), and a contender.",
        axis: axis(unit.title), format: unit.format, isBinary: unit == .bytes,
        rows: values.map { result, row, metric in
          let size = formatX([result])(x(result.benchmark))
          return DotFigure.Row(
            "\(result.benchmark.name), \(size), \(row.name)", looks[row.name]!,
            Estimate(metric.value))
        })
    }
  }
}

/// A name for a figure and its file.
package func slug(_ parts: String...) -> String {
  hyphenated(parts.joined(separator: "-")).lowercased()
}
