/// The sessions of a server, by id; those that have been idle for too long are swept out.
///
/// All operations are safe from any thread. Looking a session up never waits for a sweep longer than
/// it takes to go through one of 256 parts of the table.
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
  /// Whether sweeps leave sessions alone whose process has no exit status yet, however idle they are.
  public let sparesRunning: Bool

  private let table = SessionTable()
  private let sweeper = LockedState<Task<Void, Never>?>(nil)

  /// Creates a manager without sessions, which does not sweep by itself until ``run(onSweep:)``.
  ///
  /// - Parameters:
  ///   - idleTimeout: How long a session may be idle; one idle for longer is swept.
  ///   - sweepInterval: How often ``run(onSweep:)`` sweeps.
  ///   - sparesRunning: Whether sweeps leave sessions alone whose process has no exit status yet.
  /// - Precondition: `sweepInterval` is positive.
  public init(
    idleTimeout: Duration, sweepInterval: Duration = .seconds(60), sparesRunning: Bool = false
  ) {
    precondition(sweepInterval > .zero, "a sweep interval must be positive, not \(sweepInterval)")
    self.idleTimeout = idleTimeout
    self.sweepInterval = sweepInterval
    self.sparesRunning = sparesRunning
  }

  deinit { stop() }

  /// Makes a session known under its id, and counts as activity of it.
  ///
  /// - Returns: The session that had the id before, if there was one; it is no longer known.
  /// - Complexity: O(1).
  @discardableResult
  public func register(_ session: Session) -> Session? {
    session.noteActivity()
    return table.insert(session)
  }

  /// The session with an id, if it is known. Looking it up is not activity.
  ///
  /// - Complexity: O(1).
  public func session(id: String) -> Session? { table.session(id: id) }

  /// Makes a session unknown. Whoever holds it can go on using it.
  ///
  /// - Returns: The session, so that its process can be ended.
  /// - Complexity: O(1).
  @discardableResult
  public func forget(id: String) -> Session? { table.remove(id: id) }

  /// The number of sessions known; if others register or forget meanwhile, at some moment or other.
  public var count: Int { table.count }

  /// The sessions known, in no particular order.
  public var sessions: [Session] { table.all }
}

// MARK: Sweeping

extension SessionManager {
  /// Drops the sessions that have been idle for longer than the timeout, each by its own clock; but for
  /// those that ``sparesRunning`` spares.
  ///
  /// - Returns: The sessions dropped, so that their processes can be ended.
  /// - Complexity: O(sessions).
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
    return dropped
  }

  /// Sweeps every ``sweepInterval`` from now on, until ``stop()`` or the end of the manager.
  ///
  /// Does nothing if that is so already.
  ///
  /// - Parameter onSweep: Receives the sessions dropped by each sweep that dropped any, on a
  ///   concurrent task, so that their processes can be ended. It is kept until ``stop()``: a closure that
  ///   refers to the manager must do so weakly, or the manager lives, and sweeps, until then.
  public func run(onSweep: (@Sendable ([Session]) -> Void)? = nil) {
    let interval = sweepInterval
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
