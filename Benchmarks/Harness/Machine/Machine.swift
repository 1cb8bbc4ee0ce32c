import CBenchmarkShims
import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// What the figures were measured on.
package enum Machine {
  private static let isPinned = Atomic<Bool>(false)

  /// Keeps this thread on one processor, so that a round is not split between two; where the system
  /// cannot, it goes unpinned.
  package static func pin(to processor: Int) {
    isPinned.store(benchmark_pin(Int32(processor)) == 0, ordering: .relaxed)
  }

  /// Whether the last attempt to pin a thread succeeded.
  static var pinning: String {
    isPinned.load(ordering: .relaxed) ? "pinned to one processor" : "not pinned"
  }

  /// Nanoseconds of the monotonic clock.
  @inline(__always)
  package static func nanoseconds() -> Int {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return time.tv_sec &* 1_000_000_000 &+ time.tv_nsec
  }
}
