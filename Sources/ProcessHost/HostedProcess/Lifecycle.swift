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
///               pipe ended ──┐                    ┌─ group empty, or killed, if it was to end ─┐
///  running ──┬─ pipe ended ──┼──▶ session closed ─┤                                            ├▶ reaped:
///            └─ exited ──────┤                    └─ at once, else ────────────────────────────┘   over
///                            └─ quiet ──▶ session closed, output dropped ─▶ pipes ended ─▶ …
/// ```
///
/// The three on the left come in any order: a child may close its outputs and live on, and a grandchild
/// may hold them open after the child's exit. While either is so, the child is not reaped: as long as
/// it is not, its number, which is its group's too, belongs to nobody else, and signals sent to it
/// reach what is left of the group and never a stranger.
final class Lifecycle: Sendable {
  private struct State {
    /// Whose thread serves the child; nil when there is nothing left to serve.
    var pump: Pump?
    var process: Int32 = 0
    var openPipes: Int
    var hasExited = false
    /// Someone asked for the end of the whole group, which must not be out of reach before it has come.
    var isEnding = false
    /// The session is being closed, or has been.
    var isClosing = false
    var isClosed = false
    var mayBeReaped = false
    var isReaped = false

    /// The child has ended, and so have its pipes.
    var hasEnded: Bool { openPipes == 0 && hasExited }
  }

  let sink: OutputSink
  /// How the child ended: set as soon as that is known.
  let exit = Latch<ProcessExit>()
  private let ended = Latch<Void>()
  /// Set when the session is closed; and the child reaped and every descriptor closed as well, unless
  /// another process holds the child's output open.
  let done = Latch<Void>()
  /// Set when nothing is left: the session closed, the child reaped, every descriptor closed.
  let over = Latch<Void>()
  /// Bytes that came after the session was closed.
  let droppedBytes = Atomic<Int>(0)
  private let state: Mutex<State>

  init(_ sink: OutputSink, pipes: Int = 2, on pump: Pump) {
    self.sink = sink
    state = Mutex(State(pump: pump, openPipes: pipes))
  }

  /// The child runs, as this process and leader of this group.
  func launched(as process: Int32) { state.withLock { $0.process = process } }

  /// One of the pipes has ended, and is closed. On the pump's thread.
  func pipeEnded() { advance { $0.openPipes -= 1 } }

  /// The child has ended; what it wrote is in the session. On the pump's thread.
  func exited(_ exit: ProcessExit) {
    guard self.exit.value == nil else { return }
    sink.setExit(exit.code)
    self.exit.set(exit)
    advance { $0.hasExited = true }
  }

  /// The child has ended, others hold its output open, and nothing has come for long enough. On the pump's
  /// thread.
  func fellQuiet() {
    state.withLock { $0.isClosing = true }
    sink.close()
    state.withLock { $0.isClosed = true }
    done.set(())
  }

  /// The child was reaped, by whomever.
  func reaped() { advance { $0.isReaped = true } }

  private func advance(_ change: (inout State) -> Void) {
    let closes = state.withLock { state in
      change(&state)
      let closes = state.hasEnded && !state.isClosing
      if closes { state.isClosing = true }
      return closes
    }
    // Only the last of a child's exit and its pipes' ends comes here, on the pump's thread. Nothing else may
    // go on before it has been done: the end of all would be told first.
    if closes {
      sink.close()
      state.withLock { $0.isClosed = true }
    }
    let (isEnd, isOver) = state.withLock { state in
      guard state.hasEnded, state.isClosed else { return (false, false) }
      let isEnd = !state.mayBeReaped && !state.isEnding
      if isEnd { state.mayBeReaped = true }
      if state.isReaped { state.pump = nil }
      return (isEnd, state.isReaped)
    }
    if isEnd { ended.set(()) }
    if isOver {
      done.set(())
      over.set(())
    }
  }

  /// Whether the child has ended, noticed or not.
  var hasEnded: Bool {
    if exit.value != nil { return true }
    return state.withLock { state in
      if case .running = peekState(of: state.process) { false } else { true }
    }
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

// MARK: Ending

extension Lifecycle {
  /// Asks the group to end, and kills it after a grace.
  ///
  /// The child may end at once and leave others of its group behind, who are busy ending; so it is
  /// reaped only when they are gone, or have been killed.
  func terminate(grace: Duration) {
    let pump: Pump? = state.withLock { state in
      guard !state.mayBeReaped, !state.isReaped else { return nil }
      state.isEnding = true
      return state.pump
    }
    guard let pump else { return }
    if grace > .zero {
      try? send(.terminate)
      // Who is stopped finds the other signal when it goes on.
      try? send(.resume)
      pump.schedule(after: grace) { self.killGroup() }
      watchGroup(on: pump)
    } else {
      killGroup()
    }
  }

  /// Ends whoever is left of the group.
  private func killGroup() {
    try? send(.kill)
    advance { $0.isEnding = false }
  }

  /// How often to look whether the group of an ended child is empty.
  private static let watchInterval: Duration = .milliseconds(20)

  /// Looks again and again whether the child has ended, its output too, and the rest of its group.
  private func watchGroup(on pump: Pump) {
    pump.schedule(after: Self.watchInterval) {
      let (isWaiting, group) = self.state.withLock { state in
        (state.isEnding, state.hasEnded ? state.process : nil)
      }
      guard isWaiting else { return }
      if let group, !pump.isGroupAlive(group) {
        self.advance { $0.isEnding = false }
      } else {
        self.watchGroup(on: pump)
      }
    }
  }
}
