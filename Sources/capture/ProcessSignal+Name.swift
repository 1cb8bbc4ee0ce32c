import ArgumentParser
#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost

extension ProcessSignal {
  /// The names of the signals, without `SIG`.
  private static let names: KeyValuePairs<String, Int32> = [
    "HUP": SIGHUP, "INT": SIGINT, "QUIT": SIGQUIT, "ILL": SIGILL, "TRAP": SIGTRAP,
    "ABRT": SIGABRT, "BUS": SIGBUS, "FPE": SIGFPE, "KILL": SIGKILL, "USR1": SIGUSR1,
    "SEGV": SIGSEGV, "USR2": SIGUSR2, "PIPE": SIGPIPE, "ALRM": SIGALRM, "TERM": SIGTERM,
    "CHLD": SIGCHLD, "CONT": SIGCONT, "STOP": SIGSTOP, "TSTP": SIGTSTP, "TTIN": SIGTTIN,
    "TTOU": SIGTTOU, "URG": SIGURG, "XCPU": SIGXCPU, "XFSZ": SIGXFSZ, "VTALRM": SIGVTALRM,
    "PROF": SIGPROF, "WINCH": SIGWINCH, "IO": SIGIO, "SYS": SIGSYS,
  ]

  /// The largest signal number.
  private static var greatest: Int32 {
    #if canImport(Darwin)
      31
    #else
      64
    #endif
  }

  /// Parses a signal: its name with or without `SIG`, or its number.
  @Sendable static func parse(_ text: String) throws -> ProcessSignal {
    if let number = Int32(text), 1...greatest ~= number { return ProcessSignal(rawValue: number) }
    let upper = text.uppercased()
    let name = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
    guard let number = names.first(where: { $0.key == name })?.value else {
      throw ValidationError(
        "“\(text)” is no signal: give a name such as TERM, INT or KILL, or a number"
          + " from 1 to \(greatest)")
    }
    return ProcessSignal(rawValue: number)
  }

  /// The signal's name, such as `SIGTERM`; `signal 40` for one without a name.
  var name: String {
    Self.names.first { $0.value == rawValue }.map { "SIG\($0.key)" } ?? "signal \(rawValue)"
  }
}
