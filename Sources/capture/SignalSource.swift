#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost

/// Receives the signals that are sent to capture, and passes them to a thread one after the other.
///
/// A handler only writes the signal's number to a pipe, from which the thread reads.
enum SignalSource {
  /// Starts to receive signals.
  ///
  /// An ignored signal stays ignored: a program that starts capture with a signal ignored, such as
  /// nohup(1), does not want the signal to have an effect.
  ///
  /// - Parameter onSignal: Called with a signal's number, and whether the system, for example a
  ///   terminal, sent it rather than a process.
  /// - Throws: An error if the system has no thread or no descriptors for it; then no signal is
  ///   received.
  static func start(
    _ signals: [Int32], onSignal: @escaping @Sendable (_ number: Int32, _ fromSystem: Bool) -> Void
  ) throws(SystemError) {
    var ends: [2 of Int32] = [-1, -1]
    var span = ends.mutableSpan
    let result = unsafe span.withUnsafeMutableBufferPointer { unsafe pipe($0.baseAddress!) }
    guard result == 0 else { throw .last }
    for index in 0..<2 { _ = fcntl(ends[index], F_SETFD, FD_CLOEXEC) }
    // A handler must not block.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    unsafe signalPipe = ends[1]
    let numbers = ends[0]
    try startThread {
      var byte: UInt8 = 0
      while true {
        // 0 is the first call of the handler, which no signal has made.
        guard unsafe read(numbers, &byte, 1) == 1, byte != 0 else { continue }
        onSignal(Int32(byte & ~systemBit), byte & systemBit != 0)
      }
    }
    // The first call of Swift code may allocate, or wait for a lock that the interrupted thread
    // holds: a signal must not make it.
    var info = unsafe siginfo_t()
    unsafe handler(0, &info, nil)
    for signal in signals where !isIgnored(signal) || signal == SIGCHLD { handle(signal) }
  }

  /// Gives `SIGQUIT` its default effect until capture handles it: the handler of Swift's runtime
  /// would report a crash and let capture go on.
  static func defaultQuit() { if !isIgnored(SIGQUIT) { _ = signal(SIGQUIT, SIG_DFL) } }

  /// Stops capture as its parent expects after `SIGTSTP`; returns when it has been continued.
  ///
  /// Returns at once if nothing could continue capture: the system does not stop the member of an
  /// orphaned group. Call it on a thread that blocks the signal.
  static func stopSelf() {
    _ = signal(SIGTSTP, SIG_DFL)
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, SIGTSTP)
    raise(SIGTSTP)
    // The pending signal takes effect before the call returns.
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
    handle(SIGTSTP)
  }

  /// Ends capture by a signal, so that its parent learns by which: a shell's loop stops when one of
  /// its commands was ended by `SIGINT`.
  static func end(by number: Int32) -> Never {
    leaveNoCore()
    _ = signal(number, SIG_DFL)
    var set = sigset_t()
    unsafe sigemptyset(&set)
    unsafe sigaddset(&set, number)
    unsafe pthread_sigmask(SIG_UNBLOCK, &set, nil)
    raise(number)
    // Signals that the first process of a container sends to itself do not end it.
    _exit(128 + number)
  }

  /// Prevents a core dump of capture itself: the command's is the one to examine.
  private static func leaveNoCore() {
    #if canImport(Darwin)
      var limit = rlimit(rlim_cur: 0, rlim_max: 0)
      unsafe setrlimit(RLIMIT_CORE, &limit)
    #else
      // Linux pipes a core to a program that core_pattern names even if the limit is 0, but not if
      // it is 1. Both limits are too small for a file.
      var limit = rlimit(rlim_cur: 1, rlim_max: 1)
      #if canImport(Glibc)
        unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &limit)
      #else
        unsafe setrlimit(RLIMIT_CORE, &limit)
      #endif
    #endif
  }

  /// Writes a signal's number to the pipe. Nothing in it may allocate or lock, and therefore no
  /// generic code that is not specialized.
  private static let handler:
    @convention(c) (Int32, UnsafeMutablePointer<siginfo_t>?, UnsafeMutableRawPointer?) -> Void = {
      number, info, _ in
      let previous = errno
      var byte = UInt8(truncatingIfNeeded: number)
      // Signals from processes have codes of 0 and below.
      if let info = unsafe info, unsafe info.pointee.si_code > 0 { byte |= systemBit }
      unsafe write(signalPipe, &byte, 1)
      errno = previous
    }

  private static func handle(_ number: Int32) {
    var action = sigaction()
    #if canImport(Darwin)
      unsafe action.__sigaction_u.__sa_sigaction = unsafe handler
    #elseif canImport(Glibc)
      unsafe action.__sigaction_handler.sa_sigaction = unsafe handler
    #elseif canImport(Musl)
      unsafe action.__sa_handler.sa_sigaction = unsafe handler
    #endif
    action.sa_flags = Int32(SA_RESTART) | Int32(SA_SIGINFO)
    unsafe sigaction(number, &action, nil)
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    unsafe sigaction(number, nil, &action)
    #if canImport(Darwin)
      let handler = unsafe action.__sigaction_u.__sa_handler
    #elseif canImport(Glibc)
      let handler = unsafe action.__sigaction_handler.sa_handler
    #elseif canImport(Musl)
      let handler = unsafe action.__sa_handler.sa_handler
    #endif
    return unsafe unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }
}

/// The bit that marks the number of a signal that no process has sent. Numbers are at most 64.
private let systemBit: UInt8 = 0x80

/// The pipe to which the handler writes. Set once, before a handler is installed.
nonisolated(unsafe) private var signalPipe: Int32 = -1
