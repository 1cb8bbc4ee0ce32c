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

/// Makes sure that the system has the threads and descriptors that capture will need.
///
/// The runtime's pool of threads waits, without an end and without a word, until the system has one
/// for it, and ends the program without descriptors for its timers. Where the number of processes,
/// the address space or the number of open files is limited, capture says so instead.
enum Reserve {
  /// The threads for the pool and its timers, for the launch and the pump, for stdin and
  /// `--output`.
  private static let threads = 8
  /// The descriptors for the same, for the command's pipes and for signals.
  private static let descriptors = 24

  /// Takes as much as will be needed, and gives it back.
  ///
  /// - Throws: If the system does not have so much.
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
      // EINVAL is for a limit of 3 and less.
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

  /// Lets all threads allocate from one heap where the address space is limited. By default glibc
  /// reserves 64 MiB of it for each thread, which nothing is left for when the next thread is to
  /// start.
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
