import BenchmarkHarness
import Testing

/// How a run divides its time.
@Suite struct PlanTests {
  @Test("The remaining time is shared equally among the remaining cases")
  func whatIsLeftIsSharedInEqualParts() {
    let plan = Plan(rounds: 9, sample: 1_000, available: 1_000_000)
    #expect(plan.share(elapsed: 0, casesLeft: 10).available == 100_000)
    #expect(plan.share(elapsed: 600_000, casesLeft: 4).available == 100_000)
    #expect(plan.share(elapsed: 2_000_000, casesLeft: 4).available == 0)
  }

  @Test("Samples shrink to fit the remaining time, to an eighth at least")
  func samplesShrinkToFitAndNoFurtherThanAnEighth() {
    let plan = Plan(rounds: 10, sample: 800, available: 10_000)
    #expect(plan.sample(elapsed: 0, contenders: 1) == 800)
    #expect(plan.sample(elapsed: 6_000, contenders: 1) == 400)
    #expect(plan.sample(elapsed: 6_000, contenders: 2) == 200)
    #expect(plan.sample(elapsed: 20_000, contenders: 2) == 100)
  }

  @Test("Warm-ups take at most a third of the time")
  func warmUpsTakeAThirdOfTheTimeAtMost() {
    var plan = Plan(rounds: 10, sample: 800, available: 30_000)
    plan.warmUp = 4_000
    #expect(plan.warmUp(contenders: 2) == 4_000)
    #expect(plan.warmUp(contenders: 5) == 2_000)
  }

  @Test("The contenders run in turn in each round")
  func contendersRunInTurnRoundByRound() {
    final class Log { var names: [String] = [] }
    let log = Log()
    let plan = Plan(rounds: 3, sample: 1, available: 1)
    let result = Case("g", "n", size: 1) {
      ["a", "b"].map { name in Contender(name) { _ in log.names.append(name) } }
    }.run(plan)
    #expect(log.names.suffix(6) == ["a", "b", "a", "b", "a", "b"])
    #expect(result.rows.map(\.nanoseconds.count) == [3, 3])
  }

  @Test("Metrics are read after the last round")
  func metricsAreAskedForAfterTheLastRound() {
    final class Count { var operations = 0 }
    let count = Count()
    let result = Case("g", "n", size: 1) {
      [
        Contender("a", metrics: { [Metric("n", Double(count.operations), .count)] }) {
          count.operations += $0
        }
      ]
    }.run(Plan(rounds: 4, sample: 1, available: 1))
    #expect(result.rows[0].metrics == [Metric("n", Double(count.operations), .count)])
    #expect(count.operations >= 4)
  }
}
