/// Compares results with thresholds.
package struct Check {
  package let thresholds: [Threshold]
  /// How often a case that seems too slow is measured in all. What is too slow is so every time;
  /// what only met with a noisy neighbour is not.
  package static let attempts = 3

  /// - Parameters:
  ///   - thresholds: All of them.
  ///   - paths: Of all cases that there are.
  ///   - isSelected: Whether a case runs this time; the thresholds of others are left out.
  /// - Throws: If a threshold is about a case that does not exist, or none is left.
  package init(
    _ thresholds: [Threshold], paths: [String], where isSelected: (String) -> Bool
  ) throws {
    let known = Set(paths)
    let unknown = thresholds.filter { !known.contains($0.path) }
    guard unknown.isEmpty else {
      throw Failure(
        message: "thresholds for cases that do not exist (--list names those that do):\n"
          + unknown.map { "  \($0.name)" }.joined(separator: "\n"))
    }
    self.thresholds = thresholds.filter { isSelected($0.path) }
    guard !self.thresholds.isEmpty else {
      throw Failure(message: "no threshold is about the cases selected: nothing to check")
    }
  }

  /// What one threshold came to.
  package enum Finding: Equatable {
    case met
    case exceeded(String)
    case missing(String)

    var isExceeded: Bool {
      if case .exceeded = self { true } else { false }
    }

    var failure: String? {
      switch self {
      case .met: nil
      case .exceeded(let text), .missing(let text): text
      }
    }
  }

  /// - Parameter result: What the threshold's case gave; nil if it did not run.
  package static func compare(_ threshold: Threshold, with result: CaseResult?) -> [Finding] {
    guard let result, let row = result.row(threshold.contender) else {
      return [.missing("\(threshold.name): not in this run")]
    }
    var findings: [Finding] = []
    if let bound = threshold.max, let reference = threshold.reference {
      let others = reference.joined(separator: " + ")
      if let ratio = result.leastRatio(
        of: threshold.contender, minus: threshold.base, to: reference)
      {
        findings.append(
          ratio <= bound
            ? .met
            : .exceeded(
              "\(threshold.name): \(fixed(ratio, 3)) × \(others), allowed \(bound)"))
      } else {
        findings.append(.missing("\(threshold.name): no times to divide by those of \(others)"))
      }
    }
    // Without jemalloc there is nothing to compare, which is not an error.
    if let bound = threshold.maxAllocations, let allocations = row.allocations {
      // What other threads and the counting itself allocate is a small fraction of an operation.
      findings.append(
        allocations.count <= bound + 0.01
          ? .met
          : .exceeded(
            "\(threshold.name): \(fixed(allocations.count, 2)) allocations per operation, "
              + "allowed \(formatSignificant(bound))"))
    }
    return findings
  }

  /// Compares all, measuring again what exceeds its threshold.
  ///
  /// - Parameter measureAgain: Runs a case once more.
  /// - Returns: How many comparisons were made, and what each failure has to say.
  package func run(
    _ results: [CaseResult], measureAgain: (Case) -> CaseResult
  ) -> (compared: Int, failures: [String]) {
    var compared = 0
    var failures: [String] = []
    for path in thresholds.map(\.path).uniqued {
      var result = results.first { $0.benchmark.path == path }
      var open = thresholds.filter { $0.path == path }
      var findings: [Finding] = []
      for attempt in 1...Self.attempts where !open.isEmpty {
        var exceeded: [Threshold] = []
        for threshold in open {
          let mine = Self.compare(threshold, with: result)
          if attempt < Self.attempts, mine.contains(where: \.isExceeded) {
            exceeded.append(threshold)
          } else {
            findings += mine
          }
        }
        open = exceeded
        if !open.isEmpty, let slow = result { result = measureAgain(slow.benchmark) }
      }
      compared += findings.count
      failures += findings.compactMap(\.failure)
    }
    return (compared, failures)
  }
}

extension [String] {
  /// Without repetitions, in the order of first appearance.
  package var uniqued: [String] {
    var seen: Set<String> = []
    return filter { seen.insert($0).inserted }
  }
}
