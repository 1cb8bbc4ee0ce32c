/// How long and how often to measure.
struct Plan {
  /// Rounds that count; each runs every contender once.
  let rounds: Int
  /// How long one contender runs within a round, in nanoseconds, about.
  let sample: Int

  static let full = Plan(rounds: 15, sample: 8_000_000)
  static let quick = Plan(rounds: 9, sample: 2_000_000)
}

/// One way to do a case's work.
struct Contender {
  let name: String
  /// Does the work a number of times.
  let run: (_ operations: Int) -> Void

  init(_ name: String, _ run: @escaping (_ operations: Int) -> Void) {
    self.name = name
    self.run = run
  }
}

/// The name of the contender that others are compared with.
let limitName = "limit"

/// Several contenders for the same work.
struct Case {
  let group: String
  let name: String
  /// Bytes per operation; nil if that says nothing.
  let bytes: Int?
  /// What the hardware or the alternatives have to do with it: the ratios' denominator.
  let baseline: String
  /// The ratios to be reached, by contender: see docs/benchmarks.md.
  let targets: [String: Target]
  /// Made when the case runs, so that cases do not share memory.
  let contenders: () -> [Contender]

  init(
    group: String, name: String, bytes: Int? = nil, baseline: String = limitName,
    targets: [String: Target] = [:], contenders: @escaping () -> [Contender]
  ) {
    self.group = group
    self.name = "\(group)/\(name)"
    self.bytes = bytes
    self.baseline = baseline
    self.targets = targets
    self.contenders = contenders
  }

  func run(_ plan: Plan) -> CaseResult {
    Machine.pin(to: 0)
    let contenders = contenders()
    // Warm up, and find how many operations fill a sample.
    let operations = contenders.map { contender in
      var operations = 1
      while true {
        let start = Machine.nanoseconds()
        contender.run(operations)
        let time = Machine.nanoseconds() - start
        if time >= plan.sample / 4 { return max(1, operations * plan.sample / max(time, 1)) }
        operations *= 2
      }
    }
    var samples = contenders.map { _ in [Double]() }
    for _ in 0..<plan.rounds {
      for (index, contender) in contenders.enumerated() {
        let start = Machine.nanoseconds()
        contender.run(operations[index])
        let time = Machine.nanoseconds() - start
        samples[index].append(Double(time) / Double(operations[index]))
      }
    }
    return CaseResult(benchmark: self, names: contenders.map(\.name), samples: samples)
  }
}

/// A figure to reach.
enum Target {
  /// Time over the baseline's time, at most.
  case atMost(Double)
  /// Nanoseconds per operation, at most.
  case nanoseconds(Double)
  /// The named contender's time over this one's, at least.
  case timesFaster(than: String, Double)
}
