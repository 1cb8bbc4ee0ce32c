/// What one contender's rounds gave.
struct ContenderResult {
  let name: String
  /// Nanoseconds per operation, round by round.
  let nanoseconds: [Double]
  let allocations: Allocations?
}

/// What a case's rounds gave.
struct CaseResult {
  let benchmark: Case
  let rows: [ContenderResult]

  func row(_ name: String) -> ContenderResult? { rows.first { $0.name == name } }

  /// The median of one contender's time over another's, taken round by round.
  func ratio(of name: String, to other: String) -> Double? {
    guard let mine = row(name), let others = row(other) else { return nil }
    return zip(mine.nanoseconds, others.nanoseconds).map { $0 / $1 }.median
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
