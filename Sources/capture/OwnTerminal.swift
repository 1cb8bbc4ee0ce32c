#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost
import Processes

/// The terminal on capture's own stdin, while what is typed there goes to the command's terminal.
///
/// It is in raw mode then: the command's terminal alone decides what is echoed, what ends a line
/// and which key is a signal. Only while capture is in the foreground, because otherwise the
/// terminal belongs to another program.
final class OwnTerminal: Sendable {
  private struct State {
    /// Whether raw mode is wanted at all.
    var isTaken = false
    /// What the terminal was like before it was in raw mode; nil while it is not.
    var original: termios?

    mutating func restore() {
      guard var mode = original else { return }
      original = nil
      // In the background this would stop capture, on a thread that does not block SIGTTOU.
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
      // If capture was stopped by SIGSTOP, a shell has set the mode it likes, and capture still
      // knows what it was before.
      if state.original == nil { state.original = mode }
      unsafe cfmakeraw(&mode)
      unsafe tcsetattr(0, TCSANOW, &mode)
    }
  }

  /// Makes the terminal what it was, for as long as capture is stopped.
  func leave() { state.withLock { $0.restore() } }

  /// Makes the terminal what it was, for good.
  func giveBack() {
    state.withLock { state in
      state.isTaken = false
      state.restore()
    }
  }
}

/// Whether a descriptor is a terminal that lets capture read: one that is not capture's controlling
/// terminal, or one of which capture is in the foreground. Also true if it is no terminal at all.
func isInForeground(_ descriptor: Int32) -> Bool {
  let group = tcgetpgrp(descriptor)
  return group < 0 || group == getpgrp()
}

/// The size of the terminal that capture itself has, if it has one.
func ownTerminalSize() -> TerminalSize? {
  for descriptor in 0...2 as ClosedRange<Int32> {
    var window = winsize()
    if unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_row > 0 {
      return TerminalSize(rows: window.ws_row, columns: window.ws_col)
    }
  }
  return nil
}
