import ArgumentParser
import BenchmarkHarness
import CJemalloc
import CRingShims
import Foundation
import OutputRing

@main
struct Benchmarks: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measures the ring and sessions against the hardware's limit and the alternatives.",
    discussion: """
      Contenders of one case run in turn, round by round; ratios are taken within a round, because \
      machines drift. 'x limit' is time over the time of what must be done in any case, such as bare \
      memcpy doing the same copies: 1.00 is as fast as that, lower is better.
      """)

  @Option(
    help: """
      Run only the cases whose path (group/case/size) matches this regular expression; a number at \
      the end of a match is a whole number: append/plain/16 does not select append/plain/16384.
      """)
  var filter: String?

  @Flag(help: "Fewer and shorter rounds: the whole run within a minute.")
  var quick = false

  @Flag(help: "List the cases, and run none.")
  var list = false

  @Option(help: ArgumentHelp("Write the results as JSON.", valueName: "file"))
  var json: String?

  @Flag(
    help: """
      Write the results as JSON into Benchmarks/Results, under the name of this processor. Only whole \
      runs are recorded.
      """)
  var record = false

  @Flag(
    help: """
      Run nothing; write what Benchmarks/Results says into README.md and docs, between markers such \
      as <!-- generated: append --> and <!-- end -->, and the plots into docs/plots.
      """)
  var document = false

  @Flag(help: "Run nothing; fail if --document would change a file.")
  var verify = false

  @Option(
    help: ArgumentHelp(
      "Write a page with plots, index.html, and each plot as a file.", valueName: "dir"))
  var report: String?

  @Flag(
    help: """
      Compare ratios with Benchmarks/Thresholds.json; what exceeds its threshold is measured twice \
      more, and fails if it does so every time.
      """)
  var check = false

  @Option(
    help: ArgumentHelp(
      "Copy in another form than the fastest: \(Self.forms.map(\.name).joined(separator: ", ")).",
      valueName: "form"))
  var copy: String?

  /// The forms of the ring's copy that this machine has.
  private static let forms = RingCopyMethod.all.filter(\.isAvailable)

  func validate() throws {
    if record, filter != nil || quick || json != nil || copy != nil {
      throw ValidationError(
        "--record stands for a whole run: without --filter, --quick, --json and --copy")
    }
  }

  func run() throws {
    ChildWriter.runIfChild()
    let all =
      appendCases() + readCases() + togetherCases() + sessionCases() + waitCases() + lineCases()
      + timestampCases() + headCases() + recordCases() + captureCases() + processCases()
      + launchCases()
    if document || verify { return try document(all) }
    try ReleaseBuild.rerunIfDebug()
    if let copy {
      guard let form = Self.forms.first(where: { $0.name == copy }) else {
        let names = Self.forms.map(\.name).joined(separator: ", ")
        throw ValidationError("--copy '\(copy)' is no form that this machine has: \(names)")
      }
      RingCopyMethod.force(form)
    }
    let matches = try filter.map(CaseFilter.init)?.matches ?? { _ in true }
    let cases = all.filter { matches($0.path) }
    if list {
      for benchmark in cases { print(benchmark.path) }
      return
    }
    guard !cases.isEmpty else {
      throw ValidationError("no case matches '\(filter ?? "")'; --list names them all")
    }
    // Whatever could fail does so before the run, not after it.
    let path = try record ? Documents.recordFile(in: packageRoot()) : json
    let file = try path.map(OutputFile.init(path:))
    let folder = try report.map(ReportFolder.init(path:))
    let thresholds =
      check
      ? try Check(
        Threshold.load(packageRoot() + "/Benchmarks/Thresholds.json"), paths: all.map(\.path),
        where: matches) : nil

    let run = Run(plan: quick ? .quick : .full, counter: counter)
    let facts = Machine.facts(allocator: allocator) + [copyForm] + run.facts + command
    for fact in facts { print("\(fact.label):".padded(13) + fact.value) }
    print("")
    let results = run.measure(cases)
    let recorded = Record(name: Processor.current.id, facts: facts, results: results)
    try file?.write(recorded.json)
    if let folder {
      let figures = Figures(recorded, retainedChunks: Self.retainedChunks)
      try Page(record: recorded, figures: figures).write(to: folder)
      print("report: \(folder.path)/index.html")
    }
    guard let thresholds else { return }
    let (compared, failures) = thresholds.run(results, measureAgain: run.measureAgain)
    for failure in failures { print("FAILED: \(failure)") }
    print("check: \(compared - failures.count) of \(compared) within their thresholds")
    if !failures.isEmpty { throw ExitCode.failure }
  }

  private var copyForm: Fact {
    var text = RingCopyMethod.current.name
    if copy != nil { text += ", by --copy" }
    #if arch(x86_64)
      if RingCopyMethod.AVX2.isAvailable {
        let ratio = formatSignificant(ring_copy_rep_probe())
        text += "; the probe found rep movsb at \(ratio) × the time of AVX2"
      }
    #endif
    return Fact("copy", text)
  }

  private var command: [Fact] {
    let arguments = CommandLine.arguments.dropFirst().map { argument in
      argument.contains { !$0.isLetter && !$0.isNumber && !"-_./=:".contains($0) }
        ? "'\(argument)'" : argument
    }
    let line = (["swift run Benchmarks"] + arguments).joined(separator: " ")
    return [Fact("command", line), Fact("date", Date.now.formatted(.iso8601))]
  }

  private var allocator: String {
    jemalloc_is_linked()
      ? "jemalloc"
      : "the system's; to count allocations: apt-get install libjemalloc-dev, rm -r .build"
  }

  private var counter: AllocationCounter? {
    guard jemalloc_is_linked() else { return nil }
    return AllocationCounter(
      count: { jemalloc_allocation_count() }, bytes: { jemalloc_thread_allocated() })
  }
}
