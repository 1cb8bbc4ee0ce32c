/// Prints results as they come, and at the end which targets were met.
package struct Table {
  private var targets = 0
  private var missed = 0

  package init() {
    print(
      "case".padded(30) + "contender".padded(14) + "ns/op".padded(left: 12)
        + "GB/s".padded(left: 9) + "× limit".padded(left: 9) + "spread".padded(left: 9)
        + "allocs".padded(left: 8) + "  target")
  }

  package mutating func add(_ result: CaseResult) {
    for row in result.rows {
      print(line(row, of: result))
      for metric in row.metrics {
        print("".padded(46) + metric.name.padded(left: 10) + "  " + metric.formattedValue)
      }
    }
    flushOutput()
  }

  private mutating func line(_ row: ContenderResult, of result: CaseResult) -> String {
    let rate = result.bytesPerSecond(row).map { fixed($0 / 1e9, 2) } ?? ""
    let ratio = result.ratio(of: row.name, to: limitName).map { fixed($0, 3) } ?? ""
    var line = result.benchmark.path.padded(30) + row.name.padded(14)
    line += (row.median.map { fixed($0, 2) } ?? "").padded(left: 12)
    line += rate.padded(left: 9) + ratio.padded(left: 9)
    line += (row.spread.map { "±\(fixed($0 * 100, 1))%" } ?? "").padded(left: 9)
    line += (row.allocations.map { fixed($0.count, 2) } ?? "").padded(left: 8)
    for verdict in result.verdicts(on: row.name) {
      targets += 1
      if !verdict.isMet { missed += 1 }
      line += "  " + verdict.text + (verdict.isMet ? "" : "  MISSED")
    }
    if row.isTooNoisy { line += "  too noisy to mean anything" }
    while line.last == " " { line.removeLast() }
    return line
  }

  package func finish() { print("\ntargets: \(targets - missed) of \(targets) met") }
}
