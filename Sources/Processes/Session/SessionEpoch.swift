import Synchronization

/// Numbers that tell the cursors of one session from those of another.
///
/// No two sessions of a process have the same one, until it has made 2³² of them: the numbers are a
/// counter, mixed by a function that is reversible. Where the counter begins is random, so that a
/// cursor which a client kept from an earlier run of the program is taken for one of this run with
/// a probability of 2⁻³² only.
enum SessionEpoch {
  private static let counter = Atomic<UInt32>(UInt32.random(in: 0 ... .max))

  /// A number that no other session has; never 0, which stands for none.
  static func next() -> UInt32 {
    while true {
      let epoch = mix(counter.wrappingAdd(1, ordering: .relaxed).newValue)
      if epoch != 0 { return epoch }
    }
  }

  /// MurmurHash3's last step: every bit of the result depends on every bit given, and no two values
  /// have the same result.
  static func mix(_ value: UInt32) -> UInt32 {
    var word = value
    word = (word ^ word >> 16) &* 0x85eb_ca6b
    word = (word ^ word >> 13) &* 0xc2b2_ae35
    return word ^ word >> 16
  }
}
