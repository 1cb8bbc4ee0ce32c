import ReferenceModel
import Testing

/// The library beside the model, step by step, exact in everything.
@Suite struct ModelTests {
  private func expectNoDifference(
    _ script: Script, _ comment: @autoclosure () -> String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    guard script.run() != nil else { return }
    let shortest = script.shrunk()
    Issue.record(
      "\(shortest.run().map { "\($0)" } ?? "flaky")\n\(comment())\n\(shortest)",
      sourceLocation: sourceLocation)
  }

  /// Every tiny capacity, with several of both other limits.
  @Test("Tiny rings agree with the model on random scripts", arguments: 1...40)
  func tinyRings(capacity: Int) {
    var random = SplitMix64(seed: UInt64(capacity))
    for chunkLimit in [1, 2, 3, 7, capacity] {
      for reservationLimit in [1, 2, 5, capacity, 3 * capacity] {
        let geometry = Geometry.ring(
          capacity: capacity, chunkLimit: chunkLimit, reservationLimit: reservationLimit)
        let script = Script.random(in: geometry, count: 60, &random)
        expectNoDifference(script, "capacity \(capacity)")
      }
    }
  }

  /// Every sequence of three sizes, from each distance to the wrap, read from every seq.
  @Test("Tiny rings agree with the model on all sequences of three sizes", arguments: 1...6)
  func allShortSequences(capacity: Int) {
    let sizes = Array(0...(2 * capacity + 2))
    for reservationLimit in 1...3 {
      let geometry = Geometry.ring(capacity: capacity, reservationLimit: reservationLimit)
      for first in sizes {
        for second in sizes {
          for third in stride(from: 0, through: 2 * capacity + 2, by: 1 + capacity / 3) {
            let appends = [first, second, third].enumerated().map { index, size in
              index == 1
                ? Operation.reserve(Length(.nothing, size), isError: true, filling: .less(1))
                : .append(Length(.nothing, size), isError: false)
            }
            let reads = (0...3).map { Operation.read(Place(.zero, $0), maxBytes: capacity) }
            expectNoDifference(.output(geometry, appends + reads), "\(first) \(second) \(third)")
          }
        }
      }
    }
  }

  @Test("Small sessions agree with the model on random scripts", arguments: [1, 2, 10, 100, 5_000])
  func smallSessions(capacity: Int) {
    var random = SplitMix64(seed: UInt64(capacity))
    for _ in 0..<10 {
      for kind in [Geometry.Kind.session, .producer] {
        let geometry = Geometry.session(capacity: capacity, kind: kind)
        let script = Script.random(in: geometry, count: 300, &random)
        expectNoDifference(script, "\(kind) of capacity \(capacity)")
      }
    }
  }

  /// Long scripts on sessions as they are by default, with payload to match.
  @Test("Sessions of the default capacity agree with the model on long scripts", arguments: 0..<4)
  func longScriptsAtTheDefaultCapacity(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    let script = Script.random(in: .session(capacity: 1 << 20), count: 1_500, &random)
    expectNoDifference(script, "seed \(seed)")
  }

  /// So many chunks that descriptors go round, on a session of the default capacity.
  @Test("A session agrees with the model while its descriptors wrap around")
  func chunkLimitOfASession() {
    var interpreter = OutputInterpreter(.session(capacity: 1 << 20))
    var operations: [Operation] = []
    for index in 0..<140_000 {
      operations.append(.append(Length(.nothing, 1 + index % 3), isError: index % 7 == 0))
      if index % 10_000 == 9_999 {
        operations += [
          .read(Place(.zero), maxBytes: nil), .read(Place(.oldest, -1), maxBytes: 5_000),
          .read(Place(.oldest, -2), maxBytes: 0), .read(Place(.oldestSlot), maxBytes: nil),
          .read(Place(.oldestSlot, -1), maxBytes: nil),
          .resume(reader: 0, byCursor: true, keeping: true, maxBytes: 70_000),
        ]
      }
    }
    for operation in operations {
      if let difference = interpreter.run(operation) {
        Issue.record("\(operation): \(difference)")
        return
      }
    }
  }

  @Test("The JSON form of captured output agrees with the model", arguments: 0..<20)
  func captureAsJSON(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    expectNoDifference(.randomJSON(count: 20, &random), "seed \(seed)")
  }

  /// Whatever a fuzzer comes up with is a script, and a short one if it is short.
  @Test("Any bytes of a fuzzer are a script of at most their length")
  func bytesAreScripts() {
    #expect(Script(bytes: []).count == 0)
    var random = SplitMix64(seed: 7)
    for length in 0..<300 {
      let bytes = (0..<length).map { _ in UInt8(random.below(256)) }
      let script = Script(bytes: bytes)
      #expect(script.count <= length)
      #expect(script == Script(bytes: bytes))
      expectNoDifference(script, "\(bytes)")
    }
  }

  @Test("Session managers agree with the model on random scripts", arguments: 0..<20)
  func managers(seed: Int) {
    var random = SplitMix64(seed: UInt64(seed))
    for _ in 0..<20 {
      expectNoDifference(.randomManager(count: 150, &random), "seed \(seed)")
    }
  }
}

/// The tools that these tests rely on.
@Suite struct ModelToolTests {
  @Test("A seed gives the same numbers and the same script on every platform")
  func seedsMeanTheSameEverywhere() {
    var random = SplitMix64(seed: 1_234_567)
    // Reference values of the published algorithm.
    #expect(
      (0..<3).map { _ in random.next() } == [
        6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
      ])
    #expect(Script.random(seed: 5) == Script.random(seed: 5))
    #expect(Script.random(seed: 5) != Script.random(seed: 6))
  }

  @Test("The shrinker keeps only the steps that a failure needs")
  func shrinkerKeepsWhatMatters() {
    let steps = Array(0..<100)
    let shortest = shrink(steps) { candidate in
      guard let last = candidate.firstIndex(of: 71), candidate.contains(13) else { return nil }
      return Difference(step: last, operation: "", details: "")
    }
    #expect(shortest == [13, 71])
  }

  @Test("Stamped bytes match at their own offset alone")
  func stampsTellOffsetsApart() {
    let bytes = Stamp.bytes(200_000, at: 5)
    unsafe bytes.withUnsafeBytes { bytes in
      #expect(unsafe Stamp.matches(bytes, at: 5))
      for other in [4, 6, 5 + 65_536, 5 + 1_048_576, 5 + 1_114_112] {
        #expect(unsafe !Stamp.matches(bytes, at: other))
      }
    }
    var torn = bytes
    torn[199_999] ^= 1
    #expect(unsafe torn.withUnsafeBytes { unsafe !Stamp.matches($0, at: 5) })
  }
}
