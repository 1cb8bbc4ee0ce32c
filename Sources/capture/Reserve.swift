#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import CEvents
import Dispatch
import ProcessHost

/// Checks that the system has the threads and descriptors that capture will need.
///
/// If the system has no thread for the runtime's pool, the pool waits forever without a message. If
/// it has no descriptors for the pool's timers, the runtime ends the program. If the number of
/// processes, the address space or the number of open files is limited, capture reports that
/// instead.
enum Reserve {
  /// The threads for the pool and its timers, for the launch and the event loop, for stdin and
  /// `--output`.
  private static let threads = 8
  /// The descriptors for these threads, for the command's pipes and for signals.
  private static let descriptors = 24

  /// Allocates as much as capture will need, and releases it.
  ///
  /// - Throws: An error if the system does not have that much.
  static func check() throws(SystemError) {
    saveAddressSpace()
    try checkDescriptors()
    try checkThreads()
  }

  private static func checkDescriptors() throws(SystemError) {
    var numbers: [Int32] = []
    defer { for number in numbers { close(number) } }
    for _ in 0..<descriptors {
      let number = fcntl(0, F_DUPFD_CLOEXEC, 3)
      // EINVAL means that the limit is 3 or less.
      guard number >= 0 else { throw errno == EINVAL ? SystemError(code: EMFILE) : .last }
      numbers.append(number)
    }
  }

  private static func checkThreads() throws(SystemError) {
    let (end, ended) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
    var started = 0
    defer {
      for _ in 0..<started { end.signal() }
      for _ in 0..<started { ended.wait() }
    }
    for _ in 0..<threads {
      try startThread {
        end.wait()
        ended.signal()
      }
      started += 1
    }
  }

  /// Lets all threads allocate from one heap if the address space is limited. By default glibc
  /// reserves 64 MiB of it for each thread, and the next thread may find no space left.
  private static func saveAddressSpace() {
    #if canImport(Glibc)
      var limit = rlimit()
      let hasLimit =
        unsafe getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit) == 0
        && limit.rlim_cur != rlim_t.max
      if hasLimit { _ = mallopt(M_ARENA_MAX, 1) }
    #endif
  }
}
