import ProcessHost
import Processes

/// The sizes that the command's terminal has had.
final class TerminalSizes: Sendable {
  /// A size, and since when the terminal has had it.
  struct Change {
    let size: TerminalSize
    let time: ActivityClock.Instant
  }

  private struct State {
    var size: TerminalSize
    var changes: [Change] = []
  }

  /// The size at the command's start.
  let first: TerminalSize
  private let state: LockedState<State>

  init(_ first: TerminalSize) {
    self.first = first
    state = LockedState(State(size: first))
  }

  /// Notes the terminal's present size.
  func note(_ size: TerminalSize) {
    state.withLock { state in
      guard state.size != size else { return }
      state.size = size
      state.changes.append(Change(size: size, time: ActivityClock.system.now))
    }
  }

  /// Removes and returns the first changes that a closure accepts.
  func takeChanges(while isDue: (Change) -> Bool) -> [Change] {
    state.withLock { state in
      let due = Array(state.changes.prefix(while: isDue))
      state.changes.removeFirst(due.count)
      return due
    }
  }
}
