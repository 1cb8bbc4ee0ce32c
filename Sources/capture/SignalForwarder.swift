#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost
import Synchronization

/// Passes the signals that ask capture to end on to the command, which then ends it.
///
/// A handler does next to nothing: it hands the number through a pipe to a thread. One that comes
/// before the command runs is kept for it. One that comes after the command has ended, while others
/// still hold its output open, is passed on as well, but nobody needs to heed it: what a shell runs in
/// the background ignores SIGINT. It also ends the wait for them. One that comes when there is nothing
/// more to wait for ends capture at once: it may be writing where nobody reads.
final class SignalForwarder: Sendable {
  private struct State {
    var process: HostedProcess?
    var pending: [ProcessSignal] = []
    var isWaitOver = false
    var onWaitOver: (@Sendable () -> Void)?
  }

  private let state = Mutex(State())

  /// Starts to take signals.
  static func start() -> SignalForwarder {
    let forwarder = SignalForwarder()
    var ends: [2 of Int32] = [-1, -1]
    var span = ends.mutableSpan
    let result = unsafe span.withUnsafeMutableBufferPointer { unsafe pipe($0.baseAddress!) }
    precondition(result == 0, "cannot open a pipe (errno \(errno))")
    for index in 0..<2 { _ = fcntl(ends[index], F_SETFD, FD_CLOEXEC) }
    // A handler must not wait.
    _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
    unsafe signalPipe = ends[1]
    let numbers = ends[0]
    do throws(SystemError) {
      try startThread {
        var number: UInt8 = 0
        while true {
          if unsafe read(numbers, &number, 1) == 1 {
            forwarder.received(ProcessSignal(rawValue: Int32(number)))
          }
        }
      }
    } catch {
      preconditionFailure("cannot start a thread (\(error))")
    }
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] where !isIgnored(number) {
      handle(number)
    }
    return forwarder
  }

  private static func handle(_ number: Int32) {
    var action = sigaction()
    let handler: @convention(c) (Int32) -> Void = { number in
      let previous = errno
      var number = UInt8(truncatingIfNeeded: number)
      unsafe write(signalPipe, &number, 1)
      errno = previous
    }
    #if canImport(Darwin)
      unsafe action.__sigaction_u.__sa_handler = handler
    #elseif canImport(Glibc)
      unsafe action.__sigaction_handler.sa_handler = handler
    #elseif canImport(Musl)
      unsafe action.__sa_handler.sa_handler = handler
    #endif
    action.sa_flags = Int32(SA_RESTART)
    unsafe sigaction(number, &action, nil)
  }

  /// Whoever started capture with a signal ignored, such as `nohup`, does not want it to have an effect.
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

  /// Passes signals on to a process: those that have come already, and all that will.
  func forward(to process: HostedProcess) {
    let pending = state.withLock { state in
      state.process = process
      return state.pending
    }
    for signal in pending { pass(signal, to: process) }
  }

  /// Whether a signal came after the command had ended.
  var isWaitOver: Bool { state.withLock { $0.isWaitOver } }

  /// Calls a closure when that happens, or now if it has.
  func onWaitOver(_ body: @escaping @Sendable () -> Void) {
    let isOver = state.withLock { state in
      state.onWaitOver = body
      return state.isWaitOver
    }
    if isOver { body() }
  }

  private func received(_ signal: ProcessSignal) {
    let process = state.withLock { state in
      if state.process == nil { state.pending.append(signal) }
      return state.process
    }
    if let process { pass(signal, to: process) }
  }

  private func pass(_ signal: ProcessSignal, to process: HostedProcess) {
    let (hadEnded, wasClosed) = (!process.isRunning, process.session.isClosed)
    // Everyone may have ended meanwhile; then there is nothing to wait for either.
    try? process.signal(signal)
    guard hadEnded else { return }
    let (wasOver, notify) = state.withLock { state in
      defer { state.isWaitOver = true }
      return (state.isWaitOver || wasClosed, state.onWaitOver)
    }
    if wasOver { _exit(128 + signal.rawValue) }
    notify?()
  }
}

/// Where the handler writes. Set once, before there is a handler.
nonisolated(unsafe) private var signalPipe: Int32 = -1
