/// How long and how often to measure.
package struct Plan: Sendable {
  /// Rounds that count; each runs every contender once.
  package var rounds: Int
  /// How long one contender runs within a round at most, in nanoseconds, about.
  package var sample: Int
  /// How long a contender is warmed up at most, in nanoseconds, about.
  package var warmUp = 20_000_000
  /// How long the case, or before it is split the whole run, may take, in nanoseconds.
  package var available: Int

  package static let full = Plan(rounds: 15, sample: 8_000_000, available: 540_000_000_000)
  package static let quick = Plan(rounds: 9, sample: 1_000_000, available: 50_000_000_000)

  package init(rounds: Int, sample: Int, available: Int = .max) {
    self.rounds = rounds
    self.sample = sample
    self.available = available
  }

  /// The plan for the next case: what is left of the time, in equal parts.
  ///
  /// A case that takes longer than its part makes the later ones shorter, one that needs less
  /// leaves them more.
  package func share(elapsed: Int, casesLeft: Int) -> Plan {
    var plan = self
    plan.available = max(0, available - elapsed) / max(1, casesLeft)
    return plan
  }

  /// The warm-up of one of several contenders: at most a third of the case's time goes into it.
  package func warmUp(contenders: Int) -> Int {
    min(warmUp, available / 3 / max(1, contenders))
  }

  /// A sample that lets all rounds end in the time that is left; never less than an eighth of the
  /// plan's, so that a run out of time still measures something, and says how long it took.
  package func sample(elapsed: Int, contenders: Int) -> Int {
    let share = max(0, available - elapsed) / max(1, rounds * contenders)
    return min(sample, max(sample / 8, share))
  }
}
