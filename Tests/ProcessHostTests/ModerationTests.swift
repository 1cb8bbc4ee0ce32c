import Testing

@testable import ProcessHost

/// When the reader of a pipe rests between two turns.
@Suite struct ModerationTests {
  private let start = ContinuousClock.Instant.now
  private static let capacity = 65_536

  /// What is decided about turns that follow each other at an interval.
  private func decisions(
    _ moderation: inout Moderation, _ count: Int, of capacity: Int = capacity,
    every interval: Duration, turns: Int = Moderation.sample
  ) -> [Bool] {
    (1...turns).map { turn in
      moderation.rests(after: count, of: capacity, at: start + interval * turn)
    }
  }

  private func resting() -> Moderation {
    var moderation = Moderation(at: start)
    #expect(decisions(&moderation, 80, every: .microseconds(1)).last == true)
    return moderation
  }

  @Test("The reader rests after a whole sample of frequent short turns")
  func smallWrites() {
    var moderation = Moderation(at: start)
    let decisions = decisions(&moderation, 80, every: .microseconds(5))
    #expect(decisions == Array(repeating: false, count: Moderation.sample - 1) + [true])
  }

  @Test("The reader never rests for a child that writes a line now and then")
  func quietChild() {
    var moderation = Moderation(at: start)
    let decisions = decisions(&moderation, 80, every: Moderation.pause, turns: 1_000)
    #expect(!decisions.contains(true))
  }

  @Test("The reader does not rest when a few lines follow a silence")
  func burst() {
    var moderation = Moderation(at: start - .seconds(1))
    #expect(!decisions(&moderation, 80, every: .microseconds(1)).contains(true))
  }

  @Test(
    "The reader never rests after turns of half a page or more",
    arguments: [2_048, 4_096, 65_536])
  func largeWrites(count: Int) {
    var moderation = Moderation(at: start)
    let decisions = decisions(
      &moderation, count, of: 1 << 30, every: .nanoseconds(10), turns: 1_000)
    #expect(!decisions.contains(true))
  }

  @Test("The reader does not begin a rest that would fill more than half of the pipe")
  func fastWrites() {
    // 1,000 bytes a microsecond: 70,000 in a pause.
    var narrow = Moderation(at: start)
    #expect(
      !decisions(&narrow, 1_000, of: 131_072, every: .microseconds(1), turns: 80).contains(true))
    var wide = Moderation(at: start)
    #expect(decisions(&wide, 1_000, of: 262_144, every: .microseconds(1)).last == true)
  }

  @Test("The reader keeps resting while more gathers and half of the pipe stays free")
  func goingOn() {
    var moderation = resting()
    for count in [160, 32_767, 8_000] {
      let rests = moderation.rests(after: count, of: Self.capacity, at: start)
      #expect(rests)
    }
  }

  @Test(
    "The reader stops resting, and takes a new sample, when too little or half a pipe came",
    arguments: [0, 80, 159, 32_768, 65_536])
  func ending(count: Int) {
    var moderation = resting()
    let rests = moderation.rests(after: count, of: Self.capacity, at: start)
    #expect(!rests)
    let decisions = decisions(&moderation, 80, every: .microseconds(1))
    #expect(decisions == Array(repeating: false, count: Moderation.sample - 1) + [true])
  }

  @Test("The reader rests after one turn in nine for a child that answers questions in turn")
  func questionsAndAnswers() {
    var moderation = Moderation(at: start)
    let decisions = decisions(&moderation, 6, every: .microseconds(30), turns: 900)
    #expect(decisions.count { $0 } == 100)
  }

  @Test("The reader stops resting after a turn that did not empty the pipe")
  func leftMuch() {
    var moderation = resting()
    for turn in 0...Moderation.sample {
      let now = start + .microseconds(turn)
      let rests = moderation.rests(
        after: turn == 0 ? 4_096 : 80, of: Self.capacity, isEmptied: false, at: now)
      #expect(!rests)
    }
  }
}
