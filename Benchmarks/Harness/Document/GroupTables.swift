/// One group's figures as tables in Markdown: times, and what else was measured.
struct GroupTables {
  /// Of one group.
  let results: [CaseResult]

  var text: String {
    ((timeTables + metricTables).map(\.text) + results.constantNotes.map { "\($0).\n" })
      .joined(separator: "\n")
  }

  /// A contender's time over the limit's, if its case has a limit, else its time; marked if it
  /// missed a target, is slower than an alternative, or varied too much.
  static func cell(_ name: String, in result: CaseResult) -> String {
    guard let row = result.row(name), let median = row.median else { return "" }
    let ratio = name == limitName ? nil : result.ratio(of: name, to: limitName)
    let isLost =
      result.loss(of: name) != nil || result.verdicts(on: name).contains { !$0.isMet }
    return (ratio.map(formatRatio) ?? formatTime(median)) + (isLost ? " ✗" : "")
      + (row.isTooNoisy ? " ~" : "")
  }

  // MARK: Times

  /// A table for the cases that have the same contenders.
  private var timeTables: [MarkdownTable] {
    let timed = results.filter { $0.rows.contains { $0.median != nil } }
    return grouped(timed) { $0.rows.map(\.name) }.map { names, cases in
      let hasLimit = names.contains(limitName)
      return MarkdownTable(
        header: ["case"] + names.map { hasLimit && $0 != limitName ? "\($0) ÷ limit" : $0 },
        rows: cases.map { result in
          [result.benchmark.label] + names.map { Self.cell($0, in: result) }
        })
    }
  }

  // MARK: Metrics

  /// A table for the cases that have the same metrics, without those that never differ, and without
  /// rows that are nothing but zeros.
  private var metricTables: [MarkdownTable] {
    let constants = Set(results.constantMetrics)
    let groups = grouped(results) { [$0].metricNames.filter { !constants.contains($0) } }
    return groups.compactMap { names, cases in
      let rows = cases.flatMap { result in
        result.rows.filter { row in
          row.metrics.contains {
            names.contains($0.name) && !$0.isSampleCount && $0.value != 0
          }
        }.map { row in
          [result.benchmark.label, row.name]
            + names.map { name in
              row.metrics.first { $0.name == name }?.formattedValue ?? ""
            }
        }
      }
      let header = ["case", "contender"] + names
      return rows.isEmpty ? nil : MarkdownTable(header: header, rows: rows, textColumns: 2)
    }
  }

  /// Cases by a key that they have in common, in the order of first appearance.
  private func grouped(
    _ results: [CaseResult], by key: (CaseResult) -> [String]
  ) -> [(key: [String], results: [CaseResult])] {
    var groups: [(key: [String], results: [CaseResult])] = []
    for result in results {
      if let place = groups.firstIndex(where: { $0.key == key(result) }) {
        groups[place].results.append(result)
      } else {
        groups.append((key(result), [result]))
      }
    }
    return groups
  }
}
