#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Processes
import Synchronization

/// How far a child has come on its way to the end.
///
/// ```
///               pipe ended ──┐
///  running ──┬─ pipe ended ──┼──▶ session closed, may be reaped ──▶ reaped: done
///            └─ exited ──────┘
/// ```
///
/// The three on the left come in any order: a child may close its outputs and live on, and a grandchild
/// may hold them open after the child's exit. While either is so, the child is not reaped: as long as
/// it is not, its number, which is its group's too, belongs to nobody else, and signals sent to it
/// reach what is left of the group and never a stranger.
final class Lifecycle: Sendable {
  private struct State {
    var process: Int32 = 0
    var openPipes = 2
    var mayBeReaped = false
    var isReaped = false
  }

  let session: Session
  /// How the child ended: set as soon as that is known.
  let exit = Latch<ProcessExit>()
  private let ended = Latch<Void>()
  /// Set when the session is closed, the child reaped and every descriptor closed.
  let done = Latch<Void>()
  private let state = Mutex(State())

  init(session: Session) { self.session = session }

  /// The child runs, as this process and leader of this group.
  func launched(as process: Int32) { state.withLock { $0.process = process } }

  /// One of the two pipes has ended, and is closed.
  func pipeEnded() { advance { $0.openPipes -= 1 } }

  /// The child has ended; what it wrote is in the session.
  func exited(_ exit: ProcessExit) {
    guard self.exit.value == nil else { return }
    session.setExit(exit.code, closing: false)
    self.exit.set(exit)
    advance { _ in }
  }

  /// The child was reaped, by whomever.
  func reaped() { advance { $0.isReaped = true } }

  private func advance(_ change: (inout State) -> Void) {
    let (isEnd, isDone) = state.withLock { state in
      change(&state)
      guard state.openPipes == 0, exit.value != nil else { return (false, false) }
      let isEnd = !state.mayBeReaped
      state.mayBeReaped = true
      return (isEnd, state.isReaped)
    }
    if isEnd {
      session.close()
      ended.set(())
    }
    if isDone { done.set(()) }
  }

  /// Waits until nobody can need the child's number any more.
  func waitUntilReapable() async {
    // The task that waits for this is the launch's own, which nobody cancels.
    try? await ended.wait()
  }

  /// Sends a signal to the child's group.
  func send(_ signal: ProcessSignal) throws(SignalError) {
    try state.withLock { state throws(SignalError) in
      guard !state.mayBeReaped, !state.isReaped else { throw .processEnded }
      // Someone else may have reaped the child; then its number is free, and may be a stranger's.
      if case .gone = peekState(of: state.process) { throw .processEnded }
      if kill(-state.process, signal.rawValue) == 0 { return }
      // It may have moved to another group, and its first group be empty.
      guard errno == ESRCH, kill(state.process, signal.rawValue) == 0 else {
        throw .refused(code: errno)
      }
    }
  }
}
