import Processes

/// Starts commands, and captures what they write.
///
/// One thread serves all processes of a host, however many there are. It starts with the first
/// launch, and ends when the host is gone and so are its processes. Up to eight more, which all hosts share
/// and which never end, start processes: each launch blocks one of them until the command is executed.
///
/// ```swift
/// let session = Session(id: "build-7", workspaceID: "acme")
/// let process = try await CommandHost.shared.launch(Command("make", "-j4"), into: session)
/// try await process.waitUntilClosed()
/// print(session.output().chunks.payload)
/// ```
///
/// Whoever holds one of its processes holds the host. When nobody does any more, its processes are ended
/// like with ``close(grace:)``, in the background; so nothing outlives those who could ask for it.
/// ``shared`` is always held: a program that ends leaves its processes behind, unless it closes it.
public final class CommandHost: Sendable {
  /// A host for everyone who needs none of their own.
  public static let shared = CommandHost()

  /// The time that processes have to end when they are asked to, unless another is given: 2 seconds.
  public static let defaultGrace: Duration = .seconds(2)

  private struct State {
    var pump: Pump?
    var isClosed = false
  }

  private let state = LockedState(State())
  private let pipeBudget: PipeBudget

  /// A host without processes.
  public convenience init() { self.init(pipeBudget: .shared) }

  /// A host whose pipes are widened from a budget of its own.
  package init(pipeBudget: PipeBudget) { self.pipeBudget = pipeBudget }

  deinit { state.withLock { _ = $0.pump?.stop(grace: Self.defaultGrace) } }

  /// Ends all processes, and starts no more.
  ///
  /// Each gets `SIGTERM`, and whoever is left after the grace `SIGKILL`, to the whole group as with
  /// ``HostedProcess/terminate(grace:)``. A process that has left its group is not reached; if it holds
  /// a command's output open, it finds nobody reading any more.
  ///
  /// A launch that has not come to its end fails with ``LaunchError/hostClosed``. One that hangs where no
  /// signal can end it, on a dead file server for example, is left alone a second after the grace.
  ///
  /// Can be called again, and by several at once; cancelling the task does not stop it.
  ///
  /// - Parameter grace: The time between the two signals; zero or less for `SIGKILL` at once.
  /// - Returns: When all sessions are closed, and no process, no descriptor and no thread of this host is
  ///   left.
  public func close(grace: Duration = CommandHost.defaultGrace) async {
    let pump = state.withLock { state in
      state.isClosed = true
      return state.pump
    }
    guard let pump else { return }
    let launches = pump.stop(grace: grace)
    await Task.detached {
      for launch in launches { try? await launch.settled.wait() }
      for lifecycle in pump.lifecycles { try? await lifecycle.over.wait() }
    }.value
    state.withLock { $0.pump = nil }
  }

  /// The pump, started if need be.
  func runningPump() throws(LaunchError) -> Pump {
    try state.withLock { state throws(LaunchError) in
      if state.isClosed { throw .hostClosed }
      if let pump = state.pump { return pump }
      do throws(SystemError) {
        let started = try Pump.start(pipeBudget: pipeBudget)
        state.pump = started
        return started
      } catch {
        throw error.launchError("cannot start the thread that captures output")
      }
    }
  }
}
