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
  /// `SIGPIPE`: no process reads the output any more.
  public static let brokenPipe = ProcessSignal(rawValue: SIGPIPE)
  /// `SIGTERM`: asks the process to end.
  public static let terminate = ProcessSignal(rawValue: SIGTERM)
  /// `SIGSTOP`: pauses, and cannot be caught or ignored.
  public static let stop = ProcessSignal(rawValue: SIGSTOP)
  /// `SIGCONT`: continues what was paused.
  public static let resume = ProcessSignal(rawValue: SIGCONT)
}

extension ProcessSignal {
  /// Whether the number is a signal. 0 is not: sending it only checks whether the process exists.
  var isSignal: Bool { 1...64 ~= rawValue }

  /// Whether the signal terminates a running process that neither handles nor ignores it. A stopped
  /// process may not end before it is continued.
  var endsByDefault: Bool {
    switch rawValue {
    case SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT, SIGCHLD, SIGURG, SIGWINCH: false
    default: true
    }
  }
}

/// Why a signal could not be sent.
public enum SignalError: Error, Sendable, Hashable {
  /// The process, its output and its group have ended, so no process can get the signal, and the
  /// system may reuse the PID. Or another part of this program has reaped the process, see
  /// ``ProcessExit/unknown``.
  case processEnded
  /// This program may not send signals to any of the remaining processes: they have changed their
  /// user.
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
