import BenchmarkHarness
import Testing

/// Thresholds that `--check` compares a run with.
@Suite struct ThresholdTests {
  private static let text = """
    [{"path": "g/n/1", "contender": "mine", "to": "limit", "max": 1.5, "max_allocations": 0}]
    """

  private func result(_ times: [Double], allocations: Double? = nil) -> CaseResult {
    CaseResult(
      benchmark: Case("g", "n", size: 1) { [] },
      rows: [
        ContenderResult(name: limitName, nanoseconds: times.map { _ in 10 }),
        ContenderResult(
          name: "mine", nanoseconds: times,
          allocations: allocations.map { Allocations(count: $0, bytes: 0) }),
      ])
  }

  private func failures(
    _ results: CaseResult..., again: [CaseResult] = [], text: String = Self.text
  ) throws -> (count: Int, failures: [String], repeats: Int) {
    let check = try Check(Threshold.parse(text), paths: ["g/n/1", "g/n/2"]) { _ in true }
    var repeats = 0
    let outcome = check.run(results) { _ in
      defer { repeats += 1 }
      return again.isEmpty ? results[0] : again[min(repeats, again.count - 1)]
    }
    return (outcome.compared, outcome.failures, repeats)
  }

  @Test("A case within its threshold passes without a repetition")
  func withinTheThresholdNothingFailsAndNothingIsRepeated() throws {
    let outcome = try failures(result([15, 15, 15], allocations: 0))
    #expect(outcome == (2, [], 0))
  }

  @Test("A case that is too slow every time fails with its row and both ratios")
  func whatIsTooSlowEveryTimeFailsNamingTheRowAndBothRatios() throws {
    let outcome = try failures(result([16, 16, 16]))
    #expect(outcome.repeats == Check.attempts - 1)
    #expect(outcome.failures == ["g/n/1 mine: 1.600 × limit, allowed 1.5"])
  }

  @Test("A threshold can be a share of the total time of several contenders")
  func sums() throws {
    let text = """
      [{"path": "g/n/1", "contender": "mine", "to": "limit + part", "max": 1.5}]
      """
    func failures(_ time: Double) throws -> [String] {
      let result = CaseResult(
        benchmark: Case("g", "n", size: 1) { [] },
        rows: [
          ContenderResult(name: limitName, nanoseconds: [10]),
          ContenderResult(name: "part", nanoseconds: [20]),
          ContenderResult(name: "mine", nanoseconds: [time]),
        ])
      return try self.failures(result, text: text).failures
    }
    #expect(try failures(45) == [])
    #expect(try failures(46) == ["g/n/1 mine: 1.533 × limit + part, allowed 1.5"])
    #expect(try self.failures(result([10]), text: text).failures.count == 1)
  }

  @Test("A threshold can bound what a contender takes beyond others")
  func differences() throws {
    let text = """
      [{"path": "g/n/1", "contender": "mine", "minus": "limit", "to": "part", "max": 0.5}]
      """
    func failures(_ time: Double) throws -> [String] {
      let result = CaseResult(
        benchmark: Case("g", "n", size: 1) { [] },
        rows: [
          ContenderResult(name: limitName, nanoseconds: [10]),
          ContenderResult(name: "part", nanoseconds: [20]),
          ContenderResult(name: "mine", nanoseconds: [time]),
        ])
      return try self.failures(result, text: text).failures
    }
    #expect(try failures(20) == [])
    #expect(try failures(21) == ["g/n/1 mine - limit: 0.550 × part, allowed 0.5"])
    let alone = #"[{"path": "g", "contender": "c", "minus": "limit", "max_allocations": 0}]"#
    #expect(throws: Failure.self) { try Threshold.parse(alone) }
  }

  @Test("A case that is too slow once and then fast enough passes")
  func whatIsTooSlowOnceDoesNotFail() throws {
    let outcome = try failures(result([99]), again: [result([14])])
    #expect(outcome == (1, [], 1))
  }

  @Test("Allocations are checked if they were counted")
  func allocationsAreCheckedIfTheyWereCounted() throws {
    let counted = try failures(result([10], allocations: 1))
    #expect(counted.failures == ["g/n/1 mine: 1.00 allocations per operation, allowed 0"])
    let uncounted = try failures(result([10]))
    #expect(uncounted.failures == [])
  }

  @Test("A threshold for a row that is not in the run fails")
  func rowsThatAreNotInTheRunFail() throws {
    let other = CaseResult(
      benchmark: Case("g", "n", size: 2) { [] },
      rows: [ContenderResult(name: "mine", nanoseconds: [1])])
    #expect(try failures(other).failures == ["g/n/1 mine: not in this run"])
    let misspelt = #"[{"path": "g/n/1", "contender": "mien", "to": "limit", "max": 1}]"#
    #expect(try failures(result([1]), text: misspelt).failures == ["g/n/1 mien: not in this run"])
    let reference = #"[{"path": "g/n/1", "contender": "mine", "to": "lim", "max": 1}]"#
    #expect(
      try failures(result([1]), text: reference).failures
        == ["g/n/1 mine: no times to divide by those of lim"])
  }

  @Test("A threshold for a case that does not exist is an error before the run")
  func casesThatDoNotExistAreAnErrorBeforeTheRun() throws {
    let thresholds = try Threshold.parse(Self.text)
    let error = #expect(throws: Failure.self) {
      try Check(thresholds, paths: ["g/n/2"]) { _ in true }
    }
    #expect(error?.message.contains("g/n/1 mine") == true)
  }

  @Test("Only selected cases are checked, and selecting none is an error")
  func onlySelectedCasesAreChecked() throws {
    let text = """
      [{"path": "g/n/1", "contender": "a", "max_allocations": 0},
       {"path": "g/n/2", "contender": "b", "max_allocations": 0}]
      """
    let thresholds = try Threshold.parse(text)
    let paths = ["g/n/1", "g/n/2"]
    #expect(try Check(thresholds, paths: paths) { $0 == "g/n/2" }.thresholds[0].contender == "b")
    #expect(throws: Failure.self) { try Check(thresholds, paths: paths) { _ in false } }
  }

  @Test(
    "A malformed threshold is an error",
    arguments: [
      #"[{"path": "p", "contender": "c", "max_alocations": 0}]"#,
      #"[{"path": "p", "contender": "c"}]"#,
      #"[{"path": "p", "contender": "c", "max": 1}]"#,
      #"[{"path": "p", "contender": "c", "to": "limit"}]"#,
      #"[{"path": "p", "to": "limit", "max": 1}]"#,
      #"{"path": "p"}"#,
    ])
  func thresholdsThatMeanNothingAreErrors(_ text: String) {
    #expect(throws: (any Error).self) { try Threshold.parse(text) }
  }
}
