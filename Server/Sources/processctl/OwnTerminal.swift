#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The terminal on processctl's own stdin, in raw mode: only the command's terminal decides what is
/// echoed, what ends a line and which key sends a signal.
struct OwnTerminal {
  /// The mode before raw mode; nil if stdin is no terminal.
  private let original: termios?

  /// Whether stdin and stdout both are terminals.
  static var isThere: Bool { isatty(0) == 1 && isatty(1) == 1 }

  /// Whether a descriptor is a terminal on which the next line would begin in the middle.
  static func isRaw(_ descriptor: Int32) -> Bool {
    var mode = termios()
    return unsafe tcgetattr(descriptor, &mode) == 0 && mode.c_oflag & tcflag_t(OPOST) == 0
  }

  /// Sets raw mode.
  static func take() -> OwnTerminal {
    var mode = termios()
    guard unsafe tcgetattr(0, &mode) == 0 else { return OwnTerminal(original: nil) }
    let original = mode
    unsafe cfmakeraw(&mode)
    unsafe tcsetattr(0, TCSANOW, &mode)
    return OwnTerminal(original: original)
  }

  /// Restores the mode from before.
  func giveBack() {
    guard var mode = original else { return }
    unsafe tcsetattr(0, TCSANOW, &mode)
  }
}

/// The size of a terminal.
struct WindowSize {
  var rows = 24
  var columns = 80

  /// The size of processctl's own terminal; nil if it has none.
  static var own: WindowSize? {
    for descriptor in 0...2 as ClosedRange<Int32> {
      var window = winsize()
      if unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_row > 0 {
        return WindowSize(rows: Int(window.ws_row), columns: Int(window.ws_col))
      }
    }
    return nil
  }
}
