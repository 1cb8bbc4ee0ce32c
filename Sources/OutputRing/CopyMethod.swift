package import CRingShims
import Synchronization

/// The form of the racing copy that the rings of this process use; CopyMethod.h has all forms.
extension RingCopyMethod {
  /// The form that is the fastest on this processor.
  ///
  /// Detection takes up to a millisecond, so it happens once per process, for its first ring.
  package static let detected = ring_copy_method_detect()

  /// The form that tests and benchmarks prescribe instead; -1 for none.
  private static let forced = Atomic<Int64>(-1)

  /// The form that rings made from now on use.
  package static var current: RingCopyMethod {
    let forced = forced.load(ordering: .relaxed)
    return forced < 0 ? detected : RingCopyMethod(rawValue: UInt32(forced))!
  }

  /// Makes rings use a given form from now on, instead of the detected one.
  ///
  /// - Precondition: this machine has it; see ``isAvailable``.
  package static func force(_ method: RingCopyMethod) {
    precondition(method.isAvailable, "this processor cannot copy by \(method.name)")
    forced.store(Int64(method.rawValue), ordering: .relaxed)
  }

  /// Every form, whether this machine has it or not.
  package static let all: [RingCopyMethod] = [
    .base, .AVX2, .AVX512, .avx2Rep, .avx512Rep, .atomicWords,
  ]

  /// Whether this machine has it.
  package var isAvailable: Bool { ring_copy_method_is_available(self) }

  /// Its name in command lines and reports.
  package var name: String {
    switch self {
    case .base: "base"
    case .AVX2: "avx2"
    case .AVX512: "avx512"
    case .avx2Rep: "avx2+rep"
    case .avx512Rep: "avx512+rep"
    case .atomicWords: "words"
    }
  }
}
