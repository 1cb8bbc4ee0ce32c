import CJemalloc

/// Prints results as they come, and at the end which targets were met.
struct Report {
  private var targets = 0
  private var missed = 0

  init(plan: Plan) {
    print("rounds: \(plan.rounds) of \(plan.sample / 1_000_000) ms per contender; medians")
    print(
      jemalloc_is_linked()
        ? "allocator: jemalloc"
        : "allocator: the system's; to count allocations: apt-get install libjemalloc-dev, "
          + "rm -r .build")
    print("")
    print(
      "case".padded(30) + "contender".padded(14) + "ns/op".padded(left: 12)
        + "GB/s".padded(left: 9) + "× limit".padded(left: 9) + "spread".padded(left: 9)
        + "allocs".padded(left: 8) + "  target")
  }

  mutating func add(_ result: CaseResult) {
    for row in result.rows {
      let median = row.nanoseconds.median
      let spread = row.nanoseconds.spread
      let rate = result.benchmark.bytes.map { fixed(Double($0) / median, 2) } ?? ""
      let ratio = result.ratio(of: row.name, to: limitName).map { fixed($0, 3) } ?? ""
      let allocations = row.allocations.map { fixed($0.count, 2) } ?? ""
      print(
        result.benchmark.path.padded(30) + row.name.padded(14) + fixed(median, 2).padded(left: 12)
          + rate.padded(left: 9) + ratio.padded(left: 9)
          + "±\(fixed(spread * 100, 1))%".padded(left: 9) + allocations.padded(left: 8) + "  "
          + verdict(result, row.name) + (spread > 0.25 ? "  too noisy to mean anything" : ""))
    }
  }

  private mutating func verdict(_ result: CaseResult, _ name: String) -> String {
    guard let target = result.benchmark.targets[name] else { return "" }
    let (met, text): (Bool, String)
    switch target {
    case .timesLimit(let bound):
      (met, text) = ((result.ratio(of: name, to: limitName) ?? .infinity) <= bound, "≤ \(bound)")
    case .nanoseconds(let bound):
      (met, text) = (result.row(name)!.nanoseconds.median <= bound, "≤ \(fixed(bound, 0)) ns")
    case .timesFaster(let other, let bound):
      let times = result.ratio(of: other, to: name) ?? 0
      (met, text) = (times >= bound, "\(other) ÷ \(name) = \(fixed(times, 1)) ≥ \(bound)")
    }
    targets += 1
    if !met { missed += 1 }
    return text + (met ? "" : "  MISSED")
  }

  func finish() { print("\ntargets: \(targets - missed) of \(targets) met") }
}
