import CSpawn
import Processes
import Synchronization

/// The state of a child, from its launch to its release.
///
/// ```
///               pipe ended ──┐
///  running ──┬─ pipe ended ──┼─▶ session closed ──────────(1)─▶ reaped ─(2)─▶ released
///            └─ exited ──────┤
///                            └─ lingers ─▶ session closed ─▶ pipes ended ─(1)─▶ …
/// ```
///
/// 1. At once; if the group is being terminated, when it is empty or has been killed.
/// 2. When the group is empty.
///
/// While a child lingers, output that arrives after the close of the session is dropped.
///
/// The three events on the left come in any order: a child may close its outputs and live on, and a
/// grandchild may hold them open after the child's exit. In both cases the child is not reaped.
/// Until it is reaped, no other process gets its PID, which is also its group ID. So signals to the
/// group reach its remaining members and never an unrelated process.
///
/// A grandchild that does not hold the child's outputs may outlive all that. The child is reaped,
/// but it is released only when its group, and its cgroup if it has one, are empty. Until then
/// signals still reach the group, and the host still terminates it.
///
/// A host that is being closed gives up a child that it cannot terminate. It closes the session,
/// and reaps the child when the child ends after all.
final class Lifecycle: Sendable {
  struct State: ~Copyable {
    /// The event loop whose thread serves the child; nil once the child is released.
    var eventLoop: EventLoop?
    var process: Int32 = 0
    /// The process's descriptor (`pidfd`); nil where the system has none.
    var descriptor: OwnedDescriptor?
    /// The cgroup of the child and its descendants; nil if the child has none of its own.
    var cgroup: Cgroup?
    var isInCgroup = false
    var input: InputPipe?
    var openPipes: Int
    var hasExited = false
    /// The whole group has been sent a signal to end, and must stay within reach until it has
    /// ended.
    var isEnding = false
    /// The session is being closed, or has been.
    var isClosing = false
    var isClosed = false
    var isReapable = false
    var isReaped = false
    /// Other processes of the group or of the cgroup live on though the child is reaped.
    var hasRest = false
    /// The number of scans in a row that found no remaining process.
    var emptyLooks = 0
    /// Whether this program's host reaped the child. Then the child's PID identifies its group as
    /// long as the group has members.
    var ownsPID = false
    /// The host has given up the child.
    var isGivenUp = false
    /// The child still ran when its time limit was over.
    var isTimedOut = false
    /// The resources that the child has used; nil before its end, and until it is reaped where the
    /// system reports them only then.
    var usage: ResourceUsage?
    /// The last known value of whether the kernel has killed a process of the cgroup for lack of
    /// memory.
    var wasOOMKilled: Bool?

    /// The child has ended, and so have its pipes.
    var hasEnded: Bool { openPipes == 0 && hasExited }
  }

  let sink: OutputSink
  /// How the child ended. Set as soon as that is known.
  let exited = Latch<ProcessExit>()
  /// Set when the session is closed. Unless another process holds the child's output open, the
  /// child has been reaped and its pipes have been closed as well.
  let closed = Latch<Void>()
  /// Set when nothing is left of the child: the session is closed, the child reaped, its group
  /// empty, its cgroup removed, and every descriptor closed.
  let released = Latch<Void>()
  /// Set when nothing is left of the child, or the host has given it up.
  let settled = Latch<Void>()
  /// The number of bytes that were read after the session was closed.
  let droppedBytes = Atomic<Int>(0)
  let state: LockedState<State>

  init(_ sink: OutputSink, pipes: Int = 2, on eventLoop: EventLoop) {
    self.sink = sink
    state = LockedState(State(eventLoop: eventLoop, openPipes: pipes))
  }

  /// Records that the child runs with this PID, which is also the ID of the group that it leads.
  func launched(
    as process: Int32, descriptor: consuming OwnedDescriptor?, cgroup: Cgroup? = nil,
    input: InputPipe?
  ) {
    // Before the process can have an exit.
    sink.session.noteChild(pid: process)
    var descriptor = descriptor
    state.withLock { state in
      state.process = process
      state.descriptor = descriptor.take()
      state.cgroup = cgroup
      state.isInCgroup = cgroup != nil
      state.input = input
    }
  }

  /// Records that one of the pipes has ended and is closed. On the event loop's thread.
  func pipeEnded() { advance { $0.openPipes -= 1 } }

  /// Records that the child has ended; all that it wrote is in the session. On the event loop's
  /// thread.
  func childExited(_ exit: ProcessExit) {
    guard self.exited.value == nil else { return }
    // Before the exit is set: a caller that sees the exit may ask for the resource usage at once,
    // and so may a reader of the session's file.
    let usage = state.withLock { state in
      state.usage = peekUsage(of: state.process)
      return state.usage
    }
    sink.session.note(usage)
    sink.session.note(exit)
    noteOOMKills()
    sink.setExit(exit.code)
    self.exited.set(exit)
    advance { $0.hasExited = true }
  }

  /// Notes in the session's file, if it has one, whether the kernel has killed a process of the
  /// cgroup for lack of memory.
  private func noteOOMKills() {
    if sink.session.isRecorded { sink.session.note(wasOOMKilled: cgroup?.hasOOMKills) }
  }

  /// Adds to the number of bytes that were read after the session was closed. On the event loop's
  /// thread.
  func dropped(_ count: Int) {
    let sum = droppedBytes.add(count, ordering: .relaxed).newValue
    sink.session.note(.droppedBytes, UInt64(sum))
  }

  /// Closes the session of a child that has ended, because other processes have held its output
  /// open for long enough. On the event loop's thread.
  func stopLingering() {
    closeSession()
    closed.set(())
  }

  /// Closes the session, unless that has been done. On the event loop's thread.
  private func closeSession() {
    let closes = state.withLock { state in
      defer { state.isClosing = true }
      return !state.isClosing
    }
    guard closes else { return }
    sink.close()
    state.withLock { $0.isClosed = true }
  }

  func advance(_ change: (inout State) -> Void) {
    let closes = state.withLock { state in
      change(&state)
      let closes = state.hasEnded && !state.isClosing
      if closes { state.isClosing = true }
      return closes
    }
    // Only the last of the child's exit and the ends of its pipes gets here, on the event loop's
    // thread. The session must be closed before the next step: otherwise `closed` would be set
    // first.
    if closes {
      sink.close()
      state.withLock { $0.isClosed = true }
    }
    let (eventLoop, reaps): (EventLoop?, Bool) = state.withLock { state in
      guard state.hasEnded, state.isClosed, !state.isReapable else { return (nil, false) }
      state.isReapable = !state.isEnding
      return (state.eventLoop, state.isReapable)
    }
    guard let eventLoop else { return }
    if reaps {
      eventLoop.execute { self.reap(on: eventLoop) }
    } else {
      eventLoop.groupWatch.add(self, on: eventLoop)
    }
  }

  /// Reaps the child, and releases all that served it. On the event loop's thread.
  private func reap(on eventLoop: EventLoop) {
    let isPopulated = cgroup?.isPopulated ?? false
    let (input, hasRest) = state.withLock { state in
      // The child has ended, so this does not wait. Under the lock no other thread sends a signal
      // to its PID meanwhile.
      let usage = ProcessHost.reap(state.process)
      state.ownsPID = usage != nil
      state.usage = state.usage ?? usage
      state.isReaped = true
      state.hasRest =
        !state.isGivenUp && (state.groupExists || isPopulated)
      return (state.input.take(), state.hasRest)
    }
    input?.abandon()
    // Where the system reports it only now.
    sink.session.note(state.withLock { $0.usage })
    if hasRest { eventLoop.groupWatch.add(self, on: eventLoop) } else { finish() }
    closed.set(())
  }

  /// Releases the child: its group is empty, or signals cannot terminate the remaining members.
  func finish() {
    let wasOOMKilled = cgroup?.hasOOMKills
    sink.session.note(wasOOMKilled: wasOOMKilled)
    let (eventLoop, cgroup) = state.withLock { state in
      state.descriptor = nil
      state.hasRest = false
      state.wasOOMKilled = wasOOMKilled ?? state.wasOOMKilled
      return (state.eventLoop.take(), state.cgroup.take())
    }
    guard let eventLoop else { return }
    guard let cgroup else { return finish(on: eventLoop) }
    // Removing the cgroup may take as long as the system is busy with other cgroups.
    Launchers.shared.runAnyway {
      cgroup.remove()
      self.finish(on: eventLoop)
    }
  }

  private func finish(on eventLoop: EventLoop) {
    closed.set(())
    released.set(())
    settled.set(())
    eventLoop.unregister(self)
  }

  /// Gives up the child, which the host cannot terminate. Closes its session. From now on the event
  /// loop only reaps the child when it ends. On the event loop's thread.
  func giveUp() {
    let (eventLoop, input, isReaped): (EventLoop?, InputPipe?, Bool) = state.withLock { state in
      if state.isGivenUp { return (nil, nil, false) }
      state.isGivenUp = state.eventLoop != nil
      return (state.eventLoop, state.input, state.isReaped)
    }
    guard let eventLoop else { return }
    closeSession()
    input?.abandon()
    eventLoop.note(survivor: self)
    closed.set(())
    settled.set(())
    if isReaped { finish() } else { advance { $0.isEnding = false } }
  }

  /// Whether the child has ended, even if the event loop has not noticed it yet.
  var hasEnded: Bool {
    if exited.value != nil { return true }
    return state.withLock { state in
      if case .running = peekState(of: state.process) { false } else { true }
    }
  }

  /// Whether other processes live on though the child has ended and the session is closed: members
  /// of the group, or processes that hold the output open.
  var hasRest: Bool {
    state.withLock { state in
      state.hasRest || state.hasExited && state.isClosed && state.openPipes > 0
    }
  }

  /// The cgroup; nil once it is removed.
  var cgroup: Cgroup? { state.withLock { $0.cgroup } }

  /// The resources that the child has used; nil before its end.
  var usage: ResourceUsage? { exited.value == nil ? nil : state.withLock { $0.usage } }

  /// Whether the kernel has killed a process of the child's cgroup for lack of memory; nil before
  /// the child's end, and if that is unknown.
  var wasOOMKilled: Bool? {
    if exited.value == nil { return nil }
    // The cgroup may be removed meanwhile; then the last known value counts.
    return cgroup?.hasOOMKills ?? state.withLock { $0.wasOOMKilled }
  }

  /// Whether the child was put into a cgroup of its own.
  var isInCgroup: Bool { state.withLock { $0.isInCgroup } }
}
