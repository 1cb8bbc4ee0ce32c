/// What one contender's rounds gave.
package struct ContenderResult: Sendable {
  package let name: String
  /// Nanoseconds per operation, round by round; empty if times are not what was measured.
  package let nanoseconds: [Double]
  package let allocations: Allocations?
  package let metrics: [Metric]

  package init(
    name: String, nanoseconds: [Double] = [], metrics: [Metric] = [],
    allocations: Allocations? = nil
  ) {
    self.name = name
    self.nanoseconds = nanoseconds
    self.metrics = metrics
    self.allocations = allocations
  }

  /// Nanoseconds per operation; nil if times are not what was measured.
  package var median: Double? { nanoseconds.isEmpty ? nil : nanoseconds.median }

  /// How far the rounds differ; nil if there is one or none.
  package var spread: Double? { nanoseconds.count < 2 ? nil : nanoseconds.spread }

  /// Whether the rounds differ so much that their median says nothing.
  package var isTooNoisy: Bool { (spread ?? 0) > 0.25 }
}

/// What a case's rounds gave.
package struct CaseResult {
  package let benchmark: Case
  package let rows: [ContenderResult]

  package init(benchmark: Case, rows: [ContenderResult]) {
    self.benchmark = benchmark
    self.rows = rows
  }

  package func row(_ name: String) -> ContenderResult? { rows.first { $0.name == name } }

  /// The times of several contenders together, round by round; empty if one of them has no times.
  private func sums(of names: [String]) -> [Double] {
    let times = names.map { row($0)?.nanoseconds ?? [] }
    let rounds = times.map(\.count).min() ?? 0
    return (0..<rounds).map { round in times.reduce(0) { $0 + $1[round] } }
  }

  /// One contender's time over another's, or over that of several together, round by round; empty
  /// if one of them has no times.
  package func ratios(of name: String, to others: [String]) -> [Double] {
    zip(sums(of: [name]), sums(of: others)).map { $0 / $1 }
  }

  package func ratios(of name: String, to other: String) -> [Double] {
    ratios(of: name, to: [other])
  }

  /// What one contender takes more than several others together, round by round.
  private func excesses(of name: String, over base: [String]) -> [Double] {
    base.isEmpty ? sums(of: [name]) : zip(sums(of: [name]), sums(of: base)).map { $0 - $1 }
  }

  /// The median of what one contender takes more than several others together, in nanoseconds.
  package func excess(of name: String, over others: [String]) -> Double? {
    let excesses = excesses(of: name, over: others)
    return excesses.isEmpty ? nil : excesses.median
  }

  /// The median of one contender's time over another's, taken round by round.
  package func ratio(of name: String, to other: String) -> Double? {
    let ratios = ratios(of: name, to: other)
    return ratios.isEmpty ? nil : ratios.median
  }

  /// The ratio that the noise of other processes raises least: the lesser of the median of the
  /// ratios round by round, which a machine that changes its speed does not change, and the ratio
  /// of the shortest times, which a processor shared with others does not. Slower code raises both.
  ///
  /// - Parameter base: Contenders whose time is taken off that of the first.
  package func leastRatio(
    of name: String, minus base: [String] = [], to others: [String]
  ) -> Double? {
    let ratios = zip(excesses(of: name, over: base), sums(of: others)).map { $0 / $1 }
    guard !ratios.isEmpty else { return nil }
    func shortest(_ names: [String]) -> Double {
      names.compactMap { row($0)?.nanoseconds.min() }.reduce(0, +)
    }
    return min(ratios.median, (shortest([name]) - shortest(base)) / shortest(others))
  }

  /// Bytes per second at the median time.
  package func bytesPerSecond(_ row: ContenderResult) -> Double? {
    guard let bytes = benchmark.bytes, let median = row.median else { return nil }
    return Double(bytes) * 1e9 / median
  }
}
