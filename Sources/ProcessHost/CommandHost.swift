import Processes

/// Starts commands, and captures what they write.
///
/// One thread serves all processes of a host, however many there are. It starts with the first
/// launch, and ends when the host is gone and so are its processes. Up to eight more, which all
/// hosts share and which never end, start processes: each launch blocks one of them until the
/// command is executed.
///
/// ```swift
/// let session = Session(id: "build-7", workspaceID: "acme")
/// let process = try await CommandHost.shared.launch(Command("make", "-j4"), into: session)
/// try await process.waitUntilClosed()
/// print(session.output().chunks.payload)
/// ```
///
/// A reference to one of its processes keeps the host. When there is none any more, its processes
/// are ended as by ``close(grace:)``, in the background; so nothing outlives the code that could
/// ask for it. ``shared`` is always held: a program that ends leaves its processes behind, unless
/// it closes it.
public final class CommandHost: Sendable {
  /// A host for callers that need none of their own.
  public static let shared = CommandHost()

  /// The time that processes have to end when they are asked to, unless another is given: 2
  /// seconds.
  public static let defaultGrace: Duration = .seconds(2)

  private struct State {
    var eventLoop: EventLoop?
    var isClosed = false
  }

  private let state = LockedState(State())
  private let pipeBudget: PipeBudget
  private let groupWatch: GroupWatch
  /// Whether each command gets a cgroup of its own; none unless asked for.
  public let cgroups: Cgroups

  /// A host without processes.
  ///
  /// - Parameter cgroups: Whether each command gets a cgroup of its own, which it cannot leave.
  public convenience init(cgroups: Cgroups = .none) {
    self.init(pipeBudget: .shared, cgroups: cgroups)
  }

  /// A host whose pipes are widened from a budget of its own.
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

  /// Ends all processes, and starts no more.
  ///
  /// Each gets `SIGTERM`, and what is left after the grace `SIGKILL`, to the whole group as with
  /// ``HostedProcess/terminate(with:grace:)``. A process that has left its group is not reached,
  /// unless the host has ``cgroups``; if it holds a command's output open, it finds nobody reading
  /// any more.
  ///
  /// A process that has changed its user may be one that this program must not end. It is left
  /// alone a second after the grace; a process that the system does not end, because it waits for a
  /// device, ten seconds after it. Their sessions are closed. One that is a child of this program
  /// is reaped when it ends after all; a thread waits for that.
  ///
  /// A launch that has not come to its end fails with ``LaunchError/hostClosed``. One that hangs
  /// where no signal can end it, on a dead file server for example, is left alone a second after
  /// the grace.
  ///
  /// Can be called again, and by several at once; cancelling the task does not stop it.
  ///
  /// - Parameter grace: The time between the two signals; zero or less for `SIGKILL` at once.
  /// - Returns: What could not be ended, when all sessions are closed. If that is nothing, no
  ///   process, no descriptor and no thread of this host is left.
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
    // Until there are none, another call tries again to end them.
    if survivors.isEmpty { state.withLock { $0.eventLoop = nil } }
    return survivors
  }

  /// What is left of the processes that could not be ended.
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

  /// How many processes have ended, and left others behind: see
  /// ``HostedProcess/hasLingeringGroup``.
  ///
  /// - Complexity: O(processes).
  public var lingeringGroupCount: Int {
    state.withLock { $0.eventLoop }?.lifecycles.count(where: \.hasRest) ?? 0
  }

  /// The event loop, started if need be.
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
