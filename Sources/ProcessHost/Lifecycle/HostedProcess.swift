public import Processes
import Synchronization

/// A process started by a ``CommandHost``, whose output goes to a session.
///
/// Keeps its host, which ends its processes when it is gone itself.
public final class HostedProcess: Sendable, Identifiable {
  /// The process's number, which is also that of the process group that it leads, unless
  /// ``Command/processGroup`` is ``Command/ProcessGroup/inherited``.
  ///
  /// Belongs to someone else, sooner or later, once ``waitUntilClosed()`` has returned: send
  /// signals with ``signal(_:)``, which takes care of that.
  public let processID: Int32

  /// Where its output goes.
  public let session: Session

  /// Its stdin, if that is to be written to: see ``Command/Input/pipe``.
  public let input: ProcessInput?

  private let lifecycle: Lifecycle
  private let terminal: InputPipe?
  private let host: CommandHost

  /// What the processes that the command starts cannot leave without getting out of reach.
  public let containment: Containment

  init(
    processID: Int32, lifecycle: Lifecycle, input: ProcessInput?, terminal: InputPipe?,
    host: CommandHost
  ) {
    self.terminal = terminal
    self.processID = processID
    self.input = input
    self.lifecycle = lifecycle
    self.host = host
    session = lifecycle.sink.session
    containment = lifecycle.isInCgroup ? .cgroup : .processGroup
  }

  /// How the process ended; nil while it runs.
  public var exit: ProcessExit? { lifecycle.exited.value }

  /// Whether the process has not ended yet; as the system knows it, a moment before ``exit`` tells
  /// how.
  public var isRunning: Bool { !lifecycle.hasEnded }

  /// What the process and its descendants have used; nil while the process runs, or if another part
  /// of this program has reaped it.
  ///
  /// Known on Linux as soon as ``exit`` is; on Darwin once ``waitUntilClosed()`` has returned.
  public var resourceUsage: ResourceUsage? { lifecycle.usage }

  /// Whether the kernel has killed the process, or another that it started, for lack of memory
  /// (`oom_kill` in the cgroup's `memory.events`): because of ``Command/memoryLimit`` or another
  /// limit above it, or because the machine had no more.
  ///
  /// Nil while the process runs, and where nothing tells: the command has no cgroup
  /// (``containment``), or one without the memory controller. It may become true after the exit, as
  /// long as anything is left in the cgroup.
  public var wasOOMKilled: Bool? { lifecycle.wasOOMKilled }

  /// Waits until the process has ended.
  ///
  /// The session has its exit code then, and all that the process itself wrote. It need not be
  /// closed: another process, started by this one, may still hold its output open.
  ///
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  public func waitForExit() async throws(CancellationError) -> ProcessExit {
    try await lifecycle.exited.wait()
  }

  /// The bytes that were written to its output after the session had been closed; see
  /// ``Command/quietGrace`` and ``Command/lingerLimit``.
  public var droppedBytes: Int { lifecycle.droppedBytes.load(ordering: .relaxed) }

  /// Waits until the process has ended, its output too, and nothing is left of it: the session is
  /// closed, the process reaped, and every descriptor that served it closed.
  ///
  /// Or, if another process holds the output open, until the session is closed after
  /// ``Command/quietGrace`` or ``Command/lingerLimit``; that process is then what is left. Others
  /// of the group that do not hold it open are not waited for: see ``hasLingeringGroup``. A process
  /// that its host could not end is waited for until it ends by itself.
  ///
  /// - Returns: How the process ended.
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  @discardableResult
  public func waitUntilClosed() async throws(CancellationError) -> ProcessExit {
    try await lifecycle.closed.wait()
    return try await lifecycle.exited.wait()
  }

  /// Whether the process has left others behind that live on though its session is closed: others
  /// in its group or its cgroup, or processes that hold its output open.
  ///
  /// They are ended with the host, or by ``terminate(with:grace:)`` or ``signal(_:)``, except those
  /// that have left the group where there is no cgroup.
  public var hasLingeringGroup: Bool { lifecycle.hasRest }

  /// Waits, whether the task is cancelled or not, until nothing is left of the process.
  func waitUntilOver() async {
    await Task.detached { try? await self.lifecycle.released.wait() }.value
  }

  /// Sends a signal to the process and all others in its group: those that it started, and those
  /// that they started, unless they made groups of their own and there is no cgroup: see
  /// ``containment``.
  ///
  /// Possible as long as any of them lives, so also while a grandchild outlives the process. Never
  /// reaches a process that has nothing to do with this one. A signal that ends processes by
  /// default is followed by `SIGCONT`, so that those that are stopped end as well.
  ///
  /// - Throws: ``SignalError/processEnded`` after that; ``SignalError/notPermitted`` if none of
  ///   them may be sent signals; ``SignalError/refused(code:)`` for a number that is no signal.
  public func signal(_ signal: ProcessSignal) throws(SignalError) { try lifecycle.send(signal) }

  /// Changes the size of the process's terminal, and lets it know by `SIGWINCH`.
  ///
  /// - Throws: ``TerminalError/noTerminal`` if it has none; ``TerminalError/processEnded`` after
  ///   its end.
  public func resize(to size: TerminalSize) throws(TerminalError) {
    guard let terminal else { throw .noTerminal }
    guard terminal.withDescriptor({ setTerminalSize($0, size) }) == true else {
      throw .processEnded
    }
  }

  /// Ends the process and all others in its group: asks them with a signal, `SIGTERM` unless told,
  /// and after a grace kills what is left with `SIGKILL`. Processes that are stopped are made to go
  /// on, so that they can end.
  ///
  /// Returns at once; await ``waitUntilClosed()`` to know that it has come about. Reaches those as
  /// well that outlive the process: see ``hasLingeringGroup``. Does nothing if all have ended
  /// already. Called again, the earlier `SIGKILL` counts.
  ///
  /// A process that has left the group, by `setsid(2)` for example, is not reached unless there is
  /// a cgroup: see ``containment``. If it holds the output open, ``Command/quietGrace`` and
  /// ``Command/lingerLimit`` decide when the session is closed. One that has changed its user may
  /// live on; ``signal(_:)`` tells.
  ///
  /// - Parameters:
  ///   - signal: What they get first. If it is not a signal, they get nothing before `SIGKILL`.
  ///   - grace: The time between the two signals; zero or less for `SIGKILL` at once.
  public func terminate(
    with signal: ProcessSignal = .terminate, grace: Duration = CommandHost.defaultGrace
  ) {
    lifecycle.terminate(with: signal, grace: grace)
  }
}

extension HostedProcess: CustomStringConvertible {
  /// The PID, the session's id and the state, such as `process 4711 of session "build-7": running`.
  public var description: String {
    let state = exit.map { "\($0)" } ?? "running"
    return "process \(processID) of session \(session.id.debugDescription): \(state)"
  }
}
