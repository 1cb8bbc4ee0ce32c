/// Payloads for one contender to append; every contender of a case gets the same.
@safe
package final class Payload {
  /// The size of a payload, in bytes; the mean where they are jittered.
  package let size: Int
  private let source: UnsafeMutableRawBufferPointer
  /// Sizes in the order in which they are used, over and over; a power of two of them.
  private let sizes: [Int]
  /// How many were used.
  private var used = 0

  /// Payloads of a size, or of sizes that differ from it by up to `jitter` either way.
  ///
  /// Jittered, they are like a stream of pieces of one size that a few small ones have put out of
  /// step: payload n ends up to `jitter` bytes behind n times `size`, and so do copies of them,
  /// whose distance from their source is then, modulo the page size, small and positive: the case
  /// in which `rep movsb`, and with it glibc's `memcpy`, is slow on some processors.
  package init(size: Int, jitter: Int = 0) {
    self.size = size
    unsafe source = .allocate(byteCount: size + jitter, alignment: 4_096)
    for index in 0..<(size + jitter) {
      unsafe source[index] = UInt8(truncatingIfNeeded: index &* 7)
    }
    // SplitMix64 with a fixed seed: every run and every contender gets the same sizes.
    var state: UInt64 = 20_261_122
    var ends = (0..<1_024).map { _ in
      state &+= 0x9e37_79b9_7f4a_7c15
      var word = state
      word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
      word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
      word ^= word >> 31
      return Int(word % UInt64(jitter + 1))
    }
    ends[0] = 0
    sizes = ends.indices.map { size + ends[($0 + 1) % ends.count] - ends[$0] }
  }

  deinit { unsafe source.deallocate() }

  /// Calls a closure with one payload after the other.
  @inline(__always)
  package func forEach(_ count: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    let start = unsafe UnsafeRawPointer(source.baseAddress!)
    let first = used
    unsafe sizes.withUnsafeBufferPointer { sizes in
      for index in first..<(first + count) {
        unsafe body(UnsafeRawBufferPointer(start: start, count: sizes[index & 1_023]))
      }
    }
    used += count
  }
}
