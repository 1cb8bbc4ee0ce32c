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
}

/// A target beside what was measured.
package struct Verdict: Sendable {
  package let isMet: Bool
  /// What was to be reached, such as `≤ 1.3`.
  package let text: String
}

extension CaseResult {
  /// Whether a contender reached its target; nil if it has none.
  package func verdict(on name: String) -> Verdict? {
    switch benchmark.targets[name] {
    case nil:
      return nil
    case .timesLimit(let bound):
      let ratio = ratio(of: name, to: limitName) ?? .infinity
      return Verdict(isMet: ratio <= bound, text: "≤ \(bound) × limit")
    case .nanoseconds(let bound):
      let time = row(name)?.median ?? .infinity
      return Verdict(isMet: time <= bound, text: "≤ \(formatTime(bound))")
    case .over(let parts, let nanoseconds):
      let excess = excess(of: name, over: parts) ?? .infinity
      let sum = parts.joined(separator: " + ")
      return Verdict(
        isMet: excess <= nanoseconds,
        text: "\(sum) + \(fixed(excess, 1)) ns, ≤ + \(fixed(nanoseconds, 1)) ns")
    case .timesFaster(let other, let bound):
      let times = ratio(of: other, to: name) ?? 0
      return Verdict(
        isMet: times >= bound, text: "\(other) ÷ \(name) = \(fixed(times, 1)) ≥ \(bound)")
    }
  }
}
