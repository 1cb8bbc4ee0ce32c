#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost
import Processes

/// The terminal on capture's own stdin, while the keys typed there go to the command's terminal.
///
/// It is in raw mode then: only the command's terminal decides what is echoed, what ends a line and
/// which key sends a signal. It is in raw mode only while capture is in the foreground, because
/// otherwise the terminal belongs to another program.
final class OwnTerminal: Sendable {
  private struct State {
    /// Whether capture wants raw mode.
    var isTaken = false
    /// The mode of the terminal before raw mode; nil while the terminal is not in raw mode.
    var original: termios?

    mutating func restore() {
      guard var mode = original else { return }
      original = nil
      // In the background this would stop capture, if the thread does not block SIGTTOU.
      if isInForeground(0) { unsafe tcsetattr(0, TCSANOW, &mode) }
    }
  }

  private let state = LockedState(State())

  /// Sets raw mode, as soon as capture is in the foreground.
  func take() {
    state.withLock { $0.isTaken = true }
    enter()
  }

  /// Sets raw mode again, after capture was stopped or in the background.
  func enter() {
    state.withLock { state in
      guard state.isTaken, isInForeground(0) else { return }
      var mode = termios()
      guard unsafe tcgetattr(0, &mode) == 0 else { return }
      // If capture was stopped by SIGSTOP, a shell has set its own mode, and capture still knows
      // the mode from before.
      if state.original == nil { state.original = mode }
      unsafe cfmakeraw(&mode)
      unsafe tcsetattr(0, TCSANOW, &mode)
    }
  }

  /// Restores the terminal's mode while capture is stopped.
  func leave() { state.withLock { $0.restore() } }

  /// Restores the terminal's mode for good.
  func giveBack() {
    state.withLock { state in
      state.isTaken = false
      state.restore()
    }
  }
}

/// Returns whether a descriptor is a terminal from which capture can read: one that is not
/// capture's controlling terminal, or one of which capture is in the foreground. Also returns true
/// if the descriptor is not a terminal.
func isInForeground(_ descriptor: Int32) -> Bool {
  let group = tcgetpgrp(descriptor)
  return group < 0 || group == getpgrp()
}

/// Returns the size of capture's own terminal; nil if it has none.
func ownTerminalSize() -> TerminalSize? {
  for descriptor in 0...2 as ClosedRange<Int32> {
    var window = winsize()
    if unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_row > 0 {
      return TerminalSize(rows: window.ws_row, columns: window.ws_col)
    }
  }
  return nil
}
