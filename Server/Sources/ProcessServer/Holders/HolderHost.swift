import HolderProtocol
import Logging
import ProcessHost
import Processes
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Starts processes that go on when this program ends: each in a holder of its own.
///
/// ```
///  clients -HTTP-> daemon --socket--> holder --pipes, terminal--> command
///                    ^                   |
///                    +---- maps ---- ring file <-- writes
/// ```
final class HolderHost: JobHost {
  private struct State {
    var processes: [String: HeldProcess] = [:]
    /// The ids of the sessions that are being started.
    var starting: Set<String> = []
    var isClosed = false
    /// The sessions that could not be adopted, and since when that is known.
    var unreadable: [String: ContinuousClock.Instant] = [:]
    var lastCleaning = ContinuousClock.now
    /// The last sweep, by the clock of the sessions' activity and by one that nobody sets.
    var lastSweep = (wall: Duration.sinceEpoch, time: SuspendingClock.now)
  }

  private let directory: StateDirectory
  private let settings: APIServer.HolderSettings
  private let configuration: APIServer.Configuration
  private let logger: Logger
  private let state = Mutex(State())
  /// Opened when the sessions are left to another program.
  private let isReleased = Latch()
  /// Opened when another program may have the directory.
  private let isOver = Latch()

  /// Claims the directory.
  ///
  /// - Throws: ``StateDirectoryError``.
  init(
    _ settings: APIServer.HolderSettings, _ configuration: APIServer.Configuration, logger: Logger
  ) throws(StateDirectoryError) {
    self.settings = settings
    self.configuration = configuration
    self.logger = logger
    guard unsafe access(settings.executable, X_OK) == 0 else {
      throw StateDirectoryError(
        description: "\(settings.executable): \(SystemError(code: errno)); it belongs beside"
          + " processd")
    }
    directory = try StateDirectory(claiming: settings.directory)
    TruncatedFiles.survive()
  }

  var count: Int { state.withLock { $0.processes.count } }

  // MARK: Starting

  func launch(
    _ order: Order, as id: String, by grant: Grant
  ) async throws -> any JobProcess {
    try state.withLock { state throws(APIError) in
      guard !state.isClosed else { throw APIError.shuttingDown }
      state.starting.insert(id)
    }
    let files = StateFiles(directory: directory.path, id: id)
    // The request's task may be cancelled: a command that has been started must be found again.
    let launch = Task { try await start(order, files, by: grant) }
    do {
      let process = try await launch.value
      let isClosed = state.withLock { state in
        state.starting.remove(id)
        state.processes[id] = process
        return state.isClosed
      }
      if isClosed, settings.onShutdown == .end {
        process.terminate(grace: configuration.limits.grace)
      }
      return process
    } catch {
      state.withLock { _ = $0.starting.remove(id) }
      files.removeAll()
      switch error {
      case HolderFailure.launch(let error): throw error
      case HolderFailure.storage(let reason, let code): throw APIError.storage(reason, code: code)
      default: throw error
      }
    }
  }

  private func start(
    _ order: Order, _ files: StateFiles, by grant: Grant
  ) async throws -> HeldProcess {
    let record = SessionRecord(order, by: grant, startedAt: Date())
    do throws(SystemError) {
      try files.write(record: Array(record.json.text.utf8))
    } catch {
      throw APIError.storage("\(files.record): \(error)", code: error.code)
    }
    let holder: SpawnedHolder
    do throws(SystemError) {
      holder = try SpawnedHolder(settings.executable)
    } catch {
      throw HolderFailure.launch(
        .other(reason: "cannot start \(settings.executable)", code: error.code))
    }
    var command = order.command
    // A thread of the concurrency runtime may have another nice value than the program.
    command.niceness = command.niceness ?? Self.ownNiceness
    var message = LaunchOrder(
      files: files, workspace: grant.workspace,
      orphanTimeout: settings.orphanTimeout ?? configuration.idleTimeout, command: command,
      environment: order.environment)
    message.headBytes = order.headBytes
    message.hasTimestamps = order.timestamps
    message.losslessTime = order.losslessTime
    message.stdinBytes = configuration.limits.stdinBytes
    message.cgroups = configuration.controlGroups.cgroups
    // The connection serves the launch alone, so that every holder is asked in the same way later.
    let connection: HolderConnection
    do {
      connection = try await HolderConnection.adopt(holder.socket) {}
    } catch {
      end(holder)
      throw error
    }
    defer { connection.close() }
    let answer = await connection.request(message.message, upTo: Self.launchTime)
    guard let answer, answer.kind == .started || answer.kind == .failed else {
      end(holder)
      if answer == nil, !connection.closed.isOpen {
        throw HolderFailure.launch(
          .other(
            reason: "\(settings.executable) has not started the command within"
              + " \(Self.launchTime)", code: nil))
      }
      throw HolderFailure.launch(
        .other(reason: "\(settings.executable) has ended without an answer", code: nil))
    }
    do {
      guard answer.kind == .started else { throw HolderFailure(answer) }
      let process = HeldProcess(
        files, try attach(files), hasInput: command.input == .pipe,
        stdinCapacity: configuration.limits.stdinBytes)
      process.begin(holder: holder.processID)
      await process.waitUntilSettled(upTo: .seconds(5))
      return process
    } catch {
      end(holder)
      throw error
    }
  }

  /// How long a holder may take to start its command.
  private static let launchTime: Duration = .seconds(30)

  /// Ends a holder of which nothing is to be expected, and its command with it.
  private func end(_ holder: SpawnedHolder) {
    // It is a child that has not been reaped, so the number is its own.
    kill(holder.processID, SIGKILL)
    Task { await SpawnedHolder.reapSoon(holder.processID) }
  }

  private func attach(_ files: StateFiles) throws -> RecordedSession {
    do throws(RingFileError) {
      return try RecordedSession(at: files.ring)
    } catch {
      throw APIError.storage("\(error)", code: nil)
    }
  }

  // MARK: Adoption

  /// Finds the sessions that an earlier daemon has left.
  ///
  /// Waits a moment for the holders to answer; one that does not is asked again and again.
  ///
  /// - Parameter access: The tokens, of which those that started the sessions may be some.
  /// - Complexity: O(sessions).
  func adopt(_ access: Access) async -> [Job] {
    let names: [String]
    do throws(SystemError) {
      names = try directory.names()
    } catch {
      logger.error("cannot read the state directory", metadata: ["error": "\(error)"])
      return []
    }
    var jobs: [Job] = []
    let deadline = ContinuousClock.now + .seconds(2)
    for name in names where name.hasSuffix(StateFiles.recordSuffix) && !name.hasPrefix(".") {
      let files = StateFiles(
        directory: directory.path, id: String(name.dropLast(StateFiles.recordSuffix.count)))
      do {
        let record = try SessionRecord(parsing: files.readRecord())
        guard await hasRing(files, by: deadline) else {
          files.removeRecord()
          continue
        }
        let recording = try RecordedSession(at: files.ring)
        guard recording.id == files.id, recording.workspaceID == record.workspace else {
          throw StateDirectoryError(description: "\(files.ring) is of another session")
        }
        let process = HeldProcess(
          files, recording, hasInput: record.order.command.input == .pipe,
          stdinCapacity: configuration.limits.stdinBytes)
        let grant = access.grant(of: record.token, in: record.workspace)
        jobs.append(
          Job(process, order: record.order, grant: grant, startedAt: record.startedAt))
        state.withLock { $0.processes[files.id] = process }
      } catch {
        // It stays for a while, for people.
        state.withLock { $0.unreadable[files.id] = .now }
        logger.error(
          "cannot adopt a session",
          metadata: [
            "session": "\(files.id)", "error": "\((error as? APIError)?.message ?? "\(error)")",
          ])
      }
    }
    await withTaskGroup { group in
      for job in jobs {
        guard let process = job.process as? HeldProcess else { continue }
        // No client could use it while there was no daemon.
        if process.session.isAlive { process.noteActivity() }
        process.begin()
        group.addTask { await process.waitUntilSettled(upTo: .seconds(1)) }
      }
    }
    clean(olderThan: .seconds(60))
    return jobs
  }

  /// Returns whether a session has a ring; if not, it never will.
  ///
  /// A daemon's end may have interrupted its start a moment ago, so this waits for the ring. Then
  /// it takes the ring's name, so that a slow holder finds it taken and starts nothing.
  private func hasRing(_ files: StateFiles, by deadline: ContinuousClock.Instant) async -> Bool {
    while directory.age(of: files.id + StateFiles.ringSuffix) == nil {
      guard let age = directory.age(of: files.id + StateFiles.recordSuffix),
        abs(age) < .seconds(2), .now < deadline
      else { return !files.claimRing() }
      try? await Task.sleep(for: .milliseconds(10))
    }
    return true
  }

  private func abs(_ time: Duration) -> Duration { time < .zero ? .zero - time : time }

  /// The nice value of this program's first thread.
  private static var ownNiceness: Int32 {
    #if canImport(Glibc)
      getpriority(__priority_which_t(PRIO_PROCESS.rawValue), UInt32(getpid()))
    #else
      getpriority(PRIO_PROCESS, numericCast(getpid()))
    #endif
  }

  // MARK: Ending

  func forget(_ id: String) {
    // What was left to the next daemon is its own.
    guard !isReleased.isOpen else { return }
    let process = state.withLock { $0.processes.removeValue(forKey: id) }
    process?.discard(grace: configuration.limits.grace)
  }

  func sweep() -> [String] { sweep(at: .sinceEpoch) }

  /// - Parameter now: The present, since 1970.
  func sweep(at now: Duration) -> [String] {
    let (processes, isCleaningDue, jump) = state.withLock { state in
      let isDue = .now - state.lastCleaning > .seconds(60)
      if isDue { state.lastCleaning = .now }
      let time = SuspendingClock.now
      let jump = now - state.lastSweep.wall - (time - state.lastSweep.time)
      state.lastSweep = (now, time)
      return (state.processes, isDue, jump)
    }
    // The clock was set, or the machine was suspended: no session was idle in that time.
    if jump > .seconds(5) {
      // The idlest one first, as before.
      for process in processes.values.sorted(by: { $0.lastActivity < $1.lastActivity }) {
        process.noteActivity()
      }
      return []
    }
    var swept: [String] = []
    for (id, process) in processes where now - process.lastActivity > configuration.idleTimeout {
      swept.append(id)
      forget(id)
    }
    if isCleaningDue { clean(olderThan: .seconds(60)) }
    return swept
  }

  /// Removes the files of no session: what is left of a launch or a deletion that a daemon's end
  /// has interrupted. Files that are not named like a session's are left alone.
  ///
  /// A session that cannot be adopted stays for the idle timeout, and as long as its holder runs.
  private func clean(olderThan limit: Duration) {
    guard let names = try? directory.names() else { return }
    let (known, unreadable) = state.withLock { state in
      (state.starting.union(state.processes.keys), state.unreadable)
    }
    for name in names {
      guard let id = StateFiles.id(ofFile: name), !known.contains(id) else { continue }
      if let start = unreadable[id] {
        guard .now - start > configuration.idleTimeout, !hasHolder(id) else { continue }
      } else {
        guard let age = directory.age(of: name), age > limit else { continue }
      }
      // A holder without a daemon checks whether its socket is there, and ends if it is not.
      directory.remove(name)
    }
  }

  /// Whether a holder listens on a session's socket.
  private func hasHolder(_ id: String) -> Bool {
    do throws(SystemError) {
      close(try connectSocket(to: StateFiles(directory: directory.path, id: id).socket))
      return true
    } catch {
      return !error.meansNothingListens
    }
  }

  func shutDown(isFailure: Bool) async -> [String] {
    let wasClosed = state.withLock { state in
      defer { state.isClosed = true }
      return state.isClosed
    }
    if wasClosed, isReleased.isOpen {
      _ = await isOver.wait()
      return []
    }
    // Launches that are under way; there are no later ones.
    let deadline = ContinuousClock.now + Self.launchTime
    while .now < deadline, !Task.isCancelled, state.withLock({ !$0.starting.isEmpty }) {
      try? await Task.sleep(for: .milliseconds(10))
    }
    let processes = state.withLock(\.processes)
    let survivors = await end(processes, isFailure: isFailure)
    // First, because a request that finds that its process was left deletes the session then.
    isReleased.open()
    for process in processes.values { process.markLeft() }
    await withTaskGroup { group in
      for process in processes.values { group.addTask { await process.leave() } }
    }
    directory.release()
    isOver.open()
    return survivors
  }

  /// Ends the processes, unless they are left to the next daemon. Returns those that did not end.
  private func end(_ processes: [String: HeldProcess], isFailure: Bool) async -> [String] {
    guard settings.onShutdown == .end, !isFailure else {
      let count = processes.values.count { $0.isActive }
      logger.info("commands go on without this daemon", metadata: ["commands": "\(count)"])
      return []
    }
    let grace = configuration.limits.grace
    for process in processes.values where process.isActive { process.terminate(grace: grace) }
    return await withTaskGroup(of: String?.self) { group in
      for (id, process) in processes where process.isActive {
        group.addTask {
          await process.waitUntilInactive(upTo: grace + .seconds(5))
            ? nil : "\(process.processID) of session \(id)"
        }
      }
      return await group.reduce(into: []) { if let survivor = $1 { $0.append(survivor) } }
    }
  }
}

extension APIError {
  /// The files of a session cannot be made.
  static func storage(_ reason: String, code: Int32?) -> APIError {
    let isFull = code == ENOSPC || code == EDQUOT
    return APIError(
      .serviceUnavailable, isFull ? "state_dir_full" : "state_dir_unusable",
      "the state directory cannot take another session: \(reason)")
  }
}
