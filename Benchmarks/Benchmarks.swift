import ArgumentParser

@main
struct Benchmarks: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures the ring and sessions against the hardware's limit and the alternatives.",
    discussion: """
      Contenders of one case run in turn, round by round; ratios are taken within a round, because \
      machines drift. 'x limit' is time over the time of bare memcpy doing the same copies: 1.00 is \
      as fast as the hardware allows, lower is better.
      """)

  @Option(help: "Run only the cases whose path (group/case/size) matches this regular expression.")
  var filter: String?

  @Flag(help: "Fewer and shorter rounds: the whole run within a minute.")
  var quick = false

  @Flag(help: "List the cases, and run none.")
  var list = false

  func run() throws {
    try ReleaseBuild.rerunIfDebug()
    let matches = try matcher()
    let cases = (appendCases() + readCases() + sessionCases()).filter { matches($0.path) }
    if list {
      for benchmark in cases { print(benchmark.path) }
      return
    }
    guard !cases.isEmpty else {
      throw ValidationError("no case matches '\(filter ?? "")'; --list names them all")
    }
    print(Machine.description)
    let plan = quick ? Plan.quick : Plan.full
    var report = Report(plan: plan)
    for benchmark in cases { report.add(benchmark.run(plan)) }
    report.finish()
  }

  private func matcher() throws -> (String) -> Bool {
    guard let filter else { return { _ in true } }
    do {
      let pattern = try Regex(filter)
      return { $0.contains(pattern) }
    } catch {
      throw ValidationError("--filter '\(filter)' is not a regular expression: \(error)")
    }
  }
}
