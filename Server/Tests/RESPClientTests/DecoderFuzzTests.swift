import Foundation
import NIOCore
import Testing

@testable import RESPClient

/// Random input: for about a second, or for `RESP_FUZZ_SECONDS` with another seed each time.
@Suite struct DecoderFuzzTests {
  private let duration: Duration
  private let seed: UInt64

  init() {
    let seconds = ProcessInfo.processInfo.environment["RESP_FUZZ_SECONDS"].flatMap { Int($0) }
    duration = .seconds(seconds ?? 1)
    seed = seconds == nil ? 1 : .random(in: 0 ... .max)
  }

  /// Runs rounds until the time is up; the comment of a failure has the seed of its round.
  private func run(_ round: (UInt64, inout SeededGenerator) throws -> Void) rethrows {
    let end = ContinuousClock.now + duration
    var seed = seed
    repeat {
      seed &+= 1
      var generator = SeededGenerator(seed: seed)
      try round(seed, &generator)
    } while .now < end
  }

  /// Decodes bytes in random pieces, until they end or are refused.
  private func decode(
    _ bytes: [UInt8], _ generator: inout SeededGenerator
  ) -> (values: [RESPValue], refusal: RESPError?) {
    var limits = RESPDecoder.Limits()
    limits.elements = 100_000
    var decoding = Decoding(limits: limits)
    var values: [RESPValue] = []
    var rest = bytes[...]
    let largest = [1, 3, 20, 1000].randomElement(using: &generator) ?? 1
    while !rest.isEmpty {
      let piece = rest.prefix(Int.random(in: 1...largest, using: &generator))
      rest = rest.dropFirst(piece.count)
      do {
        try decoding.add(piece, to: &values)
      } catch {
        return (values, error as? RESPError)
      }
    }
    return (values, nil)
  }

  @Test("Random values are decoded as they were encoded, wherever they are cut")
  func structured() {
    run { seed, generator in
      let values = (0..<Int.random(in: 1...5, using: &generator)).map { _ in
        Self.value(depth: 0, &generator)
      }
      let (decoded, refusal) = decode(values.flatMap(\.encoded), &generator)
      #expect(refusal == nil, "seed \(seed)")
      #expect(decoded == values, "seed \(seed)")
    }
  }

  @Test("Random bytes give the same values and the same refusal however they are cut")
  func bytes() {
    let alphabet = Array("+-:$*_#,(!=%~>\r\n\r\n\r\n0123459-tfinae. :".utf8)
    run { seed, generator in
      let bytes = (0..<Int.random(in: 1...300, using: &generator)).map { _ in
        Int.random(in: 0..<50, using: &generator) == 0
          ? UInt8.random(in: 0...255, using: &generator)
          : alphabet.randomElement(using: &generator) ?? 0
      }
      check(bytes, seed, &generator)
    }
  }

  @Test("Values with a few changed bytes give the same result however they are cut")
  func changed() {
    run { seed, generator in
      var bytes = Self.value(depth: 0, &generator).encoded
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        let place = Int.random(in: bytes.indices, using: &generator)
        switch Int.random(in: 0..<3, using: &generator) {
        case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1 where bytes.count > 1: bytes.remove(at: place)
        default: bytes.insert(UInt8.random(in: 0x24...0x3e, using: &generator), at: place)
        }
      }
      check(bytes, seed, &generator)
    }
  }

  private func check(_ bytes: [UInt8], _ seed: UInt64, _ generator: inout SeededGenerator) {
    let first = decode(bytes, &generator)
    let second = decode(bytes, &generator)
    // As text, because a double that is no number is not equal to itself.
    #expect("\(first.values.map(\.encoded))" == "\(second.values.map(\.encoded))", "seed \(seed)")
    #expect(first.refusal == second.refusal, "seed \(seed)")
  }

  private static func value(depth: Int, _ generator: inout SeededGenerator) -> RESPValue {
    func elements(_ generator: inout SeededGenerator) -> [RESPValue] {
      let count = Int.random(in: 0...4, using: &generator)
      return (0..<count).map { _ in value(depth: depth + 1, &generator) }
    }
    func text(_ generator: inout SeededGenerator) -> String {
      let letters = Array("abc é🙂$*:-0 ")
      let count = Int.random(in: 0...20, using: &generator)
      return String((0..<count).map { _ in letters.randomElement(using: &generator) ?? "a" })
    }
    func bytes(_ generator: inout SeededGenerator) -> ByteBuffer {
      let largest = [3, 30, 3000].randomElement(using: &generator) ?? 0
      let count = Int.random(in: 0...largest, using: &generator)
      return ByteBuffer(
        bytes: (0..<count).map { _ in UInt8.random(in: 0...255, using: &generator) })
    }
    switch Int.random(in: 0..<(depth < 5 ? 16 : 9), using: &generator) {
    case 0: return .simpleString(text(&generator))
    case 1: return .error(text(&generator))
    case 2: return .integer(Int.random(in: .min ... .max, using: &generator))
    case 3: return .null
    case 4: return .double(Double.random(in: -1e9...1e9, using: &generator))
    case 5: return .boolean(Bool.random(using: &generator))
    case 6: return .bigNumber("-\(UInt64.random(in: 0 ... .max, using: &generator))0123456789")
    case 7: return .verbatim(format: "txt", bytes(&generator))
    case 8, 9, 10: return .bulk(bytes(&generator))
    case 11: return .set(elements(&generator))
    case 12: return .push(elements(&generator))
    case 13:
      return .map(elements(&generator).map { .init($0, value(depth: depth + 1, &generator)) })
    default: return .array(elements(&generator))
    }
  }
}
