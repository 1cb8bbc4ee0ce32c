/// How a process ended.
public enum ProcessExit: Sendable, Hashable {
  /// It returned or called `exit`, with this code, from 0 to 255.
  case exited(Int32)
  /// A signal ended it.
  case signaled(Int32)
  /// The process has ended, but another part of this program reaped it and alone knows how. This
  /// happens if the program waits for any child, or ignores `SIGCHLD`, perhaps since it was
  /// started.
  case unknown

  /// The code that a shell would report: the exit code, or 128 plus the signal's number; 255 if
  /// neither is known.
  public var code: Int32 {
    switch self {
    case .exited(let code): code
    case .signaled(let signal): 128 + signal
    case .unknown: 255
    }
  }

  /// Whether it is `.exited(0)`.
  public var isSuccess: Bool { self == .exited(0) }
}

extension ProcessExit: CustomStringConvertible {
  /// In words, such as “exited with 1” or “ended by signal 9”.
  public var description: String {
    switch self {
    case .exited(let code): "exited with \(code)"
    case .signaled(let signal): "ended by signal \(signal)"
    case .unknown: "ended, nobody knows how: someone else reaped it"
    }
  }
}
