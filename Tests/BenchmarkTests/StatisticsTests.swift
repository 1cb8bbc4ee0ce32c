import BenchmarkHarness
import Testing

/// What is computed from the times of the rounds.
@Suite struct StatisticsTests {
  @Test("The median is the middle value, or the mean of the two middle ones")
  func medianOfAnOddCountIsTheMiddleAndOfAnEvenOneLiesBetweenTwo() {
    #expect([9.0, 1, 5].median == 5)
    #expect([8.0, 2, 4, 6].median == 5)
    #expect([7.0].median == 7)
  }

  @Test("A quantile is interpolated between two values")
  func quantilesAreInterpolated() {
    let values = [40.0, 10, 30, 20, 50]
    #expect(values.quantile(0) == 10)
    #expect(values.quantile(0.25) == 20)
    #expect(values.quantile(0.375) == 25)
    #expect(values.quantile(1) == 50)
  }

  @Test("The spread is half the interquartile range relative to the median")
  func spreadIsHalfTheQuartileDistanceRelativeToTheMedian() {
    #expect([10.0, 20, 30, 40, 50].spread == (40.0 - 20) / 2 / 30)
    #expect([3.0, 3, 3].spread == 0)
  }

  @Test("A ratio is the median of the rounds' ratios")
  func ratiosAreTakenRoundByRound() {
    // A machine that halves its speed midway: the ratio of medians would be 2 / 4, or worse.
    let result = CaseResult(
      benchmark: Case("g", "n", size: 1) { [] },
      rows: [
        ContenderResult(name: "limit", nanoseconds: [1, 1, 4, 4, 4]),
        ContenderResult(name: "mine", nanoseconds: [2, 2, 8, 8, 2]),
      ])
    #expect(result.ratio(of: "mine", to: limitName) == 2)
    #expect(result.ratios(of: "mine", to: limitName) == [2, 2, 2, 2, 0.5])
    #expect(result.ratio(of: "mine", to: "other") == nil)
  }

  @Test("The least ratio ignores changes of speed and interruptions, and shows slower code")
  func theLeastRatioWithstandsAChangeOfSpeedAndAnInterruptionButNotSlowerCode() {
    func ratio(_ limit: [Double], _ mine: [Double]) -> Double? {
      CaseResult(
        benchmark: Case("g", "n", size: 1) { [] },
        rows: [
          ContenderResult(name: limitName, nanoseconds: limit),
          ContenderResult(name: "mine", nanoseconds: mine),
        ]
      ).leastRatio(of: "mine", to: [limitName])
    }
    #expect(ratio([1, 4, 4], [2, 8, 8]) == 2)
    #expect(ratio([1, 4, 4], [4, 8, 8]) == 2)
    #expect(ratio([2, 2, 2], [4, 90, 90]) == 2)
    #expect(ratio([2, 2, 2], [8, 90, 90]) == 4)
    #expect(ratio([2], []) == nil)
  }

  @Test("A time is compared with the sum of several times round by round")
  func sumsOfParts() {
    let result = CaseResult(
      benchmark: Case("g", "n", size: 1, targets: ["whole": .over(["a", "b"], nanoseconds: 1.5)]) {
        []
      },
      rows: [
        ContenderResult(name: "a", nanoseconds: [1, 1, 10]),
        ContenderResult(name: "b", nanoseconds: [2, 2, 20]),
        ContenderResult(name: "whole", nanoseconds: [6, 4, 30]),
        ContenderResult(name: "none"),
      ])
    #expect(result.ratios(of: "whole", to: ["a", "b"]) == [2, 4.0 / 3, 1])
    #expect(result.leastRatio(of: "whole", to: ["a", "b"]) == 4.0 / 3)
    #expect(result.excess(of: "whole", over: ["a", "b"]) == 1)
    #expect(result.verdicts(on: "whole").map(\.isMet) == [true])
    #expect(result.excess(of: "whole", over: ["a", "missing"]) == nil)
    #expect(result.leastRatio(of: "whole", to: ["a", "none"]) == nil)
  }

  @Test("A row without times has neither a median nor a ratio")
  func rowsWithoutTimesHaveNoMedianNorRatio() {
    let result = CaseResult(
      benchmark: Case("g", "n", size: 1, bytes: 5) { [] },
      rows: [ContenderResult(name: "a"), ContenderResult(name: limitName, nanoseconds: [1])])
    #expect(result.rows[0].median == nil)
    #expect(result.rows[0].spread == nil)
    #expect(result.ratio(of: "a", to: limitName) == nil)
    #expect(result.bytesPerSecond(result.rows[0]) == nil)
    #expect(result.bytesPerSecond(result.rows[1]) == 5e9)
  }

  @Test("A target is met by times up to its bound and missed beyond it")
  func verdictsCompareInTheRightDirection() {
    func result(_ target: Target) -> CaseResult {
      CaseResult(
        benchmark: Case("g", "n", size: 1, targets: ["mine": target]) { [] },
        rows: [
          ContenderResult(name: limitName, nanoseconds: [10]),
          ContenderResult(name: "mine", nanoseconds: [15]),
          ContenderResult(name: "slow", nanoseconds: [45]),
        ])
    }
    func isMet(_ target: Target) -> [Bool] { result(target).verdicts(on: "mine").map(\.isMet) }
    #expect(isMet(.timesLimit(1.5)) == [true])
    #expect(isMet(.timesLimit(1.4)) == [false])
    #expect(isMet(.nanoseconds(15)) == [true])
    #expect(isMet(.nanoseconds(14)) == [false])
    #expect(isMet(.timesFaster(than: "slow", 3)) == [true])
    #expect(isMet(.timesFaster(than: "slow", 3.1)) == [false])
    #expect(isMet(.both(.timesLimit(1.5), .nanoseconds(14))) == [true, false])
    #expect(result(.nanoseconds(1)).verdicts(on: "slow") == [])
  }

  @Test("A contender loses to the fastest alternative if three of four rounds agree")
  func losses() {
    let result = CaseResult(
      benchmark: Case("g", "n", size: 1) { [] },
      rows: [
        ContenderResult(name: limitName, nanoseconds: [1, 1, 1, 1]),
        ContenderResult(name: "mine", nanoseconds: [10, 10, 10, 10]),
        ContenderResult(name: "deque", nanoseconds: [5, 5, 5, 5]),
        ContenderResult(name: "original", nanoseconds: [8, 8, 8, 8]),
        ContenderResult(name: "quick", nanoseconds: [4, 6, 4, 6]),
      ])
    #expect(result.loss(of: "mine")?.alternative == "deque")
    #expect(result.loss(of: "mine")?.ratio == 2)
    #expect(result.loss(of: "quick") == nil)
    #expect(result.loss(of: "original") == nil)
    #expect(result.loss(of: limitName) == nil)
  }

  @Test("One round has a median and no spread")
  func oneRound() {
    let row = ContenderResult(name: "a", nanoseconds: [7])
    #expect(row.median == 7)
    #expect(row.spread == nil)
  }
}
