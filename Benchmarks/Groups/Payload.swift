/// Payloads to append: the same for every contender of a case.
@safe
struct Payload {
  private let source: UnsafeMutableRawBufferPointer
  /// Sizes in the order in which they are used, a power of two of them.
  private let sizes: [Int]

  /// - Parameter jitter: By how much sizes differ from `size`, at most, either way.
  init(size: Int, jitter: Int = 0) {
    unsafe source = .allocate(byteCount: size + jitter, alignment: 4_096)
    for index in 0..<(size + jitter) {
      unsafe source[index] = UInt8(truncatingIfNeeded: index &* 7)
    }
    // SplitMix64 with a fixed seed: every run and every contender gets the same sizes.
    var state: UInt64 = 20_261_122
    sizes = (0..<1_024).map { _ in
      state &+= 0x9e37_79b9_7f4a_7c15
      var word = state
      word = (word ^ (word >> 30)) &* 0xbf58_476d_1ce4_e5b9
      word = (word ^ (word >> 27)) &* 0x94d0_49bb_1331_11eb
      word ^= word >> 31
      return size + (jitter == 0 ? 0 : Int(word % UInt64(2 * jitter + 1)) - jitter)
    }
  }

  /// Calls a closure with one payload after the other. The memory is never freed: cases are few.
  @inline(__always)
  func forEach(_ count: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
    let start = unsafe UnsafeRawPointer(source.baseAddress!)
    unsafe sizes.withUnsafeBufferPointer { sizes in
      for index in 0..<count {
        unsafe body(UnsafeRawBufferPointer(start: start, count: sizes[index & 1_023]))
      }
    }
  }
}
