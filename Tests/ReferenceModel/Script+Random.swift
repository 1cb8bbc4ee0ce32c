import Processes

extension Geometry {
  /// A ring of any geometry.
  package static func ring(
    capacity: Int, chunkLimit: Int = .max, reservationLimit: Int, headCapacity: Int = 0,
    timestamps: Bool = false
  ) -> Geometry {
    Geometry(
      kind: .ring, capacity: capacity, chunkLimit: min(chunkLimit, capacity),
      reservationLimit: reservationLimit, headCapacity: headCapacity, timestamps: timestamps)
  }

  /// A session; all but its capacity is the library's choice.
  package static func session(
    capacity: Int, kind: Kind = .session, headCapacity: Int = 0, timestamps: Bool = false
  ) -> Geometry {
    Geometry(
      kind: kind, capacity: capacity,
      chunkLimit: min(capacity, Session.maxBufferedChunks),
      reservationLimit: min(max(capacity, 4_096), 65_536), headCapacity: headCapacity,
      timestamps: timestamps)
  }

  fileprivate static func randomRing(_ random: inout some Choices) -> Geometry {
    .ring(
      capacity: random.within(1...40), chunkLimit: random.pick([1, 2, 3, 5, 8, 40]),
      reservationLimit: random.pick([1, 2, 3, 7, 16, 64]),
      headCapacity: random.pick([0, 0, 0, 1, 5, 30, 200]), timestamps: random.oneIn(3))
  }

  var layout: RingLayout {
    RingLayout(
      capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit,
      headCapacity: headCapacity, timestamps: timestamps)
  }
}

extension Script {
  /// The script that a seed stands for.
  package static func random(seed: UInt64) -> Script {
    var random = SplitMix64(seed: seed)
    return Script(&random)
  }

  /// The script of lines and patterns that a seed stands for.
  package static func randomLines(seed: UInt64) -> Script {
    var random = SplitMix64(seed: seed)
    return .randomLines(count: random.within(1...150), &random)
  }

  /// The script that a fuzzer's bytes stand for; short ones make short scripts.
  package init(bytes: some Collection<UInt8>) {
    var choices = ByteChoices(bytes)
    self.init(&choices)
  }

  private init(_ random: inout some Choices) {
    switch random.below(20) {
    case 0..<9:
      let geometry = Geometry.randomRing(&random)
      self = .random(in: geometry, count: random.within(1...150), &random)
    case 9..<14:
      self = .randomInterleaving(count: random.within(1...40), &random)
    case 14..<17:
      let geometry = Geometry.session(
        capacity: random.pick([1, 2, 7, 64, 1_000, 5_000, 70_000]),
        kind: random.pick([.session, .producer]), headCapacity: random.pick([0, 0, 3, 500, 9_000]),
        timestamps: random.oneIn(3))
      self = .random(in: geometry, count: random.within(1...100), &random)
    case 17:
      self = .randomJSON(count: random.within(0...20), &random)
    case 18:
      self = .randomLines(count: random.within(1...150), &random)
    default:
      self = .randomManager(count: random.within(1...150), &random)
    }
  }

  /// A script of any length for one geometry.
  package static func random(
    in geometry: Geometry, count: Int, _ random: inout some Choices
  ) -> Script {
    .output(geometry, steps(count, &random) { .random(in: geometry, &$0) })
  }

  /// A script of any length for a manager.
  package static func randomManager(count: Int, _ random: inout some Choices) -> Script {
    let idleTimeout = Int64(random.pick([-1, 0, 1, 50, 50_000_000]))
    return .manager(
      idleTimeout: idleTimeout,
      steps(count, &random) { .random(idleTimeout: idleTimeout, &$0) })
  }

  /// A script of any length in which a ring's producer goes on between the steps of its readers.
  package static func randomInterleaving(count: Int, _ random: inout some Choices) -> Script {
    let geometry = Geometry.randomRing(&random)
    return .interleaved(
      geometry, pieceSize: random.pick([1, 2, 3, 5, 8, 32_768]),
      steps(count, &random) { .random(in: geometry, &$0) })
  }

  /// Chunks whose JSON form is checked.
  package static func randomJSON(count: Int, _ random: inout some Choices) -> Script {
    .json(
      steps(count, &random) { random in
        // The encoder works in pieces of 48 KiB.
        Operation.append(
          Length(.nothing, random.oneIn(4) ? random.below(100_000) : random.below(256)),
          isError: random.oneIn(2))
      },
      exitCode: random.oneIn(2) ? random.pick([0, 1, 255, .min, .max]) : nil)
  }

  /// A script of any length for readers of lines and patterns.
  package static func randomLines(count: Int, _ random: inout some Choices) -> Script {
    .lines(.random(&random), steps(count, &random) { .random(&$0) })
  }

  /// So many steps, but none for bytes that are not there.
  private static func steps<Source: Choices, Step>(
    _ count: Int, _ random: inout Source, _ step: (inout Source) -> Step
  ) -> [Step] {
    var steps: [Step] = []
    while steps.count < count, !random.isEmpty { steps.append(step(&random)) }
    return steps
  }
}

extension Operation {
  fileprivate static func random(in geometry: Geometry, _ random: inout some Choices) -> Operation {
    switch random.below(100) {
    case 0..<40:
      .append(.random(in: geometry, &random), isError: random.oneIn(2))
    case 40..<45:
      .appendGroup(Length.randomGroup(in: geometry, &random), isError: random.oneIn(2))
    case 45..<60:
      .reserve(
        .random(in: geometry, &random), isError: random.oneIn(2),
        filling: random.pick([
          .all, .all, .less(1), .less(random.within(1...geometry.reservationLimit)), .nothing,
          .failure,
        ]))
    case 60..<66:
      .read(.random(&random), maxBytes: .randomLimit(in: geometry, &random))
    case 66..<68:
      .readFromForeignCursor(.random(&random), maxBytes: .randomLimit(in: geometry, &random))
    case 68..<73:
      .wait(
        random.oneIn(2) ? Place(.newest, random.within(0...1)) : .random(&random),
        random.pick(Knowledge.allCases))
    case 73..<80:
      .readFromCursor(
        .random(&random),
        offsetError: random.pick([0, 0, 0, 0, -1, 1, -1_000, 1_000_000_000, .min, .max]),
        maxBytes: .randomLimit(in: geometry, &random))
    case 80..<97:
      .resume(
        reader: random.below(3), byCursor: random.oneIn(2), keeping: random.oneIn(3),
        maxBytes: .randomLimit(in: geometry, &random))
    case 97..<99:
      .setExit(random.pick([0, 1, -1, 255, .min, .max]), closing: random.oneIn(2))
    default:
      .close
    }
  }
}

extension InterleavedOperation {
  fileprivate static func random(
    in geometry: Geometry, _ random: inout some Choices
  ) -> InterleavedOperation {
    switch random.below(8) {
    case 0..<3:
      return .write(.random(in: geometry, &random))
    case 3..<6:
      let maxBytes = Int.randomLimit(in: geometry, &random)
      return .resume(maxBytes: maxBytes, Burst.randomBursts(in: geometry, &random))
    default:
      let place = Place.random(&random)
      let byCursor = random.oneIn(2)
      let maxBytes = Int.randomLimit(in: geometry, &random)
      return .read(
        place, byCursor: byCursor, maxBytes: maxBytes, Burst.randomBursts(in: geometry, &random))
    }
  }
}

extension Burst {
  fileprivate static func randomBursts(
    in geometry: Geometry, _ random: inout some Choices
  ) -> [Burst] {
    (0..<random.below(4)).map { _ in
      Burst(
        step: random.below(32), isRepeated: random.oneIn(3),
        writes: (0..<random.pick([1, 1, 2, 3, 6, 20])).map { _ in
          .random(in: geometry, &random)
        })
    }
  }
}

extension Write {
  fileprivate static func random(in geometry: Geometry, _ random: inout some Choices) -> Write {
    switch random.below(8) {
    case 0:
      .reserve(
        .random(in: geometry, &random),
        random.pick([.all, .less(1), .less(5), .nothing, .failure]))
    case 1: .append(.random(in: geometry, &random))
    case 3 where random.oneIn(2): .appendGroup(Length.randomGroup(in: geometry, &random))
    case 2 where random.oneIn(4):
      .setExit(random.pick([0, 1, 255, .min]), closing: random.oneIn(2))
    default: .append(Length(.nothing, random.within(1...3)))
    }
  }
}

extension Length {
  fileprivate static func random(in geometry: Geometry, _ random: inout some Choices) -> Length {
    switch random.below(10) {
    // Mostly small, or rings would never hold more than a chunk.
    case 0..<6: Length(.nothing, random.within(0...max(1, min(geometry.capacity / 4, 2_000))))
    case 6: Length(.nothing, random.within(0...geometry.capacity))
    default: Length(random.pick(Base.allCases), random.within(-1...1))
    }
  }
}

extension Length {
  /// The chunks of a group: some few, or more than a group can have.
  fileprivate static func randomGroup(
    in geometry: Geometry, _ random: inout some Choices
  ) -> [Length] {
    if random.oneIn(16) {
      let length = Length(.nothing, random.within(1...2))
      return Array(repeating: length, count: random.within(1...1_200))
    }
    return (0..<random.within(0...6)).map { _ in .random(in: geometry, &random) }
  }
}

extension Place {
  fileprivate static func random(_ random: inout some Choices) -> Place {
    switch random.below(8) {
    case 0: Place(.zero, random.pick([.min, -1, 0, 1, .max]))
    case 1: Place(.newest, random.pick([.min, .max, -10, 10]))
    default: Place(random.pick(Base.allCases), random.within(-2...2))
    }
  }
}

extension Int {
  fileprivate static func randomLimit(in geometry: Geometry, _ random: inout some Choices) -> Int? {
    switch random.below(6) {
    case 0: random.pick([.min, -1, 0, 1, .max])
    case 1: random.within(0...geometry.capacity)
    case 2: geometry.capacity + random.within(-1...1)
    default: nil
    }
  }
}

extension ManagerOperation {
  fileprivate static func random(
    idleTimeout: Int64, _ random: inout some Choices
  ) -> ManagerOperation {
    let id = random.below(6)
    return switch random.below(13) {
    case 0, 1: .register(id: id)
    case 2: .registerAgain(id: id)
    case 3: .forget(id: id)
    case 4: .lookUp(id: id)
    case 5: .append(id: id, bytes: random.below(3))
    case 6: .abandonReservation(id: id)
    case 7: .setExit(id: id)
    case 8: random.oneIn(2) ? .close(id: id) : .read(id: id)
    case 9: .wait(id: id)
    case 10, 11: .advance(nanoseconds: max(0, idleTimeout / 2 + Int64(random.within(-1...1))))
    default: .sweep
    }
  }
}
