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
/// They are blocked everywhere and taken by one thread with `sigwait(3)`, so no handler interrupts
/// anything, and one that comes before the command runs is kept for it.
final class SignalForwarder: Sendable {
  private struct State {
    var process: HostedProcess?
    var pending: [ProcessSignal] = []
  }

  private let state = Mutex(State())

  /// Starts to take signals. To be called before there are other threads: they inherit the mask.
  @MainActor
  static func start() -> SignalForwarder {
    let forwarder = SignalForwarder()
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] where !isIgnored(number) {
      unsafe sigaddset(&signals, number)
    }
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    let waited = signals
    Thread.start {
      while true {
        var waited = waited
        var number: Int32 = 0
        if unsafe sigwait(&waited, &number) == 0 {
          forwarder.received(ProcessSignal(rawValue: number))
        }
      }
    }
    return forwarder
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
    for signal in pending { try? process.signal(signal) }
  }

  private func received(_ signal: ProcessSignal) {
    let process = state.withLock { state in
      if state.process == nil { state.pending.append(signal) }
      return state.process
    }
    // If the command has ended, capture is about to.
    try? process?.signal(signal)
  }
}

/// A thread that lives as long as the program.
private enum Thread {
  final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  static func start(_ body: @escaping @Sendable () -> Void) {
    let context = unsafe Unmanaged.passRetained(Body(body)).toOpaque()
    #if canImport(Darwin)
      var thread: pthread_t?
    #else
      var thread = pthread_t()
    #endif
    let result = unsafe pthread_create(
      &thread, nil,
      { @Sendable context in
        let context: UnsafeMutableRawPointer? = unsafe context
        unsafe Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context)
    precondition(result == 0, "cannot start a thread (error \(result))")
  }
}
