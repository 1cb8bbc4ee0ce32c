/// A small generator whose numbers depend on its seed alone, on every platform and toolchain.
///
/// The standard library may change how `Int.random(in:using:)` uses a generator, and a seed in a
/// bug report must still mean the same script next year; hence ``Choices``.
package struct SplitMix64: Choices, Sendable {
  private var state: UInt64

  package init(seed: UInt64) { state = seed }

  /// There is no end to them.
  package var isEmpty: Bool { false }

  package mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

  package mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    return Self.mix(state)
  }

  /// The function that makes the numbers, for callers that need the n-th without the ones before.
  package static func mix(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
    return mixed ^ (mixed >> 31)
  }
}
