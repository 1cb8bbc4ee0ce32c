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
/// The three on the left come in any order: a child may close its outputs and live on, and a
/// grandchild may hold them open after the child's exit. While either is so, the child is not
/// reaped: as long as it is not, its number, which is its group's too, belongs to nobody else, and
/// signals sent to it reach what is left of the group and never a stranger.
///
/// A grandchild without the child's outputs may outlive all that. The child is reaped, but it is
/// over only when its group is empty, and its cgroup if it has one; until then signals still reach
/// the group, and the host still ends it.
///
/// A host that ends gives up a child that it cannot end: the session is closed, and the child
/// reaped when it ends after all.
final class Lifecycle: Sendable {
  struct State: ~Copyable {
    /// The event loop whose thread serves the child; nil when there is nothing left to serve.
    var eventLoop: EventLoop?
    var process: Int32 = 0
    /// The process's descriptor, where the system has such.
    var descriptor: OwnedDescriptor?
    /// The cgroup that holds the child and all that it starts, if it has one of its own.
    var cgroup: Cgroup?
    var isInCgroup = false
    var input: InputPipe?
    var openPipes: Int
    var hasExited = false
    /// The whole group has been asked to end, and must not be out of reach before it has.
    var isEnding = false
    /// The session is being closed, or has been.
    var isClosing = false
    var isClosed = false
    var isReapable = false
    var isReaped = false
    /// Others of the group live on, or of the cgroup, though the child is reaped.
    var hasRest = false
    /// How many looks in a row have found nothing of the rest.
    var emptyLooks = 0
    /// Whether the child was reaped here, so that its number is its group's as long as that has
    /// members.
    var ownsPID = false
    /// The host has waited long enough.
    var isGivenUp = false
    /// What the child has used; nil before its end, and where its reaping alone tells.
    var usage: ResourceUsage?
    /// What the cgroup has told last of whether the kernel killed for lack of memory in it.
    var wasOOMKilled: Bool?

    /// The child has ended, and so have its pipes.
    var hasEnded: Bool { openPipes == 0 && hasExited }
  }

  let sink: OutputSink
  /// How the child ended: set as soon as that is known.
  let exited = Latch<ProcessExit>()
  /// Set when the session is closed; and the child reaped and its pipes closed as well, unless
  /// another process holds the child's output open.
  let closed = Latch<Void>()
  /// Set when nothing is left: the session closed, the child reaped, its group empty, its cgroup
  /// removed, every descriptor closed.
  let released = Latch<Void>()
  /// Set when nothing is left, or the host has given up the child.
  let settled = Latch<Void>()
  /// Bytes that came after the session was closed.
  let droppedBytes = Atomic<Int>(0)
  let state: LockedState<State>

  init(_ sink: OutputSink, pipes: Int = 2, on eventLoop: EventLoop) {
    self.sink = sink
    state = LockedState(State(eventLoop: eventLoop, openPipes: pipes))
  }

  /// The child runs, as this process and leader of this group.
  func launched(
    as process: Int32, descriptor: consuming OwnedDescriptor?, cgroup: Cgroup? = nil,
    input: InputPipe?
  ) {
    var descriptor = descriptor
    state.withLock { state in
      state.process = process
      state.descriptor = descriptor.take()
      state.cgroup = cgroup
      state.isInCgroup = cgroup != nil
      state.input = input
    }
  }

  /// One of the pipes has ended, and is closed. On the event loop's thread.
  func pipeEnded() { advance { $0.openPipes -= 1 } }

  /// The child has ended; what it wrote is in the session. On the event loop's thread.
  func childExited(_ exit: ProcessExit) {
    guard self.exited.value == nil else { return }
    // Before the exit can be known: a reader that knows it may ask for what was used at once.
    state.withLock { $0.usage = peekUsage(of: $0.process) }
    sink.setExit(exit.code)
    self.exited.set(exit)
    advance { $0.hasExited = true }
  }

  /// The child has ended, others hold its output open, and have done so for long enough. On the
  /// event loop's thread.
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
    // Only the last of a child's exit and its pipes' ends comes here, on the event loop's thread.
    // Nothing else may go on before it has been done: the end of all would be told first.
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

  /// Reaps the child, and lets go of all that served it. On the event loop's thread.
  private func reap(on eventLoop: EventLoop) {
    let isPopulated = cgroup?.isPopulated ?? false
    let (input, hasRest) = state.withLock { state in
      // It has ended, so that this does not wait; and nobody can send a signal to its number
      // meanwhile.
      let usage = ProcessHost.reap(state.process)
      state.ownsPID = usage != nil
      state.usage = state.usage ?? usage
      state.isReaped = true
      state.hasRest =
        !state.isGivenUp && (state.groupExists || isPopulated)
      return (state.input.take(), state.hasRest)
    }
    input?.abandon()
    if hasRest { eventLoop.groupWatch.add(self, on: eventLoop) } else { finish() }
    closed.set(())
  }

  /// Nothing is left of the group, or nothing that a signal could end.
  func finish() {
    let wasOOMKilled = cgroup?.hasOOMKills
    let (eventLoop, cgroup) = state.withLock { state in
      state.descriptor = nil
      state.hasRest = false
      state.wasOOMKilled = wasOOMKilled ?? state.wasOOMKilled
      return (state.eventLoop.take(), state.cgroup.take())
    }
    guard let eventLoop else { return }
    guard let cgroup else { return finish(on: eventLoop) }
    // This may take as long as others are busy with cgroups.
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

  /// Gives up the child, which cannot be ended: closes its session, and goes on only to reap the
  /// child when it ends. On the event loop's thread.
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

  /// Whether the child has ended, noticed or not.
  var hasEnded: Bool {
    if exited.value != nil { return true }
    return state.withLock { state in
      if case .running = peekState(of: state.process) { false } else { true }
    }
  }

  /// Whether others live on though the child has ended and the session is closed: others of the
  /// group, or processes that hold the output open.
  var hasRest: Bool {
    state.withLock { state in
      state.hasRest || state.hasExited && state.isClosed && state.openPipes > 0
    }
  }

  /// The cgroup, until it is removed.
  var cgroup: Cgroup? { state.withLock { $0.cgroup } }

  /// What the child has used; nil before its end.
  var usage: ResourceUsage? { exited.value == nil ? nil : state.withLock { $0.usage } }

  /// Whether the kernel has killed a process of the child's cgroup for lack of memory; nil before
  /// the child's end, and where that is not known.
  var wasOOMKilled: Bool? {
    if exited.value == nil { return nil }
    // It may be removed meanwhile, and has been asked before.
    return cgroup?.hasOOMKills ?? state.withLock { $0.wasOOMKilled }
  }

  /// Whether the child was put into a cgroup of its own.
  var isInCgroup: Bool { state.withLock { $0.isInCgroup } }
}
