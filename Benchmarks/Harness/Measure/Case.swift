/// One way to do a case's work.
package struct Contender {
  package let name: String
  /// What else there is to say after the last round, such as percentiles gathered while it ran.
  package let metrics: () -> [Metric]
  /// Does the work a number of times.
  package let run: (_ operations: Int) -> Void

  package init(
    _ name: String, metrics: @escaping () -> [Metric] = { [] },
    _ run: @escaping (_ operations: Int) -> Void
  ) {
    self.name = name
    self.metrics = metrics
    self.run = run
  }
}

/// The name of the contender that does only what the hardware must.
package let limitName = "limit"

/// The names of contenders that do the work as others do it, or as this library would without a
/// part of its own: being slower than one of them is a loss.
let alternativeNames: Set = ["original", "deque", "subprocess", "Foundation", "words"]

/// Several contenders for the same work.
package struct Case {
  /// What `size` counts, for the axes of plots.
  package enum SizeMeaning: Sendable, Hashable {
    case bytes, sessions, readers, other(String)
  }

  private enum Work {
    /// Made when the case runs, so that cases do not share memory.
    case contenders(() -> [Contender])
    case measurement((Plan) -> [ContenderResult])
  }

  package let group: String
  package let name: String
  /// What varies among the cases of a name: bytes per chunk, sessions, readers.
  package let size: Int
  package let sizeMeaning: SizeMeaning
  /// Bytes moved by one operation; nil if that says nothing.
  package let bytes: Int?
  /// The figures to be reached, by contender: see docs/benchmarks.md.
  package let targets: [String: Target]
  private let work: Work

  package init(
    _ group: String, _ name: String, size: Int, bytes: Int? = nil,
    targets: [String: Target] = [:], sizeMeaning: SizeMeaning? = nil,
    contenders: @escaping () -> [Contender]
  ) {
    self.init(
      group, name, size, bytes, targets, sizeMeaning, .contenders(contenders))
  }

  /// A case that measures in its own way: with threads of its own, or no times at all.
  ///
  /// - Parameter measurement: Takes `available` nanoseconds of the plan at most. Its results may
  ///   have no times; those that have, have as many as each other, taken in turn.
  package static func measuring(
    _ group: String, _ name: String, size: Int, bytes: Int? = nil,
    targets: [String: Target] = [:], sizeMeaning: SizeMeaning? = nil,
    _ measurement: @escaping (Plan) -> [ContenderResult]
  ) -> Case {
    Case(group, name, size, bytes, targets, sizeMeaning, .measurement(measurement))
  }

  private init(
    _ group: String, _ name: String, _ size: Int, _ bytes: Int?, _ targets: [String: Target],
    _ sizeMeaning: SizeMeaning?, _ work: Work
  ) {
    self.group = group
    self.name = name
    self.size = size
    self.sizeMeaning = sizeMeaning ?? Self.meaning(in: group)
    self.bytes = bytes
    self.targets = targets
    self.work = work
  }

  private static func meaning(in group: String) -> SizeMeaning {
    switch group {
    case "sessions": .sessions
    case "together": .readers
    default: .bytes
    }
  }

  /// What `--filter`, `--list` and thresholds know it by.
  package var path: String { Self.path(group, name, size) }

  static func path(_ group: String, _ name: String, _ size: Int) -> String {
    "\(group)/\(name)/\(size)"
  }

  /// Runs the contenders in turn, round by round.
  package func run(_ plan: Plan, counting counter: AllocationCounter? = nil) -> CaseResult {
    switch work {
    case .measurement(let measurement):
      return CaseResult(benchmark: self, rows: measurement(plan))
    case .contenders(let make):
      Machine.pin(to: 0)
      return CaseResult(benchmark: self, rows: Self.measure(make(), plan, counter))
    }
  }

  private static func measure(
    _ contenders: [Contender], _ plan: Plan, _ counter: AllocationCounter?
  ) -> [ContenderResult] {
    let begin = Machine.nanoseconds()
    let warmUp = plan.warmUp(contenders: contenders.count)
    let rates = contenders.map { calibrate($0, warmUp) }
    let sample = plan.sample(
      elapsed: Machine.nanoseconds() - begin, contenders: contenders.count)
    let operations = rates.map { max(1, Int(Double(sample) / $0)) }
    var samples = contenders.map { _ in [Double]() }
    for _ in 0..<plan.rounds {
      for (index, contender) in contenders.enumerated() {
        let start = Machine.nanoseconds()
        contender.run(operations[index])
        let time = Machine.nanoseconds() - start
        samples[index].append(Double(time) / Double(operations[index]))
      }
    }
    return contenders.indices.map { index in
      let contender = contenders[index]
      return ContenderResult(
        name: contender.name, nanoseconds: samples[index], metrics: contender.metrics(),
        allocations: counter?.measure(contender, operations: max(1, operations[index] / 4)))
    }
  }

  /// Warms a contender up, and finds how many nanoseconds an operation takes.
  ///
  /// The warm-up is long enough to touch every page of a session's memory several times.
  private static func calibrate(_ contender: Contender, _ warmUp: Int) -> Double {
    var operations = 1
    while true {
      let start = Machine.nanoseconds()
      contender.run(operations)
      let time = Machine.nanoseconds() - start
      // A clock that stands still would otherwise make one operation free.
      if time > 0, time >= warmUp / 2 { return Double(time) / Double(operations) }
      operations *= 2
    }
  }
}
