import HolderProtocol
import ProcessHost
import Testing

@Suite("Messages", .timeLimit(.minutes(10)))
struct MessageTests {
  private static let sample: HolderMessage = {
    var message = HolderMessage(.write, number: 0xfedc_ba98)
    message.append(.data, [0, 1, 0xff])
    message.append(.data, [])
    message.append(.patience, Duration.milliseconds(1_500))
    message.append(.code, -1)
    message.append(.text, "häß\u{0}lich")
    message.append(.end, 1)
    return message
  }()

  @Test("A message is read as it was written")
  func roundTrip() throws {
    var bytes = Self.sample.encoded[...]
    let message = try #require(try HolderMessage.take(from: &bytes))
    #expect(bytes.isEmpty)
    #expect(message == Self.sample)
    #expect(message.kind == .write)
    #expect(message.number == 0xfedc_ba98)
    #expect(message[.data] == [0, 1, 0xff])
    #expect(message.all(.data) == [[0, 1, 0xff], []])
    #expect(message.time(.patience) == .milliseconds(1_500))
    #expect(message.number(.code) == -1)
    #expect(message.text(.text) == "häß\u{0}lich")
    #expect(message.flag(.end))
  }

  @Test("A field that is missing has no value")
  func missing() {
    let message = HolderMessage(.write)
    #expect(message[.data] == nil)
    #expect(message.all(.data) == [])
    #expect(message.number(.code) == nil)
    #expect(message.time(.patience) == nil)
    #expect(message.text(.text) == nil)
    #expect(!message.flag(.end))
  }

  @Test("A number needs eight bytes")
  func numbers() {
    var message = HolderMessage(.write)
    message.append(.code, [UInt8](repeating: 0, count: 7))
    message.append(.pid, [UInt8](repeating: 0, count: 9))
    #expect(message.number(.code) == nil)
    #expect(message.number(.pid) == nil)
  }

  @Test(
    "The greatest and the least numbers and times keep their values, or the nearest",
    arguments: [Int.min, -1, 0, 1, Int.max])
  func extremes(number: Int) {
    var message = HolderMessage(.write)
    message.append(.code, number)
    message.append(.grace, Duration.nanoseconds(number))
    message.append(.patience, Duration.seconds(number))
    #expect(message.number(.code) == number)
    #expect(message.time(.grace) == .nanoseconds(number))
    let nearest = min(max(Duration.seconds(number), .nanoseconds(Int.min)), .nanoseconds(Int.max))
    #expect(message.time(.patience) == nearest)
  }

  @Test("Several messages are taken one by one")
  func sequence() throws {
    let kinds: [HolderMessage.Kind] = [.hello, .watch, .touch]
    var bytes = kinds.flatMap { HolderMessage($0).encoded }[...]
    for kind in kinds { #expect(try HolderMessage.take(from: &bytes)?.kind == kind) }
    #expect(try HolderMessage.take(from: &bytes) == nil)
  }

  @Test("A message that is cut anywhere is not complete, and stays where it is")
  func truncated() throws {
    let whole = Self.sample.encoded
    for count in whole.indices {
      var bytes = whole.prefix(count)
      #expect(try HolderMessage.take(from: &bytes) == nil)
      #expect(bytes.count == count)
    }
  }

  @Test("A message whose contents are cut is malformed")
  func malformed() {
    let whole = Self.sample.encoded.dropFirst(4)
    let ends = boundaries(of: whole)
    for count in 0..<whole.count where !ends.contains(count) {
      #expect(HolderMessage(decoding: whole.prefix(count)) == nil)
    }
    for end in ends { #expect(HolderMessage(decoding: whole.prefix(end)) != nil) }
  }

  /// Returns the places where a message may end: after its number, and after each field.
  private func boundaries(of bytes: ArraySlice<UInt8>) -> [Int] {
    let bytes = Array(bytes)
    var ends = [5]
    while let last = ends.last, last < bytes.count {
      let length = bytes[(last + 1)..<(last + 5)].reduce(0) { $0 << 8 | Int($1) }
      ends.append(last + 5 + length)
    }
    return ends
  }

  @Test("A length that no message has is malformed", arguments: [0, 4, (16 << 20) + 1, 1 << 31])
  func lengths(count: Int) {
    var bytes = [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: count >> $0) }[...]
    #expect(throws: MalformedMessage.self) { try HolderMessage.take(from: &bytes) }
  }

  @Test("A kind that is not known is read, and has no name")
  func unknownKind() throws {
    var bytes: ArraySlice<UInt8> = [0, 0, 0, 5, 200, 0, 0, 0, 9]
    let message = try #require(try HolderMessage.take(from: &bytes))
    #expect(message.kind == nil)
    #expect(message.number == 9)
  }

  @Test("Random bytes are refused or read, and crash nothing")
  func random() {
    var generator = SplitMix(state: 7)
    for _ in 0..<20_000 {
      let count = Int.random(in: 0...64, using: &generator)
      var bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) }
      // So that many get past the length.
      if count >= 4 { bytes.replaceSubrange(0..<4, with: [0, 0, 0, UInt8(count - 4)]) }
      var rest = bytes[...]
      if let message = try? HolderMessage.take(from: &rest) { use(message) }
    }
  }

  @Test("Messages with changed bytes are refused or read, and crash nothing")
  func mutations() throws {
    let order = LaunchOrderTests.fullOrder.message
    var generator = SplitMix(state: 11)
    for message in [Self.sample, order] {
      for _ in 0..<5_000 {
        var bytes = message.encoded
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bytes[Int.random(in: 4..<bytes.count, using: &generator)] = .random(
            in: 0...255, using: &generator)
        }
        var rest = bytes[...]
        if let message = try? HolderMessage.take(from: &rest) { use(message) }
      }
    }
  }

  private func use(_ message: HolderMessage) {
    _ = LaunchOrder(message)
    _ = HolderFailure(message)
    _ = StdinQueue.Answer(message)
    _ = Refusal(message)
  }

  // MARK: Answers

  @Test(
    "What became of a write is read as it was written",
    arguments: [
      StdinQueue.Answer.written, .waiting(bytes: 7), .full(waiting: 0), .failed(.brokenPipe),
      .failed(.closed), .failed(.cancelled),
    ])
  func answers(answer: StdinQueue.Answer) {
    let message = answer.message(number: 3)
    #expect(message.kind == .written)
    #expect(message.number == 3)
    #expect(StdinQueue.Answer(message) == answer)
  }

  @Test(
    "A refusal is read as it was written",
    arguments: [Refusal.processEnded, .notPermitted, .refused, .noTerminal])
  func refusals(refusal: Refusal) {
    let message = refusal.message(number: 3, code: 22)
    #expect(message.kind == .refused)
    #expect(message.number == 3)
    #expect(message.number(.code) == 22)
    #expect(Refusal(message) == refusal)
  }

  @Test("An answer of another kind or with an unknown reason is none")
  func unknownAnswers() {
    var message = HolderMessage(.written)
    #expect(StdinQueue.Answer(message) == nil)
    message.append(.reason, "eaten")
    #expect(StdinQueue.Answer(message) == nil)
    #expect(StdinQueue.Answer(HolderMessage(.done)) == nil)
    #expect(Refusal(HolderMessage(.refused)) == nil)
    #expect(Refusal(Refusal.refused.message(number: 1)) == .refused)
    #expect(Refusal(HolderMessage(.done)) == nil)
  }
}

/// Random numbers that are the same in each run.
struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var word = state
    word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
    word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
    return word ^ (word >> 31)
  }
}
