/// The sessions of a server, by id; those that have been idle for too long are swept out.
///
/// A session that is dropped, because it was forgotten, swept, or its id registered anew, is
/// ``Session/isForgotten``: waits for its output end.
///
/// All operations are safe from any thread. Looking a session up never waits for a sweep longer
/// than it takes to go through one of 256 parts of the table.
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
  /// Whether sweeps leave sessions alone whose process has no exit status yet, however idle they
  /// are.
  public let sparesRunning: Bool

  private let table: SessionTable
  private let sweeper = LockedState<Task<Void, Never>?>(nil)

  /// Creates a manager without sessions, which does not sweep by itself until ``run(onSweep:)``.
  ///
  /// - Parameters:
  ///   - idleTimeout: How long a session may be idle; one idle for longer is swept.
  ///   - sweepInterval: How often ``run(onSweep:)`` sweeps.
  ///   - sparesRunning: Whether sweeps leave sessions alone whose process has no exit status yet.
  /// - Precondition: `sweepInterval` is positive.
  public convenience init(
    idleTimeout: Duration, sweepInterval: Duration = .seconds(60), sparesRunning: Bool = false
  ) {
    self.init(
      idleTimeout: idleTimeout, sweepInterval: sweepInterval, sparesRunning: sparesRunning,
      forgetsDropped: true)
  }

  /// Creates a manager that leaves it to its owner to call ``Session/noteForgotten()`` of what it
  /// drops.
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

  /// Makes a session known under its id, and counts as activity of it. One that was dropped before
  /// is not ``Session/isForgotten`` any more.
  ///
  /// - Returns: The session that had the id before, if there was one; unless it is the same, it is
  ///   no longer known.
  /// - Complexity: O(1), and a wake-up for each reader that waits for the session replaced.
  @discardableResult
  public func register(_ session: Session) -> Session? {
    session.noteActivity()
    let replaced = table.insert(session)
    wakeForgotten(replaced)
    return replaced
  }

  /// Ends the waits on a session that has left the table.
  private func wakeForgotten(_ session: Session?) {
    // One that was registered again is not forgotten; its waiters would only look and sleep on.
    if let session, session.isForgotten { session.waiters.wakeAll() }
  }

  /// The session with an id, if it is known. Looking it up is not activity.
  ///
  /// - Complexity: O(1).
  public func session(id: String) -> Session? { table.session(id: id) }

  /// Makes a session unknown, and ends the waits on it: it ``Session/isForgotten``. A caller that
  /// holds it can go on reading and appending.
  ///
  /// - Returns: The session, so that its process can be ended.
  /// - Complexity: O(1), and a wake-up for each reader that waits.
  @discardableResult
  public func forget(id: String) -> Session? {
    let forgotten = table.remove(id: id)
    wakeForgotten(forgotten)
    return forgotten
  }

  /// The number of sessions known; if others register or forget meanwhile, at some moment or other.
  public var count: Int { table.count }

  /// The sessions known, in no particular order.
  public var sessions: [Session] { table.all }
}

// MARK: Sweeping

extension SessionManager {
  /// Drops the sessions that have been idle for longer than the timeout, each by its own clock; but
  /// for those that ``sparesRunning`` spares. Waits on them end, as with ``forget(id:)``.
  ///
  /// - Returns: The sessions dropped, so that their processes can be ended.
  /// - Complexity: O(sessions), and a wake-up for each reader that waits for one dropped.
  @discardableResult
  public func sweep() -> [Session] {
    let timeout = idleTimeout.saturatedNanoseconds
    func hasExpired(_ session: borrowing Session, at now: Int64) -> Bool {
      // A session that was closed without an exit has nothing that runs.
      session.isIdle(forMoreThan: timeout, at: now)
        && !(sparesRunning && session.isAlive && !session.isClosed)
    }
    let now = ActivityClock.system.nanoseconds
    // A clock of the caller's may do anything, so none is read under the table's locks.
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

  /// Sweeps every ``sweepInterval`` from now on, until ``stop()`` or the end of the manager.
  ///
  /// Does nothing if that is so already.
  ///
  /// - Parameter onSweep: Receives the sessions dropped by each sweep that dropped any, on a
  ///   concurrent task, so that their processes can be ended. It is kept until ``stop()``: a
  ///   closure that refers to the manager must do so weakly, or the manager lives, and sweeps,
  ///   until then.
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

  /// Ends what ``run(onSweep:)`` began. Does nothing if that is so already.
  ///
  /// Does not wait for a sweep that is under way on another thread, nor for its `onSweep`.
  public func stop() {
    sweeper.withLock { sweeper in
      sweeper?.cancel()
      sweeper = nil
    }
  }

  /// Whether the manager sweeps by itself.
  public var isRunning: Bool { sweeper.withLock { $0 != nil } }
}
