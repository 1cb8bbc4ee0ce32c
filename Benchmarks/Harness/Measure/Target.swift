/// A figure to reach.
package enum Target: Sendable {
  /// Time over the limit's time, at most.
  case timesLimit(Double)
  /// Nanoseconds per operation, at most.
  case nanoseconds(Double)
  /// The named contenders' times together and so many nanoseconds, at most.
  case over([String], nanoseconds: Double)
  /// The named contender's time over this one's, at least.
  case timesFaster(than: String, Double)
  indirect case both(Target, Target)
}

/// A target beside what was measured.
package struct Verdict: Equatable, Sendable {
  package let isMet: Bool
  /// What was to be reached, such as `≤ 1.3 × limit`.
  package let target: String
  package let measured: String

  var text: String { "\(target): \(measured)" }
}

extension CaseResult {
  /// Returns whether a contender reached its targets.
  package func verdicts(on name: String) -> [Verdict] {
    benchmark.targets[name].map { verdicts(on: name, $0) } ?? []
  }

  private func verdicts(on name: String, _ target: Target) -> [Verdict] {
    switch target {
    case .timesLimit(let bound):
      let ratio = ratio(of: name, to: limitName) ?? .infinity
      return [
        Verdict(
          isMet: ratio <= bound, target: "≤ \(formatSignificant(bound)) × limit",
          measured: fixed(ratio, 3))
      ]
    case .nanoseconds(let bound):
      let time = row(name)?.median ?? .infinity
      return [
        Verdict(
          isMet: time <= bound, target: "≤ \(formatTime(bound))", measured: formatTime(time))
      ]
    case .over(let parts, let nanoseconds):
      let excess = excess(of: name, over: parts) ?? .infinity
      let sum = parts.joined(separator: " + ")
      return [
        Verdict(
          isMet: excess <= nanoseconds, target: "≤ \(sum) + \(fixed(nanoseconds, 1)) ns",
          measured: "+ \(fixed(excess, 1)) ns")
      ]
    case .timesFaster(let other, let bound):
      let times = ratio(of: other, to: name) ?? 0
      return [
        Verdict(
          isMet: times >= bound, target: "\(other) ÷ \(name) ≥ \(formatSignificant(bound))",
          measured: formatRatio(times))
      ]
    case .both(let first, let second):
      return verdicts(on: name, first) + verdicts(on: name, second)
    }
  }

  /// Returns the alternative that takes least, and how many times as long a contender takes; nil if
  /// the contender is not slower in three of four rounds, or is an alternative itself.
  package func loss(of name: String) -> (alternative: String, ratio: Double)? {
    guard name != limitName, !alternativeNames.contains(name) else { return nil }
    let slower = rows.filter { alternativeNames.contains($0.name) }.compactMap { row in
      let ratios = ratios(of: name, to: row.name)
      let isSlower = !ratios.isEmpty && ratios.quantile(0.25) > 1
      return isSlower ? (alternative: row.name, ratio: ratios.median) : nil
    }
    return slower.max { $0.ratio < $1.ratio }
  }
}
