public import Processes
import Synchronization

/// A process started by a ``CommandHost``, whose output goes to a session.
///
/// A reference to the process keeps its host alive. A host terminates its processes when it is
/// deinitialized.
public final class HostedProcess: Sendable, Identifiable {
  /// The PID of the process. It is also the ID of the process group that the process leads, unless
  /// ``Command/processGroup`` is ``Command/ProcessGroup/inherited``.
  ///
  /// The system may reuse the PID once ``waitUntilClosed()`` has returned. To send signals, use
  /// ``signal(_:)``, which never reaches another process.
  public let processID: Int32

  /// The session that receives the process's output.
  public let session: Session

  /// The process's stdin if the command's input is ``Command/Input/pipe``; otherwise nil.
  public let input: ProcessInput?

  private let lifecycle: Lifecycle
  private let terminal: InputPipe?
  private let host: CommandHost

  /// What contains the processes that the command starts: a process that leaves it is out of reach
  /// of signals.
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

  /// Whether the process has not ended yet. Asks the system, which knows of the end a moment before
  /// ``exit`` is set.
  public var isRunning: Bool { !lifecycle.hasEnded }

  /// The resources that the process and its descendants have used; nil while the process runs, or
  /// if another part of this program has reaped it.
  ///
  /// Available on Linux as soon as ``exit`` is; on Darwin once ``waitUntilClosed()`` has returned.
  public var resourceUsage: ResourceUsage? { lifecycle.usage }

  /// Whether the kernel has killed the process, or a process that it started, for lack of memory
  /// (`oom_kill` in the cgroup's `memory.events`). The cause may be ``Command/memoryLimit``, a
  /// limit of a parent cgroup, or lack of memory on the machine.
  ///
  /// Nil while the process runs, and where the value is unknown: the command has no cgroup
  /// (``containment``), or a cgroup without the memory controller. The value may become true after
  /// the exit, as long as the cgroup has processes.
  public var wasOOMKilled: Bool? { lifecycle.wasOOMKilled }

  /// Whether the process still ran when its ``Command/timeLimit`` was over, so that its host
  /// terminated it. False while the time is not over, and for good if the process ended before.
  public var isTimedOut: Bool { lifecycle.isTimedOut }

  /// Waits until the process has ended.
  ///
  /// The session then has the exit code and all output that the process itself wrote. The session
  /// may still be open: another process, started by this one, may hold the output open.
  ///
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  public func waitForExit() async throws(CancellationError) -> ProcessExit {
    try await lifecycle.exited.wait()
  }

  /// Waits until the process has ended, as ``waitForExit()`` does, or a time is up.
  ///
  /// - Parameter limit: The longest time to wait; nil for as long as it takes, zero or less not to
  ///   wait.
  /// - Returns: How the process ended; nil if it still runs when the time is up. It then runs on;
  ///   ``Command/timeLimit`` would end it.
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  public func waitForExit(upTo limit: Duration?) async throws(CancellationError) -> ProcessExit? {
    try await lifecycle.exited.wait(upTo: limit)
  }

  /// The number of bytes that were written to the process's output after the session had been
  /// closed; see ``Command/quietGrace`` and ``Command/lingerLimit``.
  public var droppedBytes: Int { lifecycle.droppedBytes.load(ordering: .relaxed) }

  /// Waits until the process and its output have ended and nothing is left of the process: the
  /// session is closed, the process reaped, and every descriptor that served it closed.
  ///
  /// If another process holds the output open, waits only until the session is closed after
  /// ``Command/quietGrace`` or ``Command/lingerLimit``; the other process may then live on. Does
  /// not wait for other processes of the group that do not hold the output open: see
  /// ``hasLingeringGroup``. If the host could not terminate the process, waits until the process
  /// ends by itself.
  ///
  /// - Returns: How the process ended.
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  @discardableResult
  public func waitUntilClosed() async throws(CancellationError) -> ProcessExit {
    try await lifecycle.closed.wait()
    return try await lifecycle.exited.wait()
  }

  /// Whether other processes live on though the session is closed: members of the process's group
  /// or cgroup, or processes that hold its output open.
  ///
  /// The end of the host, ``terminate(with:grace:)`` and ``signal(_:)`` reach them. Without a
  /// cgroup, these calls do not reach processes that have left the group.
  public var hasLingeringGroup: Bool { lifecycle.hasRest }

  /// Terminates the process, and waits until nothing is left of it, or the host gives it up,
  /// whether the task is cancelled or not. Output that other processes hold open is not waited for.
  func end(grace: Duration) async { await lifecycle.end(grace: grace) }

  /// Waits until nothing is left of the process, whether the task is cancelled or not.
  func waitUntilOver() async {
    await Task.detached { try? await self.lifecycle.released.wait() }.value
  }

  /// Sends a signal to the process and to all other members of its group. These are its
  /// descendants, except those that moved to another group, which the signal reaches only if there
  /// is a cgroup: see ``containment``.
  ///
  /// Works as long as any of them lives, for example while a grandchild outlives the process. Never
  /// reaches an unrelated process. A signal that terminates processes by default is followed by
  /// `SIGCONT`, so that stopped processes end as well.
  ///
  /// - Throws: ``SignalError/processEnded`` if all of them have ended; ``SignalError/notPermitted``
  ///   if this program may not send signals to any of them; ``SignalError/refused(code:)`` if the
  ///   number is not a signal.
  public func signal(_ signal: ProcessSignal) throws(SignalError) { try lifecycle.send(signal) }

  /// Changes the size of the process's terminal. The system notifies the process by `SIGWINCH`.
  ///
  /// - Throws: ``TerminalError/noTerminal`` if it has none; ``TerminalError/processEnded`` after
  ///   its end.
  public func resize(to size: TerminalSize) throws(TerminalError) {
    guard let terminal else { throw .noTerminal }
    guard terminal.withDescriptor({ setTerminalSize($0, size) }) == true else {
      throw .processEnded
    }
  }

  /// Terminates the process and all other members of its group. Sends them a signal, `SIGTERM` by
  /// default, and sends `SIGKILL` to the remaining members after a grace period. Stopped processes
  /// are continued, so that they can end.
  ///
  /// Returns at once; await ``waitUntilClosed()`` to wait for the end. Also reaches processes that
  /// outlive the process itself: see ``hasLingeringGroup``. Does nothing if all have ended already.
  /// If called again, the earliest `SIGKILL` counts.
  ///
  /// Without a cgroup, a process that has left the group, by `setsid(2)` for example, is not
  /// reached: see ``containment``. If it holds the output open, ``Command/quietGrace`` and
  /// ``Command/lingerLimit`` decide when the session is closed. A process that has changed its user
  /// may live on; ``signal(_:)`` throws ``SignalError/notPermitted`` then.
  ///
  /// - Parameters:
  ///   - signal: The first signal. If it is not a valid signal, the processes get only `SIGKILL`.
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
