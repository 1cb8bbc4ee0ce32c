import NIOCore

@testable import RESPClient

/// Decodes pieces as a connection does: each is appended to what is left of those before it.
struct Decoding {
  private var decoder: RESPDecoder
  private(set) var buffer = ByteBuffer()

  init(limits: RESPDecoder.Limits = RESPDecoder.Limits()) { decoder = RESPDecoder(limits: limits) }

  /// Appends a piece, and returns the values that are complete now.
  mutating func add(_ piece: some Sequence<UInt8>) throws -> [RESPValue] {
    var values: [RESPValue] = []
    try add(piece, to: &values)
    return values
  }

  /// Appends a piece, and to values those that are complete now, also if what follows is refused.
  mutating func add(_ piece: some Sequence<UInt8>, to values: inout [RESPValue]) throws {
    buffer.discardReadBytes()
    buffer.writeBytes(piece)
    while let value = try decoder.decode(buffer: &buffer) { values.append(value) }
  }

  /// Decodes all of a text.
  static func values(
    _ text: String, limits: RESPDecoder.Limits = RESPDecoder.Limits()
  ) throws -> [RESPValue] {
    var decoding = Decoding(limits: limits)
    return try decoding.add(text.utf8)
  }
}

/// SplitMix64: the same numbers for the same seed.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
    return mixed ^ mixed >> 31
  }
}
