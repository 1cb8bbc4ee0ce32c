public import Processes

/// The processes of a server, by the id of their sessions: so many at most, and none that nobody
/// asks for any more.
///
/// A session stays readable after its process has ended, until it has been idle for the timeout. A
/// process that is swept out or forgotten is ended.
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
/// When the manager is gone, so are its processes, as with a ``CommandHost``.
public final class ProcessManager: Sendable {
  /// The most sessions at a time, those of ended processes included.
  public let limit: Int
  /// The time that processes have to end when they are asked to.
  public let grace: Duration

  private let host: CommandHost
  private let sessions: SessionManager
  private let state = LockedState(State())

  private struct State {
    var processes: [SessionKey: HostedProcess] = [:]
    /// Processes that are being started, by their ids.
    var starting: [SessionKey: Start] = [:]
  }

  private struct Start {
    /// Nil before it has begun.
    var launch: Launch?
    var isForgotten = false
  }

  /// A manager without processes, which does not sweep by itself until ``run()``.
  ///
  /// - Parameters:
  ///   - idleTimeout: How long a session may be idle, which is: no output, no exit, no launch.
  ///   - sweepInterval: How often ``run()`` sweeps.
  ///   - limit: The most sessions at a time.
  ///   - sparesRunning: Whether a process that runs is kept however long it is silent. Otherwise it
  ///     is ended once it has been silent for the timeout.
  ///   - grace: The time that processes have to end when they are asked to.
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
  ///   - command: What to run.
  ///   - session: Where its output goes. It should be fresh.
  /// - Returns: The process, which is running or has just ended.
  /// - Throws: ``LaunchError/tooManySessions(limit:)``, ``LaunchError/idTaken(id:)``,
  ///   ``LaunchError/hostClosed`` after ``shutDown(grace:)``, ``LaunchError/cancelled`` if
  ///   ``forget(id:)`` comes before the process runs; else as ``CommandHost/launch(_:into:)``.
  @discardableResult
  public func launch(
    _ command: Command, into session: Session
  ) async throws(LaunchError) -> HostedProcess {
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
      process = try await host.launch(command, into: session) { launch in
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

  /// The process whose session has an id, if there is one. Looking it up is not activity.
  ///
  /// - Complexity: O(1).
  public func process(id: String) -> HostedProcess? {
    state.withLock { $0.processes[SessionKey(id)] }
  }

  /// The processes, in no particular order, those included that have ended and can still be read.
  public var processes: [HostedProcess] { state.withLock { Array($0.processes.values) } }

  /// The number of sessions, those included whose processes have ended.
  public var count: Int { state.withLock { $0.processes.count } }

  /// How many processes have ended, and left others behind, those included that are forgotten; see
  /// ``HostedProcess/hasLingeringGroup``.
  ///
  /// - Complexity: O(processes).
  public var lingeringGroupCount: Int { host.lingeringGroupCount }

  /// Ends a process, and makes its session unknown. A caller that holds either can still use it. A
  /// process that is just being started is ended as well: its launch fails.
  ///
  /// Readers that wait for the session's output get the rest of it, the exit and the close. If the
  /// session is not closed a second after ``grace``, because the process cannot be ended, their
  /// waits end then, and `Output.isForgotten` tells them why; see `Session.isForgotten`.
  ///
  /// - Returns: The process, if there was one. It has been asked to end, and may not have done so
  ///   yet.
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

  /// Ends and makes unknown the processes whose sessions have been idle for longer than the
  /// timeout, as ``forget(id:)`` does.
  ///
  /// - Returns: The processes. They have been asked to end, and may not have done so yet.
  /// - Complexity: O(sessions).
  @discardableResult
  public func sweep() -> [HostedProcess] { end(sessions.sweep()) }

  /// Sweeps at every interval from now on, until ``stop()`` or the end of the manager. Does nothing
  /// if that is so already.
  public func run() { sessions.run { [weak self] dropped in _ = self?.end(dropped) } }

  /// Ends what ``run()`` began. Does nothing if that is so already.
  public func stop() { sessions.stop() }

  /// Ends all processes, and starts no more. Their sessions stay known, and readable; waits end
  /// with the close of each.
  ///
  /// - Parameter grace: The time that they have; the manager's ``grace`` unless told.
  /// - Returns: What could not be ended, as ``CommandHost/close(grace:)`` does; if that is nothing,
  ///   no process is left.
  @discardableResult
  public func shutDown(grace: Duration? = nil) async -> [Survivor] {
    stop()
    return await host.close(grace: grace ?? self.grace)
  }

  /// Ends the processes of sessions that a sweep has dropped.
  private func end(_ dropped: [Session]) -> [HostedProcess] {
    let processes = state.withLock { state in
      dropped.compactMap { session -> HostedProcess? in
        // Another may have its id by now.
        let key = SessionKey(session.id)
        guard state.processes[key]?.session === session else { return nil }
        return state.processes.removeValue(forKey: key)
      }
    }
    for process in processes { end(process) }
    return processes
  }

  /// Ends a process that is not known any more, and then the waits for its output.
  private func end(_ process: HostedProcess) {
    process.terminate(grace: grace)
    // Readers get the last of the output and the exit, if the process comes to an end in time.
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

  /// How long after the grace a session may take to be closed before waits for its output end.
  private static let closingTime = Duration.seconds(1)
}
