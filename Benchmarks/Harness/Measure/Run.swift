/// Runs cases one after the other, within the time that the plan has.
package struct Run {
  let plan: Plan
  let counter: AllocationCounter?

  package init(plan: Plan, counter: AllocationCounter?) {
    self.plan = plan
    self.counter = counter
  }

  package var facts: [Fact] {
    let sample = formatTime(Double(plan.sample))
    return [Fact("rounds", "\(plan.rounds), of up to \(sample) per contender; medians")]
  }

  /// Prints results as they come.
  package func measure(_ cases: [Case]) -> [CaseResult] {
    let start = Machine.nanoseconds()
    let progress = Progress(total: cases.count)
    var table = Table()
    var results: [CaseResult] = []
    for (index, benchmark) in cases.enumerated() {
      progress.show(index + 1, benchmark.path)
      let share = plan.share(
        elapsed: Machine.nanoseconds() - start, casesLeft: cases.count - index)
      let result = benchmark.run(share, counting: counter)
      progress.clear()
      table.add(result)
      results.append(result)
    }
    table.finish()
    print("took \(formatTime(Double(Machine.nanoseconds() - start)))")
    flushOutput()
    return results
  }

  /// Runs a case once more, at leisure: samples as short as those of a quick run are shorter than
  /// what a scheduler gives to another process.
  package func measureAgain(_ benchmark: Case) -> CaseResult {
    writeError("Benchmarks: \(benchmark.path) exceeds a threshold; measuring it again\n")
    return benchmark.run(.full, counting: counter)
  }
}
