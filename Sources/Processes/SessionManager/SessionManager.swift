/// A server's sessions by id. Sweeps drop those that have been idle for too long.
///
/// A session that is dropped is ``SessionReader/isForgotten``, whether it was forgotten, swept, or
/// replaced by another with its id. Waits for its output end.
///
/// All operations are safe from any thread. A look-up waits for a sweep no longer than the sweep
/// takes for one of 256 parts of the table.
///
/// ```swift
/// let manager = SessionManager(idleTimeout: .seconds(30 * 60))
/// manager.register(Session(id: "build-7", workspaceID: "acme"))
/// manager.session(id: "build-7")?.append("hello".utf8, to: .stdout)
/// manager.run()  // sweeps every minute from now on
/// ```
public final class SessionManager: Sendable {
  /// How long a session may be idle before a sweep drops it.
  public let idleTimeout: Duration
  /// How long ``run(onSweep:)`` waits between sweeps.
  public let sweepInterval: Duration
  /// Whether sweeps spare sessions whose process has no exit status yet, however idle they are.
  public let sparesRunning: Bool

  private let table: SessionTable
  private let sweeper = LockedState<Task<Void, Never>?>(nil)

  /// Creates a manager without sessions. It sweeps by itself only after ``run(onSweep:)``.
  ///
  /// - Parameters:
  ///   - idleTimeout: How long a session may be idle; one idle for longer is swept.
  ///   - sweepInterval: How often ``run(onSweep:)`` sweeps.
  ///   - sparesRunning: Whether sweeps spare sessions whose process has no exit status yet.
  /// - Precondition: `sweepInterval` is positive.
  public convenience init(
    idleTimeout: Duration, sweepInterval: Duration = .seconds(60), sparesRunning: Bool = false
  ) {
    self.init(
      idleTimeout: idleTimeout, sweepInterval: sweepInterval, sparesRunning: sparesRunning,
      forgetsDropped: true)
  }

  /// Creates a manager whose owner calls ``SessionReader/noteForgotten()`` of each dropped session
  /// itself.
  package init(
    idleTimeout: Duration, sweepInterval: Duration, sparesRunning: Bool, forgetsDropped: Bool
  ) {
    precondition(sweepInterval > .zero, "a sweep interval must be positive, not \(sweepInterval)")
    self.idleTimeout = idleTimeout
    self.sweepInterval = sweepInterval
    self.sparesRunning = sparesRunning
    table = SessionTable(forgetsDropped: forgetsDropped)
  }

  deinit { stop() }

  /// Registers a session under its id. This counts as the session's activity. A session that was
  /// dropped before is no longer ``SessionReader/isForgotten``.
  ///
  /// - Returns: The session that had the id before, if there was one; unless it is the same
  ///   session, the manager no longer knows it.
  /// - Complexity: O(1), and a wake-up for each reader that waits for the replaced session.
  @discardableResult
  public func register(_ session: Session) -> Session? {
    session.noteActivity()
    let replaced = table.insert(session)
    wakeForgotten(replaced)
    return replaced
  }

  /// Ends the waits on a session that was removed from the table.
  private func wakeForgotten(_ session: Session?) {
    // A session that was registered again is not forgotten: its waiters would look and sleep on.
    if let session, session.isForgotten { session.waiters.wakeAll() }
  }

  /// Returns the session with an id, if it is known. A look-up is not activity.
  ///
  /// - Complexity: O(1).
  public func session(id: String) -> Session? { table.session(id: id) }

  /// Drops a session: it is ``SessionReader/isForgotten``, and waits on it end. A caller that holds
  /// it can go on reading and appending.
  ///
  /// - Returns: The session, so that the caller can terminate its process.
  /// - Complexity: O(1), and a wake-up for each reader that waits.
  @discardableResult
  public func forget(id: String) -> Session? {
    let forgotten = table.remove(id: id)
    wakeForgotten(forgotten)
    return forgotten
  }

  /// The number of sessions known. While other threads register or forget, it may be out of date.
  public var count: Int { table.count }

  /// The sessions known, in no particular order.
  public var sessions: [Session] { table.all }
}

// MARK: Sweeping

extension SessionManager {
  /// Drops the sessions that have been idle for longer than the timeout, each by its own clock,
  /// except those that ``sparesRunning`` spares. Waits on them end, as with ``forget(id:)``.
  ///
  /// - Returns: The dropped sessions, so that the caller can terminate their processes.
  /// - Complexity: O(sessions), and a wake-up for each reader that waits for a dropped session.
  @discardableResult
  public func sweep() -> [Session] {
    let timeout = idleTimeout.saturatedNanoseconds
    func isRunning(_ session: Session) -> Bool {
      // A session that was closed without an exit status has no running process.
      session.isAlive && !session.isClosed
    }
    func hasExpired(_ session: borrowing Session, at now: Int64) -> Bool {
      session.isIdle(forMoreThan: timeout, at: now) && !(sparesRunning && isRunning(copy session))
    }
    let now = ActivityClock.system.nanoseconds
    // A caller's clock may do anything, so it is not read under the table's locks.
    var others: [Session] = []
    var dropped = table.removeAll { session in
      if session.clock.isSystem { return hasExpired(session, at: now) }
      others.append(copy session)
      return false
    }
    for session in others where hasExpired(session, at: session.clock.nanoseconds) {
      if table.remove(session) { dropped.append(session) }
    }
    for session in dropped { wakeForgotten(session) }
    return dropped
  }

  /// Starts to sweep every ``sweepInterval``, until ``stop()`` or the end of the manager.
  ///
  /// Does nothing if the manager sweeps already.
  ///
  /// - Parameter onSweep: Receives the dropped sessions after each sweep that dropped any, on a
  ///   concurrent task, so that the caller can terminate their processes. The manager keeps the
  ///   closure until ``stop()``. A closure that refers to the manager must do so weakly; otherwise
  ///   the manager lives, and sweeps, until then.
  public func run(onSweep: (@Sendable ([Session]) -> Void)? = nil) {
    let interval = sweepInterval.upToACentury
    sweeper.withLock { sweeper in
      guard sweeper == nil else { return }
      sweeper = Task { [weak self] in
        while true {
          do { try await Task.sleep(for: interval) } catch { return }
          guard let self, !Task.isCancelled else { return }
          let dropped = self.sweep()
          if !dropped.isEmpty { onSweep?(dropped) }
        }
      }
    }
  }

  /// Stops the sweeping that ``run(onSweep:)`` started. Does nothing if it is stopped already.
  ///
  /// Does not wait for a sweep under way on another thread, nor for its `onSweep`.
  public func stop() {
    sweeper.withLock { sweeper in
      sweeper?.cancel()
      sweeper = nil
    }
  }

  /// Whether the manager sweeps by itself.
  public var isRunning: Bool { sweeper.withLock { $0 != nil } }
}
