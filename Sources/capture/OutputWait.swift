import ProcessHost
import Processes

/// The wait for the end of the command's output, which other processes may hold open after the
/// command's own end.
final class OutputWait: Sendable {
  /// The reasons that end the wait before the output ends.
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

  /// The reason that has ended the wait; nil while capture still waits.
  var end: End? { state.withLock { $0.end } }

  /// Ends the wait. Returns false if it has been ended before.
  @discardableResult
  func end(by end: End) -> Bool {
    let (isFirst, onEnd) = state.withLock { state in
      defer { state.end = state.end ?? end }
      return (state.end == nil, state.onEnd)
    }
    if isFirst { onEnd?() }
    return isFirst
  }

  /// Calls a closure when the wait is ended, or at once if it has been ended before.
  func onEnd(_ body: @escaping @Sendable () -> Void) {
    let hasEnded = state.withLock { state in
      state.onEnd = body
      return state.end != nil
    }
    if hasEnded { body() }
  }
}
