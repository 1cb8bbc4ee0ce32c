import Processes

/// Starts commands, and captures their output.
///
/// One thread serves all processes of a host, however many there are. It starts with the first
/// launch, and ends when the host and its processes are gone. Other threads start the processes: up
/// to eight, or more if all of them hang, which all hosts share and which never end. Each launch
/// blocks one of them until the command is executed.
///
/// ```swift
/// let session = Session(id: "build-7", workspaceID: "acme")
/// let process = try await CommandHost.shared.launch(Command("make", "-j4"), into: session)
/// try await process.waitUntilClosed()
/// print(session.output().chunks.payload)
/// ```
///
/// A reference to one of its processes keeps the host alive. When the last reference is gone, the
/// host terminates its processes as by ``close(grace:)``, in the background. So no process outlives
/// the code that could use it. ``shared`` is never released: a program that ends leaves its
/// processes running, unless it closes the shared host.
public final class CommandHost: Sendable {
  /// A host for callers that need none of their own.
  public static let shared = CommandHost()

  /// The default time between `SIGTERM` and `SIGKILL`: 2 seconds.
  public static let defaultGrace: Duration = .seconds(2)

  private struct State {
    var eventLoop: EventLoop?
    var isClosed = false
  }

  private let state = LockedState(State())
  private let pipeBudget: PipeBudget
  private let groupWatch: GroupWatch
  /// Whether each command gets a cgroup of its own; ``Cgroups/none`` by default.
  public let cgroups: Cgroups

  /// Creates a host without processes.
  ///
  /// - Parameter cgroups: Whether each command gets a cgroup of its own, which it cannot leave.
  public convenience init(cgroups: Cgroups = .none) {
    self.init(pipeBudget: .shared, cgroups: cgroups)
  }

  /// Creates a host with a pipe budget of its own.
  package convenience init(pipeBudget: PipeBudget, cgroups: Cgroups = .none) {
    self.init(pipeBudget: pipeBudget, groupWatch: GroupWatch(), cgroups: cgroups)
  }

  init(
    pipeBudget: PipeBudget = .shared, groupWatch: GroupWatch, cgroups: Cgroups = .none
  ) {
    self.pipeBudget = pipeBudget
    self.groupWatch = groupWatch
    self.cgroups = cgroups
  }

  deinit { state.withLock { _ = $0.eventLoop?.stop(grace: Self.defaultGrace) } }

  /// Terminates all processes, and refuses further launches.
  ///
  /// The whole group of each process gets `SIGTERM`, and its remaining members get `SIGKILL` after
  /// the grace, as with ``HostedProcess/terminate(with:grace:)``. A process that has left its group
  /// is not reached, unless the host has ``cgroups``; if it holds a command's output open, its
  /// further output has no reader.
  ///
  /// This program may lack permission to signal a process that has changed its user. The host gives
  /// up such a process a second after the grace. It gives up a process that the system does not
  /// end, because it waits for a device, ten seconds after the grace. The sessions of both are
  /// closed. If such a process is a child of this program, a thread waits until it ends after all,
  /// and reaps it.
  ///
  /// A launch that has not finished fails with ``LaunchError/hostClosed``. The host gives up a
  /// launch a second after the grace if it hangs where no signal can end it, on a dead file server
  /// for example.
  ///
  /// Can be called again, and by several tasks at once. Cancelling the task does not stop it.
  ///
  /// - Parameter grace: The time between the two signals; zero or less sends `SIGKILL` at once.
  /// - Returns: The processes that could not be terminated, once all sessions are closed. If it is
  ///   empty, no process, no descriptor and no thread of this host is left.
  @discardableResult
  public func close(grace: Duration = CommandHost.defaultGrace) async -> [Survivor] {
    let eventLoop = state.withLock { state in
      state.isClosed = true
      return state.eventLoop
    }
    guard let eventLoop else { return [] }
    let launches = eventLoop.stop(grace: grace)
    await Task.detached {
      for launch in launches { try? await launch.settled.wait() }
      for lifecycle in eventLoop.lifecycles { try? await lifecycle.settled.wait() }
    }.value
    let survivors = await survivors(on: eventLoop)
    // As long as there are survivors, another call tries again to terminate them.
    if survivors.isEmpty { state.withLock { $0.eventLoop = nil } }
    return survivors
  }

  /// Returns the remaining processes of commands that could not be terminated.
  private func survivors(on eventLoop: EventLoop) async -> [Survivor] {
    let (lifecycles, launches) = eventLoop.survivors
    if lifecycles.isEmpty && launches.isEmpty { return [] }
    let survivors = await withCheckedContinuation { continuation in
      Launchers.shared.runAnyway {
        let members = ProcessGroups.members(of: Set(lifecycles.map(\.group)))
        continuation.resume(returning: lifecycles.compactMap { $0.survivor(in: members) })
      }
    }
    return survivors
      + launches.map { Survivor(session: $0.session, processIDs: [], reason: .unresponsive) }
  }

  /// The number of processes that have ended and left other processes behind: see
  /// ``HostedProcess/hasLingeringGroup``.
  ///
  /// - Complexity: O(processes).
  public var lingeringGroupCount: Int {
    state.withLock { $0.eventLoop }?.lifecycles.count(where: \.hasRest) ?? 0
  }

  /// Returns the event loop. Starts it if it does not run yet.
  func runningEventLoop() throws(LaunchError) -> EventLoop {
    try state.withLock { state throws(LaunchError) in
      if state.isClosed { throw .hostClosed }
      if let eventLoop = state.eventLoop { return eventLoop }
      do throws(SystemError) {
        let started = try EventLoop.start(pipeBudget: pipeBudget, groupWatch: groupWatch)
        state.eventLoop = started
        return started
      } catch {
        throw error.launchError("cannot start the thread that captures output")
      }
    }
  }
}
