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
  private struct State: ~Copyable {
    /// Whose thread serves the child; nil when there is nothing left to serve.
    var pump: Pump?
    var process: Int32 = 0
    /// The process's descriptor, where the system has such.
    var descriptor: OwnedDescriptor?
    var input: InputPipe?
    var openPipes: Int
    var hasExited = false
    /// Someone asked for the end of the whole group, which must not be out of reach before it has come.
    var isEnding = false
    var isClosed = false
    var mayBeReaped = false
    var isReaped = false
  }

  let sink: OutputSink
  /// How the child ended: set as soon as that is known.
  let exit = Latch<ProcessExit>()
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
  func launched(as process: Int32, descriptor: consuming OwnedDescriptor?, input: InputPipe?) {
    var descriptor = descriptor
    state.withLock { state in
      state.process = process
      state.descriptor = descriptor.take()
      state.input = input
    }
  }

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
    state.withLock { $0.isClosed = true }
    sink.close()
    done.set(())
  }

  private func advance(_ change: (inout State) -> Void) {
    let (closes, pump): (Bool, Pump?) = state.withLock { state in
      change(&state)
      guard state.openPipes == 0, state.hasExited else { return (false, nil) }
      // Only the last of these two closes the session, and both happen on the pump's thread.
      let closes = !state.isClosed
      state.isClosed = true
      if state.mayBeReaped || state.isEnding { return (closes, nil) }
      state.mayBeReaped = true
      return (closes, state.pump)
    }
    if closes { sink.close() }
    guard let pump else { return }
    pump.expectVisit()
    pump.visit { self.reap(on: pump) }
  }

  /// Reaps the child, whose number nobody can need any more, and lets go of all that served it. On the
  /// pump's thread.
  private func reap(on pump: Pump) {
    let (process, input) = state.withLock { state in
      state.isReaped = true
      state.pump = nil
      state.descriptor = nil
      return (state.process, state.input.take())
    }
    // It has ended, so that this does not wait.
    ProcessHost.reap(process)
    input?.abandon()
    pump.leave(self)
    done.set(())
    over.set(())
  }

  /// Whether the child has ended, noticed or not.
  var hasEnded: Bool {
    if exit.value != nil { return true }
    return state.withLock { state in
      if case .running = peekState(of: state.process) { false } else { true }
    }
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

  /// Kills the group, lets go of its output, and waits, whether the task is cancelled or not, until nothing
  /// is left of it.
  func end(_ outputs: Outputs) async {
    terminate(grace: .zero)
    if let pump = state.withLock({ $0.pump }) {
      pump.expectVisit()
      pump.visit { outputs.abandon() }
    }
    await Task.detached { try? await self.over.wait() }.value
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
        (state.isEnding, state.openPipes == 0 && state.hasExited ? state.process : nil)
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
