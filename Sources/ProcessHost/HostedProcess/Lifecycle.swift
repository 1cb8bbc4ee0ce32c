#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import CSpawn
import Processes
import Synchronization

/// How far a child has come on its way to the end.
///
/// ```
///               pipe ended ──┐                    ┌─ group empty, or killed, if it was to end ─┐
///  running ──┬─ pipe ended ──┼──▶ session closed ─┤                                            ├▶ reaped ─▶ group
///            └─ exited ──────┤                    └─ at once, else ────────────────────────────┘   empty: over
///                            └─ lingers ▶ session closed, output dropped ─▶ pipes ended ─▶ …
/// ```
///
/// The three on the left come in any order: a child may close its outputs and live on, and a grandchild
/// may hold them open after the child's exit. While either is so, the child is not reaped: as long as
/// it is not, its number, which is its group's too, belongs to nobody else, and signals sent to it
/// reach what is left of the group and never a stranger.
///
/// A grandchild without the child's outputs may outlive all that. The child is reaped, but it is over only
/// when its group is empty; until then signals still reach the group, and the host still ends it.
final class Lifecycle: Sendable {
  fileprivate struct State: ~Copyable {
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
    /// The session is being closed, or has been.
    var isClosing = false
    var isClosed = false
    var mayBeReaped = false
    var isReaped = false
    /// Whether the child was reaped here, so that its number is its group's as long as that has members.
    var ownsNumber = false
    /// How often the rest of the group has begun to be watched; the latest watch alone goes on.
    var watches = 0

    /// The child has ended, and so have its pipes.
    var hasEnded: Bool { openPipes == 0 && hasExited }
  }

  let sink: OutputSink
  /// How the child ended: set as soon as that is known.
  let exit = Latch<ProcessExit>()
  /// Set when the session is closed; and the child reaped and its pipes closed as well, unless another
  /// process holds the child's output open.
  let done = Latch<Void>()
  /// Set when nothing is left: the session closed, the child reaped, its group empty, every descriptor
  /// closed.
  let over = Latch<Void>()
  /// Bytes that came after the session was closed.
  let droppedBytes = Atomic<Int>(0)
  private let state: LockedState<State>

  init(_ sink: OutputSink, pipes: Int = 2, on pump: Pump) {
    self.sink = sink
    state = LockedState(State(pump: pump, openPipes: pipes))
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

  /// The child has ended, others hold its output open, and have done so for long enough. On the pump's
  /// thread.
  func stopLingering() {
    state.withLock { $0.isClosing = true }
    sink.close()
    state.withLock { $0.isClosed = true }
    done.set(())
  }

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
    let pump: Pump? = state.withLock { state in
      guard state.hasEnded, state.isClosed, !state.mayBeReaped, !state.isEnding else { return nil }
      state.mayBeReaped = true
      return state.pump
    }
    guard let pump else { return }
    pump.expectVisit()
    pump.visit { self.reap(on: pump) }
  }

  /// Reaps the child, and lets go of all that served it. On the pump's thread.
  private func reap(on pump: Pump) {
    let (input, hasRest) = state.withLock { state in
      // It has ended, so that this does not wait; and nobody can send a signal to its number meanwhile.
      state.ownsNumber = ProcessHost.reap(state.process)
      state.isReaped = true
      return (state.input.take(), state.signalRest(0))
    }
    input?.abandon()
    if hasRest { watchRest(on: pump) } else { finish() }
    done.set(())
  }

  /// Nothing is left of the group, or nothing that a signal could end.
  private func finish() {
    let pump = state.withLock { state in
      state.descriptor = nil
      return state.pump.take()
    }
    guard let pump else { return }
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

  /// Whether the child has been reaped and others of its group live on.
  var hasRest: Bool { state.withLock { $0.isReaped && $0.pump != nil } }

  /// Sends a signal to the child's group, and lets those continue that are stopped, if the signal may end
  /// them: they would not notice it otherwise.
  func send(_ signal: ProcessSignal) throws(SignalError) {
    try state.withLock { state throws(SignalError) in
      try state.send(signal.rawValue)
      if signal.endsByDefault { try? state.send(SIGCONT) }
    }
  }
}

extension Lifecycle.State {
  fileprivate func send(_ signal: Int32) throws(SignalError) {
    if isReaped {
      guard pump != nil, signalRest(signal) else { throw .processEnded }
      return
    }
    // Someone else may have reaped the child; then its number is free, and may be a stranger's.
    if case .gone = peekState(of: process) { throw .processEnded }
    if kill(-process, signal) == 0 { return }
    // It may have moved to another group, and its first group be empty.
    guard errno == ESRCH, kill(process, signal) == 0 else { throw .refused(code: errno) }
  }

  /// Sends a signal to what is left of the group of a child that was reaped; returns whether anyone got it.
  ///
  /// The child's descriptor stands for that group and no other. Where it does not, before Linux 6.9, the
  /// group's number does: the system gives it to no other process while the group has members, and
  /// ``Lifecycle`` looks often enough whether it has.
  fileprivate func signalRest(_ signal: Int32) -> Bool {
    switch descriptor {
    case .some(let descriptor):
      if spawn_signal_group(descriptor.number, signal) == 0 { return true }
      if errno != EINVAL { return false }
    case nil: break
    }
    return ownsNumber && kill(-process, signal) == 0
  }
}

// MARK: Ending

extension Lifecycle {
  /// Asks the group to end, and kills it after a grace.
  ///
  /// The child may end at once and leave others of its group behind, who are busy ending; so it is
  /// reaped only when they are gone, or have been killed.
  func terminate(grace: Duration) {
    let (pump, isReaped): (Pump?, Bool) = state.withLock { state in
      if !state.isReaped { state.isEnding = state.pump != nil }
      return (state.pump, state.isReaped)
    }
    guard let pump else { return }
    if grace > .zero {
      try? send(.terminate)
      pump.schedule(after: grace) { self.killGroup() }
      if isReaped { watchRest(on: pump) } else { watchGroup(on: pump) }
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
    guard let pump = state.withLock({ $0.isReaped ? $0.pump : nil }) else { return }
    watchRest(on: pump)
    pump.schedule(after: Pump.hang) { self.finish() }
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

  /// Looks again and again, and more and more seldom, whether the rest of the group of a reaped child has
  /// ended.
  private func watchRest(on pump: Pump) {
    let watch = state.withLock { state in
      state.watches += 1
      return state.watches
    }
    watchRest(on: pump, after: Self.watchInterval, as: watch)
  }

  private func watchRest(on pump: Pump, after interval: Duration, as watch: Int) {
    pump.schedule(after: interval) {
      let (group, isWatching): (Int32?, Bool) = self.state.withLock { state in
        guard state.pump != nil, state.watches == watch else { return (nil, false) }
        return (state.signalRest(0) ? state.process : nil, true)
      }
      guard isWatching else { return }
      // Those that have ended and that nobody reaps still get signals.
      if let group, pump.isGroupAlive(group) {
        self.watchRest(on: pump, after: min(interval * 2, .seconds(1)), as: watch)
      } else {
        self.finish()
      }
    }
  }
}
