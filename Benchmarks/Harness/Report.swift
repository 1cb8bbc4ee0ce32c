/// What a case's rounds gave: nanoseconds per operation, by contender and round.
struct CaseResult {
  let benchmark: Case
  let names: [String]
  let samples: [[Double]]

  func samples(of name: String) -> [Double]? { names.firstIndex(of: name).map { samples[$0] } }

  /// The median of the ratios taken round by round.
  func ratio(of name: String, to other: String) -> Double? {
    guard let mine = samples(of: name), let others = samples(of: other) else { return nil }
    return zip(mine, others).map { $0 / $1 }.median
  }
}

extension [Double] {
  var median: Double { quantile(0.5) }

  func quantile(_ share: Double) -> Double {
    let sorted = sorted()
    let place = share * Double(sorted.count - 1)
    let below = Int(place)
    let above = Swift.min(below + 1, sorted.count - 1)
    return sorted[below] + (sorted[above] - sorted[below]) * (place - Double(below))
  }

  /// Half the distance between the quartiles, relative to the median.
  var spread: Double { (quantile(0.75) - quantile(0.25)) / 2 / median }
}

/// Prints results as they come, and at the end which targets were met.
struct Report {
  let plan: Plan
  private var verdicts: [String] = []
  private var missed = 0

  init(plan: Plan) {
    self.plan = plan
    print("rounds: \(plan.rounds) of \(plan.sample / 1_000_000) ms each; medians\n")
    print(
      "case".padded(28) + "contender".padded(14) + "ns/op".padded(left: 12)
        + "GB/s".padded(left: 9) + "x base".padded(left: 9) + "spread".padded(left: 9) + "  target")
  }

  mutating func add(_ result: CaseResult) {
    for name in result.names {
      let samples = result.samples(of: name)!
      let median = samples.median
      let rate = result.benchmark.bytes.map { fixed(Double($0) / median, 2) } ?? ""
      let ratio = result.ratio(of: name, to: result.benchmark.baseline)
      let row =
        result.benchmark.name.padded(28) + name.padded(14) + fixed(median, 2).padded(left: 12)
        + rate.padded(left: 9) + (ratio.map { fixed($0, 3) } ?? "").padded(left: 9)
        + "±\(fixed(samples.spread * 100, 1))%".padded(left: 9)
      print(row + "  " + verdict(result, name, ratio: ratio, median: median))
    }
  }

  private mutating func verdict(
    _ result: CaseResult, _ name: String, ratio: Double?, median: Double
  ) -> String {
    guard let target = result.benchmark.targets[name] else { return "" }
    let (met, text): (Bool, String)
    switch target {
    case .atMost(let bound):
      (met, text) = ((ratio ?? .infinity) <= bound, "≤ \(bound)")
    case .nanoseconds(let bound):
      (met, text) = (median <= bound, "≤ \(bound) ns")
    case .timesFaster(let other, let bound):
      let times = 1 / (result.ratio(of: name, to: other) ?? .infinity)
      (met, text) = (times >= bound, "\(other) ÷ \(name) = \(fixed(times, 1)) ≥ \(bound)")
    }
    if !met { missed += 1 }
    verdicts.append(met ? "met" : "missed")
    return text + (met ? "" : "  MISSED")
  }

  func finish() {
    print("\ntargets: \(verdicts.count - missed) of \(verdicts.count) met")
  }
}

/// A number with a fixed count of decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let rounded = (value * scale).rounded()
  guard rounded.magnitude < 1e18 else { return "\(value)" }
  let number = Int(rounded)
  guard decimals > 0 else { return "\(number)" }
  let digits = String(number.magnitude)
  let padded = String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  return (number < 0 ? "-" : "") + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}

extension String {
  func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(1, width - count))
  }

  func padded(left width: Int) -> String {
    String(repeating: " ", count: max(1, width - count)) + self
  }
}
