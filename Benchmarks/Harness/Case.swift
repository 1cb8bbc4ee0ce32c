import CJemalloc

/// How long and how often to measure.
struct Plan {
  /// Rounds that count; each runs every contender once.
  let rounds: Int
  /// How long one contender runs within a round, in nanoseconds, about.
  let sample: Int

  static let full = Plan(rounds: 15, sample: 8_000_000)
  static let quick = Plan(rounds: 9, sample: 1_000_000)
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

/// The name of the contender that does only what the hardware must.
let limitName = "limit"

/// Several contenders for the same work.
struct Case {
  let group: String
  let name: String
  /// What varies among the cases of a name: bytes per chunk, sessions, readers.
  let size: Int
  /// Bytes moved by one operation; nil if that says nothing.
  let bytes: Int?
  /// The figures to be reached, by contender: see docs/benchmarks.md.
  let targets: [String: Target]
  /// Made when the case runs, so that cases do not share memory.
  let contenders: () -> [Contender]

  init(
    _ group: String, _ name: String, size: Int, bytes: Int? = nil,
    targets: [String: Target] = [:], contenders: @escaping () -> [Contender]
  ) {
    self.group = group
    self.name = name
    self.size = size
    self.bytes = bytes
    self.targets = targets
    self.contenders = contenders
  }

  /// What `--filter` and `--list` know it by.
  var path: String { "\(group)/\(name)/\(size)" }

  /// Runs the contenders in turn, round by round.
  func run(_ plan: Plan) -> CaseResult {
    Machine.pin(to: 0)
    let contenders = contenders()
    let operations = contenders.map { calibrate($0, plan) }
    var samples = contenders.map { _ in [Double]() }
    for _ in 0..<plan.rounds {
      for (index, contender) in contenders.enumerated() {
        let start = Machine.nanoseconds()
        contender.run(operations[index])
        let time = Machine.nanoseconds() - start
        samples[index].append(Double(time) / Double(operations[index]))
      }
    }
    let rows = contenders.indices.map { index in
      ContenderResult(
        name: contenders[index].name, nanoseconds: samples[index],
        allocations: Allocations.measure(contenders[index], operations: operations[index]))
    }
    return CaseResult(benchmark: self, rows: rows)
  }

  /// Warms a contender up, and finds how many operations fill a sample.
  ///
  /// The warm-up is long enough to touch every page of a session's memory several times.
  private func calibrate(_ contender: Contender, _ plan: Plan) -> Int {
    let warmUp = 20_000_000
    var operations = 1
    while true {
      let start = Machine.nanoseconds()
      contender.run(operations)
      let time = Machine.nanoseconds() - start
      if time >= warmUp / 2 { return max(1, operations * plan.sample / time) }
      operations *= 2
    }
  }
}

/// What one operation allocates, on average.
struct Allocations {
  let count: Double
  let bytes: Double

  /// Nil without jemalloc.
  static func measure(_ contender: Contender, operations: Int) -> Allocations? {
    guard jemalloc_is_linked() else { return nil }
    let operations = max(1, operations / 4)
    let countBefore = jemalloc_allocation_count()
    let bytesBefore = jemalloc_thread_allocated()
    contender.run(operations)
    let bytes = jemalloc_thread_allocated() - bytesBefore
    let count = jemalloc_allocation_count() - countBefore
    return Allocations(
      count: Double(count) / Double(operations), bytes: Double(bytes) / Double(operations))
  }
}

/// A figure to reach.
enum Target {
  /// Time over the limit's time, at most.
  case timesLimit(Double)
  /// Nanoseconds per operation, at most.
  case nanoseconds(Double)
  /// The named contender's time over this one's, at least.
  case timesFaster(than: String, Double)
}
