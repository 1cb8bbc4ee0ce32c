/// The full table of a page: all that the JSON form has.
struct PageTable {
  let results: [CaseResult]

  var html: String {
    results.map(\.benchmark.group).uniqued.map { group in
      let cases = results.filter { $0.benchmark.group == group }
      return "<table>\n<caption>\(escapeMarkup(group))</caption>\n<thead><tr>"
        + "<th>case</th><th>size</th><th>contender</th><th class=\"n\">time</th>"
        + "<th class=\"n\">GB/s</th><th class=\"n\">× limit</th><th class=\"n\">spread</th>"
        + "<th class=\"n\">allocations</th><th class=\"n\">bytes allocated</th>"
        + "<th>target, metrics</th></tr></thead>\n"
        // A body for each case, so that a printed page does not break within one.
        + cases.map { "<tbody>\n\(body($0))</tbody>\n" }.joined() + "</table>\n"
    }.joined()
  }

  private func body(_ result: CaseResult) -> String {
    result.rows.enumerated().map { index, row in
      let head =
        index == 0
        ? "<th>\(escapeMarkup(result.benchmark.name))</th>"
          + "<td class=\"n\">\(formatCount(result.benchmark.size))</td>"
        : "<td></td><td></td>"
      let figures = [
        row.median.map(formatTime),
        result.bytesPerSecond(row).map { formatSignificant($0 / 1e9) },
        result.ratio(of: row.name, to: limitName).map { fixed($0, 2) },
        row.spread.map { "±\(fixed($0 * 100, 1)) %" },
        row.allocations.map { formatSignificant(($0.count * 100).rounded() / 100) },
        row.allocations.map { formatBytes($0.bytes.rounded()) },
      ].map { "<td class=\"n\">\($0 ?? "")</td>" }
      return "<tr\(row.isTooNoisy ? " class=\"noisy\"" : "")>\(head)"
        + "<td>\(escapeMarkup(row.name))</td>\(figures.joined())<td>\(notes(row, result))</td></tr>\n"
    }.joined()
  }

  private func notes(_ row: ContenderResult, _ result: CaseResult) -> String {
    var notes = result.verdicts(on: row.name).map { verdict in
      let text = escapeMarkup(verdict.text)
      return verdict.isMet
        ? "<span class=\"met\">✓ \(text)</span>" : "<span class=\"missed\">✗ \(text)</span>"
    }
    notes += row.metrics.map { escapeMarkup("\($0.name) \($0.formattedValue)") }
    if row.isTooNoisy { notes.append("too noisy to mean anything") }
    return notes.joined(separator: " · ")
  }
}
