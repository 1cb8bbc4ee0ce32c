public import Processes

/// The processes of a server, by the ids of their sessions. Limits the number of sessions, and
/// terminates processes whose sessions no client uses any more.
///
/// A session stays readable after its process has ended, until it has been idle for the timeout.
/// The manager terminates a process whose session is swept out or forgotten.
///
/// ```swift
/// let manager = ProcessManager(idleTimeout: .seconds(30 * 60), limit: 100)
/// manager.run()
/// let session = Session(id: "build-7", workspaceID: "acme")
/// try await manager.launch(Command("make", "-j4"), into: session)
/// …
/// manager.process(id: "build-7")?.session.output(since: cursor)
/// …
/// await manager.shutDown()
/// ```
///
/// When the last reference to the manager is gone, its processes are terminated, as with a
/// ``CommandHost``.
public final class ProcessManager: Sendable {
  /// The most sessions at a time, including those of ended processes.
  public let limit: Int
  /// The time between the signal that asks a process to end and `SIGKILL`.
  public let grace: Duration

  private let host: CommandHost
  private let sessions: SessionManager
  private let state = LockedState(State())

  private struct State {
    var processes: [SessionKey: HostedProcess] = [:]
    /// The launches that have not finished, by the ids of their sessions.
    var starting: [SessionKey: Start] = [:]
  }

  private struct Start {
    /// Nil before the launch has begun.
    var launch: Launch?
    var isForgotten = false
  }

  /// Creates a manager without processes. It does not sweep by itself until ``run()``.
  ///
  /// - Parameters:
  ///   - idleTimeout: How long a session may be idle: no output, no exit, no launch.
  ///   - sweepInterval: How often ``run()`` sweeps.
  ///   - limit: The most sessions at a time.
  ///   - sparesRunning: Whether a running process is kept however long it is silent. Otherwise the
  ///     manager terminates it once it has been silent for the timeout.
  ///   - grace: The time between the signal that asks a process to end and `SIGKILL`.
  ///   - cgroups: Whether each command gets a cgroup of its own, which it cannot leave.
  /// - Precondition: `sweepInterval` and `limit` are positive.
  public init(
    idleTimeout: Duration, sweepInterval: Duration = .seconds(60), limit: Int = .max,
    sparesRunning: Bool = false, grace: Duration = CommandHost.defaultGrace,
    cgroups: CommandHost.Cgroups = .none
  ) {
    host = CommandHost(cgroups: cgroups)
    precondition(limit > 0, "a limit on sessions must be positive, not \(limit)")
    self.limit = limit
    self.grace = grace
    sessions = SessionManager(
      idleTimeout: idleTimeout, sweepInterval: sweepInterval, sparesRunning: sparesRunning,
      forgetsDropped: false)
  }

  /// Starts a command, and keeps its process under the session's id.
  ///
  /// - Parameters:
  ///   - command: The command to run.
  ///   - session: The session that receives its output. It should be new.
  ///   - reader: A reader for which the command waits; see
  ///     ``CommandHost/launch(_:into:waitingFor:)``.
  /// - Returns: The process, which is running or has just ended.
  /// - Throws: ``LaunchError/tooManySessions(limit:)``, ``LaunchError/idTaken(id:)``,
  ///   ``LaunchError/hostClosed`` after ``shutDown(grace:)``, ``LaunchError/cancelled`` if
  ///   ``forget(id:)`` comes before the process runs; else as ``CommandHost/launch(_:into:)``.
  @discardableResult
  public func launch(
    _ command: Command, into session: Session, waitingFor reader: LosslessReader? = nil
  ) async throws(LaunchError) -> HostedProcess {
    reader?.check(session)
    let id = session.id
    let key = SessionKey(id)
    try state.withLock { state throws(LaunchError) in
      guard state.processes[key] == nil, state.starting[key] == nil else {
        throw .idTaken(id: id)
      }
      guard state.processes.count + state.starting.count < limit else {
        throw .tooManySessions(limit: limit)
      }
      state.starting[key] = Start()
    }
    let process: HostedProcess
    do throws(LaunchError) {
      process = try await host.launch(
        command, into: session, heldUpBy: reader.map { [$0.gate] } ?? []
      ) { launch in
        let isForgotten = state.withLock { state in
          state.starting[key]?.launch = launch
          return state.starting[key]?.isForgotten == true
        }
        if isForgotten { launch.cancel(.cancelled) }
      }
    } catch {
      state.withLock { _ = $0.starting.removeValue(forKey: key) }
      throw error
    }
    reader?.bind(to: session)
    let isForgotten = state.withLock { state in
      if state.starting.removeValue(forKey: key)?.isForgotten == true { return true }
      state.processes[key] = process
      sessions.register(session)
      return false
    }
    if isForgotten {
      end(process)
      throw .cancelled
    }
    return process
  }

  /// Returns the process whose session has this id; nil if there is none. The call does not count
  /// as activity.
  ///
  /// - Complexity: O(1).
  public func process(id: String) -> HostedProcess? {
    state.withLock { $0.processes[SessionKey(id)] }
  }

  /// The processes, in no particular order, including those that have ended and can still be read.
  public var processes: [HostedProcess] { state.withLock { Array($0.processes.values) } }

  /// The number of sessions, including those whose processes have ended.
  public var count: Int { state.withLock { $0.processes.count } }

  /// The number of processes that have ended and left other processes behind, including forgotten
  /// ones; see ``HostedProcess/hasLingeringGroup``.
  ///
  /// - Complexity: O(processes).
  public var lingeringGroupCount: Int { host.lingeringGroupCount }

  /// Terminates a process, and removes its session. A caller that holds either can still use it. If
  /// the process is just being started, its launch fails and the process is terminated as well.
  ///
  /// Readers that wait for the session's output get the remaining output, the exit and the close.
  /// If the session is not closed a second after ``grace``, because the process cannot be
  /// terminated, their waits end then and `Output.isForgotten` is true; see `Session.isForgotten`.
  ///
  /// - Returns: The process; nil if there was none. It has been asked to end, and may not have
  ///   ended yet.
  @discardableResult
  public func forget(id: String) -> HostedProcess? {
    let key = SessionKey(id)
    let (process, launch) = state.withLock { state in
      sessions.forget(id: id)
      state.starting[key]?.isForgotten = true
      return (state.processes.removeValue(forKey: key), state.starting[key]?.launch)
    }
    launch?.cancel(.cancelled)
    if let process { end(process) }
    return process
  }

  /// Terminates the processes whose sessions have been idle for longer than the timeout, and
  /// removes the sessions, as ``forget(id:)`` does.
  ///
  /// - Returns: The processes. They have been asked to end, and may not have ended yet.
  /// - Complexity: O(sessions).
  @discardableResult
  public func sweep() -> [HostedProcess] { end(sessions.sweep()) }

  /// Starts to sweep at every interval, until ``stop()`` or the end of the manager. Does nothing if
  /// sweeping has started already.
  public func run() { sessions.run { [weak self] dropped in _ = self?.end(dropped) } }

  /// Stops the sweeps that ``run()`` started. Does nothing if none are running.
  public func stop() { sessions.stop() }

  /// Terminates all processes, and refuses further launches. Their sessions stay known and
  /// readable; waits end with the close of each session.
  ///
  /// - Parameter grace: The time between the two signals; by default the manager's ``grace``.
  /// - Returns: The processes that could not be terminated, as ``CommandHost/close(grace:)`` does;
  ///   if it is empty, no process is left.
  @discardableResult
  public func shutDown(grace: Duration? = nil) async -> [Survivor] {
    stop()
    return await host.close(grace: grace ?? self.grace)
  }

  /// Terminates the processes of sessions that a sweep has dropped.
  private func end(_ dropped: [Session]) -> [HostedProcess] {
    let processes = state.withLock { state in
      dropped.compactMap { session -> HostedProcess? in
        // Another process may have the session's id by now.
        let key = SessionKey(session.id)
        guard state.processes[key]?.session === session else { return nil }
        return state.processes.removeValue(forKey: key)
      }
    }
    for process in processes { end(process) }
    return processes
  }

  /// Terminates a process that has been removed, and then ends the waits for its output.
  private func end(_ process: HostedProcess) {
    process.terminate(grace: grace)
    // Readers get the last output and the exit, if the process ends in time.
    let limit = grace.upToACentury + Self.closingTime
    Task {
      await withTaskGroup { group in
        group.addTask { _ = try? await process.waitUntilClosed() }
        group.addTask { try? await SteppedSleep.sleep(until: .now + limit) }
        await group.next()
        group.cancelAll()
      }
      process.session.noteForgotten()
    }
  }

  /// The time that a session may take to be closed after the grace, before waits for its output
  /// end.
  private static let closingTime = Duration.seconds(1)
}
