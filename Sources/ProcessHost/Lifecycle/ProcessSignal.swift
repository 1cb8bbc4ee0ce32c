#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A signal that can be sent to a process.
public struct ProcessSignal: RawRepresentable, Sendable, Hashable {
  /// The platform's number for it.
  public let rawValue: Int32

  /// The signal with a number, as in `<signal.h>`.
  public init(rawValue: Int32) { self.rawValue = rawValue }

  /// `SIGHUP`: the terminal is gone.
  public static let hangUp = ProcessSignal(rawValue: SIGHUP)
  /// `SIGINT`: what Ctrl-C sends.
  public static let interrupt = ProcessSignal(rawValue: SIGINT)
  /// `SIGQUIT`: what Ctrl-\ sends.
  public static let quit = ProcessSignal(rawValue: SIGQUIT)
  /// `SIGKILL`: cannot be caught or ignored.
  public static let kill = ProcessSignal(rawValue: SIGKILL)
  /// `SIGPIPE`: nobody reads the output any more.
  public static let brokenPipe = ProcessSignal(rawValue: SIGPIPE)
  /// `SIGTERM`: please end.
  public static let terminate = ProcessSignal(rawValue: SIGTERM)
  /// `SIGSTOP`: pauses, and cannot be caught or ignored.
  public static let stop = ProcessSignal(rawValue: SIGSTOP)
  /// `SIGCONT`: continues what was paused.
  public static let resume = ProcessSignal(rawValue: SIGCONT)
}

extension ProcessSignal {
  /// Whether the system knows it. 0 is no signal: to send it only tells whether there is a process.
  var isSignal: Bool { 1...64 ~= rawValue }

  /// Whether it ends a process that does nothing about it, but not one that is stopped.
  var endsByDefault: Bool {
    switch rawValue {
    case SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD, SIGURG, SIGWINCH: false
    default: true
    }
  }
}

/// Why a signal could not be sent.
public enum SignalError: Error, Sendable, Hashable {
  /// The process has ended, and its output and its group too: nobody is left, and its number may
  /// soon be someone else's. Or someone else has reaped it, see ``ProcessExit/unknown``.
  case processEnded
  /// None of the processes that are left may be sent signals by this program: they have changed
  /// their user.
  case notPermitted
  /// The system refused, with this value of `errno`: `EINVAL` for a number that is no signal.
  case refused(code: Int32)
}

extension SignalError: CustomStringConvertible {
  /// What was wrong.
  public var description: String {
    switch self {
    case .processEnded: "the process has ended; there is nobody to signal"
    case .notPermitted:
      "cannot signal the process: it has changed its user, and this program may not end it"
    case .refused(let code): "cannot signal the process: \(systemMessage(code))"
    }
  }
}
