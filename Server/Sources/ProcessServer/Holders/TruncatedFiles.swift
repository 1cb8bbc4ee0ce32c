import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Lets this program survive that a file is cut short while it is mapped for reading.
///
/// Reading a page that is gone raises `SIGBUS`. Then a page of zeros takes its place, which a
/// reader of a ring reports as damage. Wayland's library does the same for its clients' buffers.
enum TruncatedFiles {
  private static let isInstalled = Atomic(false)

  /// Survives it from now on. Other causes of `SIGBUS` have the effect that they had before.
  static func survive() {
    guard !isInstalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
    unsafe pageSize = sysconf(Int32(_SC_PAGESIZE))
    // The first call of Swift code may allocate, or wait for a lock that the interrupted thread
    // holds: a signal must not make it.
    var info = unsafe siginfo_t()
    unsafe handler(0, &info, nil)
    var action = sigaction()
    #if canImport(Darwin)
      unsafe action.__sigaction_u.__sa_sigaction = unsafe handler
    #elseif canImport(Glibc)
      unsafe action.__sigaction_handler.sa_sigaction = unsafe handler
    #elseif canImport(Musl)
      unsafe action.__sa_handler.sa_sigaction = unsafe handler
    #endif
    action.sa_flags = Int32(SA_SIGINFO)
    unsafe sigaction(SIGBUS, &action, &earlierAction)
  }

  /// Nothing in it may allocate or lock.
  private static let handler:
    @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
      number, info, _ in
      guard number == SIGBUS, let info = unsafe info else { return }
      let code = errno
      // BUS_ADRERR: there is nothing at the address.
      if unsafe info.pointee.si_code == 2 {
        #if canImport(Darwin)
          let address = unsafe UInt(bitPattern: info.pointee.si_addr)
        #elseif canImport(Glibc)
          let address = unsafe UInt(bitPattern: info.pointee._sifields._sigfault.si_addr)
        #elseif canImport(Musl)
          let address = unsafe UInt(bitPattern: info.pointee.__si_fields.__sigfault.si_addr)
        #endif
        let page = unsafe UnsafeMutableRawPointer(
          bitPattern: address & ~(UInt(bitPattern: pageSize) - 1))
        let result = unsafe mmap(
          page, pageSize, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0)
        if unsafe result == page {
          errno = code
          return
        }
      }
      // The instruction is repeated, with the effect that it had before.
      unsafe sigaction(number, &earlierAction, nil)
      // There is none if a process has sent the signal.
      if unsafe info.pointee.si_code <= 0 { raise(number) }
    }
}

/// Set before the handler is installed.
nonisolated(unsafe) private var pageSize = 0
nonisolated(unsafe) private var earlierAction = sigaction()
