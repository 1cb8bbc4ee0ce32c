import Logging
import ProcessHost
import Processes
import Synchronization

/// The processes of all workspaces, each to be found by its own workspace alone.
final class JobTable: Sendable {
  private struct State {
    var jobs: [String: Job] = [:]
    var workspaces: [String: Workspace] = [:]
    /// Those that nobody can ask about any more, and that may still write.
    var departing: [ObjectIdentifier: Job] = [:]
    /// What those have written that are gone.
    var past = Totals()
  }

  private struct Workspace {
    var jobs: [String: Job] = [:]
    var starting = 0
    var isEmpty: Bool { jobs.isEmpty && starting == 0 }
  }

  /// Counts over all sessions, present and past.
  struct Totals: Sendable {
    var pastSessions = 0
    var capturedBytes = 0
    var lostBytes = 0
    var droppedBytes = 0

    mutating func add(_ job: Job) {
      capturedBytes += job.session.totalBytes
      lostBytes += job.session.lostBytes
      droppedBytes += job.process.droppedBytes
    }
  }

  private let manager: ProcessManager
  private let configuration: APIServer.Configuration
  private let logger: Logger
  private let state = Mutex(State())

  init(_ configuration: APIServer.Configuration, logger: Logger) {
    self.configuration = configuration
    self.logger = logger
    manager = ProcessManager(
      idleTimeout: configuration.idleTimeout, grace: configuration.limits.grace)
  }

  /// Starts a command for a workspace.
  ///
  /// - Throws: ``APIError`` with 429 if the workspace has as many sessions as it may have, 503 while the
  ///   server ends; `LaunchError` if the command cannot be started.
  func launch(
    _ line: CommandLine, as command: Command, in workspace: String
  ) async throws -> Job {
    try reserve(in: workspace)
    do throws(LaunchError) {
      let session = try Self.makeSession(in: workspace)
      let process = try await manager.launch(command, into: session)
      let job = Job(
        process, command: line, hasTerminal: command.terminal != nil,
        stdinCapacity: configuration.limits.stdinBytes)
      state.withLock { state in
        state.jobs[job.id] = job
        state.workspaces[workspace]?.jobs[job.id] = job
        state.workspaces[workspace]?.starting -= 1
      }
      logger.info("started", metadata: job.metadata)
      return job
    } catch {
      state.withLock { state in
        state.workspaces[workspace]?.starting -= 1
        if state.workspaces[workspace]?.isEmpty == true { state.workspaces[workspace] = nil }
      }
      if case .hostClosed = error { throw APIError.shuttingDown }
      throw error
    }
  }

  /// Makes a session; one that there is no memory for is an error like any other of a launch.
  private static func makeSession(in workspace: String) throws(LaunchError) -> Session {
    do throws(RingAllocationError) {
      return try Session(allocating: randomID(), workspaceID: workspace)
    } catch {
      throw .outOfResources(code: error.code)
    }
  }

  /// Makes room for one session more.
  private func reserve(in name: String) throws(APIError) {
    try state.withLock { state throws(APIError) in
      let workspace = state.workspaces[name] ?? Workspace()
      var running = workspace.starting
      var retainedBytes = 0
      for job in workspace.jobs.values {
        if job.process.isRunning { running += 1 } else { retainedBytes += job.retainedBytes }
      }
      guard running < configuration.sessionsPerWorkspace else {
        throw APIError(
          .tooManyRequests, "session_limit",
          "this workspace runs \(running) processes, and may run no more: end or delete one")
      }
      guard retainedBytes < configuration.retainedBytesPerWorkspace else {
        throw APIError(
          .tooManyRequests, "session_limit",
          "this workspace's ended sessions retain \(retainedBytes) bytes: delete some, or wait")
      }
      state.workspaces[name, default: workspace].starting += 1
    }
  }

  /// The job of an id, if it belongs to a workspace.
  ///
  /// - Throws: ``APIError``: 404 if there is none, 403 if it belongs to another.
  /// - Complexity: O(1).
  func job(_ id: String, of workspace: String) throws(APIError) -> Job {
    guard let job = state.withLock({ $0.jobs[id] }) else { throw .sessionNotFound(id) }
    guard job.workspace == workspace else {
      throw APIError(.forbidden, "forbidden", "this session belongs to another workspace")
    }
    return job
  }

  /// A workspace's jobs, the oldest first.
  func jobs(of workspace: String) -> [Job] {
    let jobs = state.withLock { $0.workspaces[workspace].map { Array($0.jobs.values) } ?? [] }
    return jobs.sorted { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
  }

  /// Ends a job's process, and makes the job unknown.
  func delete(_ job: Job) {
    manager.forget(id: job.id)
    remove([job])
    logger.info("deleted", metadata: job.metadata)
  }

  /// Ends those that have been idle for too long, and makes them unknown.
  func sweep() {
    let swept = manager.sweep()
    guard !swept.isEmpty else { return }
    let jobs = state.withLock { state in swept.compactMap { state.jobs[$0.session.id] } }
    remove(jobs)
    for job in jobs { logger.info("idle for too long", metadata: job.metadata) }
  }

  /// How many jobs have been made unknown, and are no more.
  var goneCount: Int { state.withLock(\.past.pastSessions) }

  /// Ends all processes, and starts no more; returns when none is left.
  func shutDown() async { await manager.shutDown() }

  private func remove(_ jobs: [Job]) {
    state.withLock { state in
      for job in jobs where state.jobs.removeValue(forKey: job.id) != nil {
        state.workspaces[job.workspace]?.jobs[job.id] = nil
        if state.workspaces[job.workspace]?.isEmpty == true {
          state.workspaces[job.workspace] = nil
        }
        state.departing[ObjectIdentifier(job)] = job
        Task {
          _ = try? await job.process.waitUntilClosed()
          self.state.withLock { state in
            state.departing[ObjectIdentifier(job)] = nil
            state.past.add(job)
            state.past.pastSessions += 1
          }
        }
      }
    }
  }

  /// How many sessions there are, how many of them run, and what all ever captured and lost.
  func totals() -> (sessions: Int, running: Int, totals: Totals) {
    let (jobs, departing, past) = state.withLock { state in
      (Array(state.jobs.values), Array(state.departing.values), state.past)
    }
    var totals = past
    for job in jobs + departing { totals.add(job) }
    return (jobs.count, jobs.count { $0.process.isRunning }, totals)
  }
}

extension Job {
  /// What a log may say of it.
  fileprivate var metadata: Logger.Metadata {
    ["session": "\(id)", "workspace": "\(workspace)", "pid": "\(process.processID)"]
  }
}

extension APIError {
  static let shuttingDown = APIError(
    .serviceUnavailable, "shutting_down", "this server is about to end, and starts no more")
}
