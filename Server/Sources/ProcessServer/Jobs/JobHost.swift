import ProcessHost
import Processes

/// What starts the processes of jobs and ends them: this program itself (``OwnHost``), or holders
/// (``HolderHost``).
protocol JobHost: Sendable {
  /// Starts a command.
  ///
  /// - Parameter id: The id of its session.
  /// - Throws: `LaunchError` if the command cannot be started, ``APIError`` with 503 if its session
  ///   cannot be kept.
  func launch(
    _ order: Order, as id: String, by grant: Grant
  ) async throws -> any JobProcess

  /// Ends a job's process, and removes its session.
  func forget(_ id: String)

  /// Ends the processes of sessions that have been idle for too long, and removes the sessions.
  ///
  /// - Returns: The ids of the sessions.
  func sweep() -> [String]

  /// The number of sessions.
  var count: Int { get }

  /// Refuses further starts, and ends all processes that are to end with this program.
  ///
  /// - Parameter isFailure: Whether this program ends because of an error: then it ends only what
  ///   cannot go on without it.
  /// - Returns: The processes that could not be ended.
  func shutDown(isFailure: Bool) async -> [String]
}

/// Starts processes that end with this program.
final class OwnHost: JobHost {
  private let manager: ProcessManager
  private let stdinCapacity: Int

  init(_ configuration: APIServer.Configuration) {
    stdinCapacity = configuration.limits.stdinBytes
    manager = ProcessManager(
      idleTimeout: configuration.idleTimeout, grace: configuration.limits.grace,
      cgroups: configuration.controlGroups.cgroups)
  }

  func launch(
    _ order: Order, as id: String, by grant: Grant
  ) async throws -> any JobProcess {
    do throws(LaunchError) {
      let session = try Self.makeSession(for: order, as: id, in: grant.workspace)
      let reader = order.losslessTime.map { LosslessReader(timeLimit: $0) }
      let process = try await manager.launch(order.command, into: session, waitingFor: reader)
      return OwnProcess(process, losslessReader: reader, stdinCapacity: stdinCapacity)
    } catch {
      if case .hostClosed = error { throw APIError.shuttingDown }
      throw error
    }
  }

  /// Creates a session. Lack of memory for it is an error like any other of a launch.
  private static func makeSession(
    for order: Order, as id: String, in workspace: String
  ) throws(LaunchError) -> Session {
    do throws(RingAllocationError) {
      return try Session(
        allocating: id, workspaceID: workspace, headCapacity: order.headBytes,
        timestamps: order.timestamps)
    } catch {
      throw .outOfResources(code: error.code)
    }
  }

  func forget(_ id: String) { manager.forget(id: id) }

  func sweep() -> [String] { manager.sweep().map(\.session.id) }

  var count: Int { manager.count }

  func shutDown(isFailure: Bool) async -> [String] { await manager.shutDown().map { "\($0)" } }
}
