import ProcessHost
import Processes

/// The wait for the end of the command's output, which other processes may hold open after the
/// command's own end.
final class OutputWait: Sendable {
  /// What ends the wait, if the output does not.
  enum End: Sendable {
    /// `--linger` has passed since the command's end.
    case linger
    /// A signal came after the command's end.
    case signal(ProcessSignal)
  }

  private struct State {
    var end: End?
    var onEnd: (@Sendable () -> Void)?
  }

  private let state = LockedState(State())

  /// What has ended the wait; nil while nothing has.
  var end: End? { state.withLock { $0.end } }

  /// Ends the wait; returns false if something else has done so before.
  @discardableResult
  func end(by end: End) -> Bool {
    let (isFirst, onEnd) = state.withLock { state in
      defer { state.end = state.end ?? end }
      return (state.end == nil, state.onEnd)
    }
    if isFirst { onEnd?() }
    return isFirst
  }

  /// Calls a closure when the wait is ended, or now if it has been.
  func onEnd(_ body: @escaping @Sendable () -> Void) {
    let hasEnded = state.withLock { state in
      state.onEnd = body
      return state.end != nil
    }
    if hasEnded { body() }
  }
}
