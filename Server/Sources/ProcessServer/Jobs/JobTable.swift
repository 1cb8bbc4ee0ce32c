import Logging
import ProcessHost
import Processes
import Synchronization

/// The processes of all workspaces. Only its own workspace can find a process.
final class JobTable: Sendable {
  private struct State {
    var jobs: [String: Job] = [:]
    var workspaces: [String: Workspace] = [:]
    /// The jobs that have been removed, and that may still write.
    var departing: [ObjectIdentifier: Job] = [:]
    /// The totals of the removed jobs of which no process runs any more.
    var past = Totals()
    var lastStart = 0
  }

  private struct Workspace {
    var jobs: [String: Job] = [:]
    var starting = 0
    /// The number of jobs that have been removed, and of which some process may still run.
    var departing = 0
    /// The jobs that have names and keys, including jobs that are being started with such.
    var labels: [Label: Start] = [:]
    var isEmpty: Bool { jobs.isEmpty && starting == 0 && departing == 0 && labels.isEmpty }

    mutating func forgetLabels(of job: Job) {
      for label in Label.of(job.order) { labels[label] = nil }
    }
  }

  /// A label by which a client can ask for a job again.
  private enum Label: Hashable {
    case name([UInt8])
    case key([UInt8])

    var field: String {
      switch self {
      case .name: "name"
      case .key: "idempotency_key"
      }
    }

    /// The labels that an order gives its job.
    static func of(_ order: Order) -> [Label] {
      (order.name.map { [.name(Array($0.utf8))] } ?? [])
        + (order.idempotencyKey.map { [.key(Array($0.utf8))] } ?? [])
    }
  }

  /// A job that has a label, or will have it once it is started.
  private struct Start {
    let number: Int
    let fingerprint: SHA256Digest?
    let job: Task<Job, any Error>
  }

  /// Counts over all sessions, present and past.
  struct Totals: Sendable {
    var pastSessions = 0
    var capturedBytes = 0
    var lostBytes = 0
    var droppedBytes = 0

    mutating func add(_ job: Job) {
      capturedBytes.increase(by: job.session.totalBytes)
      lostBytes.increase(by: job.session.lostBytes)
      droppedBytes.increase(by: job.process.droppedBytes)
    }
  }

  private let host: any JobHost
  private let configuration: APIServer.Configuration
  private let logger: Logger
  private let fleet: Fleet?
  private let state = Mutex(State())

  init(
    _ configuration: APIServer.Configuration, host: any JobHost, fleet: Fleet? = nil,
    logger: Logger
  ) {
    self.configuration = configuration
    self.host = host
    self.fleet = fleet
    self.logger = logger
  }

  /// Adds the jobs that an earlier server has left.
  func adopt(_ jobs: [Job]) {
    state.withLock { state in
      for job in jobs {
        state.jobs[job.id] = job
        state.workspaces[job.workspace, default: Workspace()].jobs[job.id] = job
        guard job.order.fingerprint != nil else { continue }
        state.lastStart += 1
        let start = Start(
          number: state.lastStart, fingerprint: job.order.fingerprint, job: Task { job })
        for label in Label.of(job.order) {
          state.workspaces[job.workspace]?.labels[label] = start
        }
      }
    }
    for job in jobs {
      let isRunning = job.process.isRunning
      var metadata = job.metadata
      metadata["running"] = "\(isRunning)"
      logger.info("adopted", metadata: metadata)
      // The end of others is known already.
      if isRunning { logExit(of: job) }
      if !job.grant.isInForce, configuration.onRevoke == .end { delete(job) }
    }
  }

  /// Starts a command for a grant's workspace. If the order has a name or a key, returns the job
  /// that the same order has started already.
  ///
  /// - Returns: The job, and whether it existed before.
  /// - Throws: ``APIError`` with 429 if the workspace has reached its limit on sessions, 503 while
  ///   the server ends, 409 if the name or key belongs to another order; `LaunchError` if the
  ///   command cannot be started.
  func launch(_ order: Order, by grant: Grant) async throws -> (Job, isRepeated: Bool) {
    let labels = Label.of(order)
    guard !labels.isEmpty else { return (try await start(order, by: grant), false) }
    let workspace = grant.workspace
    let (start, isRepeated) = try state.withLock { state throws(APIError) in
      var known = state.workspaces[workspace] ?? Workspace()
      for label in labels {
        guard let earlier = known.labels[label] else { continue }
        guard earlier.fingerprint == order.fingerprint else {
          throw APIError(
            .conflict, "label_taken",
            "this \(label.field) belongs to a session that was started with other arguments")
        }
        return (earlier, true)
      }
      state.lastStart += 1
      // Not the request's own task: other requests may wait for it as well.
      let start = Start(
        number: state.lastStart, fingerprint: order.fingerprint,
        job: Task { try await self.start(order, by: grant) })
      for label in labels { known.labels[label] = start }
      state.workspaces[workspace] = known
      return (start, false)
    }
    do {
      return (try await start.job.value, isRepeated)
    } catch {
      state.withLock { state in
        for label in labels where state.workspaces[workspace]?.labels[label]?.number == start.number
        { state.workspaces[workspace]?.labels[label] = nil }
        if state.workspaces[workspace]?.isEmpty == true { state.workspaces[workspace] = nil }
      }
      throw error
    }
  }

  private func start(_ order: Order, by grant: Grant) async throws -> Job {
    let workspace = grant.workspace
    guard grant.isInForce else { throw APIError.revoked }
    OpenFiles.noteLaunch(1)
    defer { OpenFiles.noteLaunch(-1) }
    if OpenFiles.areScarce(for: .launch) { throw APIError.tooManyOpenFiles }
    let evicted = try reserve(in: workspace)
    for job in evicted { evict(job) }
    do {
      var order = order
      order.command.terminationGrace = order.grace ?? configuration.limits.grace
      order.command.limits[.openFiles] = order.command.limits[.openFiles] ?? configuration.openFiles
      let process = try await host.launch(order, as: randomID(), by: grant)
      let job = Job(process, order: order, grant: grant)
      state.withLock { state in
        state.jobs[job.id] = job
        state.workspaces[workspace]?.jobs[job.id] = job
        state.workspaces[workspace]?.starting -= 1
      }
      logger.info("started", metadata: job.metadata)
      logExit(of: job)
      await fleet?.replicate(job) { [weak self, logger] in
        logger.error("another server has declared it lost", metadata: job.metadata)
        self?.delete(job)
      }
      // Its token may have been revoked since the request arrived.
      if !grant.isInForce, configuration.onRevoke == .end { delete(job) }
      return job
    } catch {
      state.withLock { state in
        state.workspaces[workspace]?.starting -= 1
        if state.workspaces[workspace]?.isEmpty == true { state.workspaces[workspace] = nil }
      }
      throw error
    }
  }

  private func logExit(of job: Job) {
    Task { [logger, process = job.process, metadata = job.metadata] in
      guard let exit = await process.waitForExit(upTo: nil) else { return }
      var metadata = metadata
      metadata["exit_code"] = "\(exit.code)"
      if let signal = exit.signalName { metadata["signal"] = "\(signal)" }
      logger.info("exited", metadata: metadata)
    }
  }

  /// Makes room for one more session.
  ///
  /// - Returns: The ended sessions that must be evicted: the oldest, until the remaining ones
  ///   retain little enough.
  private func reserve(in name: String) throws(APIError) -> [Job] {
    try state.withLock { state throws(APIError) in
      let workspace = state.workspaces[name] ?? Workspace()
      // Deleted jobs that have not ended yet count as running too.
      var running = workspace.starting + workspace.departing
      var ended: [Job] = []
      for job in workspace.jobs.values {
        if job.isActive { running += 1 } else { ended.append(job) }
      }
      guard running < configuration.sessionsPerWorkspace else {
        throw APIError(
          .tooManyRequests, "session_limit",
          "this workspace runs \(running) processes, and may run no more: end or delete one")
      }
      state.workspaces[name, default: workspace].starting += 1
      // A session's last activity is its end, or output that was written after that.
      ended.sort { $0.process.lastActivity < $1.process.lastActivity }
      var retained = ended.reduce(0) { $0 + $1.retainedBytes }
      var evicted: [Job] = []
      for job in ended {
        guard retained >= configuration.retainedBytesPerWorkspace else { break }
        retained -= job.retainedBytes
        evicted.append(job)
      }
      return evicted
    }
  }

  private func evict(_ job: Job) {
    job.noteForgotten()
    host.forget(job.id)
    remove([job])
    logger.info("evicted: the workspace's ended sessions retain too much", metadata: job.metadata)
  }

  /// Returns the job with an id, if it belongs to a workspace.
  ///
  /// - Throws: ``APIError``: 404 if there is none, 403 if it belongs to another workspace.
  /// - Complexity: O(1).
  func job(_ id: String, of workspace: String) throws(APIError) -> Job {
    guard let job = state.withLock({ $0.jobs[id] }) else { throw .sessionNotFound(id) }
    guard job.workspace == workspace else {
      throw APIError(.forbidden, "forbidden", "this session belongs to another workspace")
    }
    return job
  }

  /// Whether this server has a session.
  func contains(_ id: String) -> Bool { state.withLock { $0.jobs[id] != nil } }

  /// Returns a workspace's jobs, the oldest first.
  func jobs(of workspace: String) -> [Job] {
    let jobs = state.withLock { $0.workspaces[workspace].map { Array($0.jobs.values) } ?? [] }
    return jobs.sorted { ($0.startedAt, $0.id) < ($1.startedAt, $1.id) }
  }

  /// Ends a job's process, and all others of its group.
  ///
  /// - Parameter grace: The time between `SIGTERM` and `SIGKILL`; nil for the job's own.
  func terminate(_ job: Job, grace: Duration? = nil) {
    job.process.terminate(grace: grace ?? job.order.grace ?? configuration.limits.grace)
  }

  /// Ends a job's process, and removes the job.
  func delete(_ job: Job) {
    job.noteForgotten()
    host.forget(job.id)
    remove([job])
    logger.info("deleted", metadata: job.metadata)
  }

  /// Ends the jobs that have been idle for too long, and removes them.
  func sweep() {
    for job in state.withLock({ Array($0.jobs.values) }) {
      if job.isHeld || (job.order.isKeptAlive && job.isActive) {
        job.process.noteActivity()
      }
    }
    let swept = host.sweep()
    guard !swept.isEmpty else { return }
    let jobs = state.withLock { state in swept.compactMap { state.jobs[$0] } }
    remove(jobs)
    for job in jobs { logger.info("idle for too long", metadata: job.metadata) }
  }

  /// Ends the processes that revoked grants have started, if the configuration says so.
  func end(startedBy grants: [Grant]) {
    guard configuration.onRevoke == .end else { return }
    let revoked = Set(grants.map { ObjectIdentifier($0) })
    let jobs = state.withLock { state in
      state.jobs.values.filter { revoked.contains(ObjectIdentifier($0.grant)) }
    }
    for job in jobs {
      logger.info("its token was revoked", metadata: job.metadata)
      delete(job)
    }
  }

  /// The number of jobs that have been removed, and of which no process runs any more.
  var goneCount: Int { state.withLock(\.past.pastSessions) }

  /// Ends all processes, and refuses further starts. Returns when no process is left.
  ///
  /// - Parameter isFailure: Whether the server ends because of an error.
  func shutDown(isFailure: Bool = false) async {
    for survivor in await host.shutDown(isFailure: isFailure) {
      logger.error("a process is left", metadata: ["processes": "\(survivor)"])
    }
  }

  private func remove(_ jobs: [Job]) {
    state.withLock { state in
      for job in jobs where state.jobs.removeValue(forKey: job.id) != nil {
        job.noteForgotten()
        fleet?.forget(job)
        state.workspaces[job.workspace]?.jobs[job.id] = nil
        state.workspaces[job.workspace]?.forgetLabels(of: job)
        state.workspaces[job.workspace]?.departing += 1
        state.departing[ObjectIdentifier(job)] = job
        Task {
          await job.process.waitUntilInactive()
          self.state.withLock { state in
            state.departing[ObjectIdentifier(job)] = nil
            state.workspaces[job.workspace]?.departing -= 1
            if state.workspaces[job.workspace]?.isEmpty == true {
              state.workspaces[job.workspace] = nil
            }
            state.past.add(job)
            state.past.pastSessions += 1
          }
        }
      }
    }
  }

  /// The number of entries of each kind, for tests of what is kept.
  struct Counts: Equatable {
    var jobs = 0
    var processes = 0
    var departing = 0
    var workspaces = 0
    var labels = 0
  }

  var counts: Counts {
    let processes = host.count
    return state.withLock { state in
      Counts(
        jobs: state.jobs.count, processes: processes, departing: state.departing.count,
        workspaces: state.workspaces.count,
        labels: state.workspaces.values.reduce(0) { $0 + $1.labels.count })
    }
  }

  /// The number of sessions and of running ones, and the bytes that all sessions have captured and
  /// lost so far.
  func totals() -> (sessions: Int, running: Int, totals: Totals) {
    let (jobs, departing, past) = state.withLock { state in
      (Array(state.jobs.values), Array(state.departing.values), state.past)
    }
    var totals = past
    for job in jobs + departing { totals.add(job) }
    return (jobs.count, jobs.count(where: \.isActive) + departing.count, totals)
  }
}

extension Job {
  /// The text that a log may contain about the job.
  fileprivate var metadata: Logger.Metadata {
    ["session": "\(id)", "workspace": "\(workspace)", "pid": "\(process.processID)"]
  }
}

extension APIError {
  static let shuttingDown = APIError(
    .serviceUnavailable, "shutting_down", "this server is about to end, and starts no more")
}
