import Processes
import Synchronization

/// Runs the steps of a script on a session manager and on the model, and compares after each.
package enum ManagerInterpreter {
  /// A clock that stands still until told otherwise.
  private final class ManualTime: Sendable {
    let nanoseconds = Atomic<Int64>(1_000_000_000)
    var now: Int64 { nanoseconds.load(ordering: .relaxed) }
    func advance(_ step: Int64) { nanoseconds.wrappingAdd(step, ordering: .relaxed) }
  }

  package static func run(
    _ operations: [ManagerOperation], idleTimeout: Int64
  ) -> Difference? {
    let time = ManualTime()
    let clock = ActivityClock { time.now }
    let manager = SessionManager(idleTimeout: .nanoseconds(idleTimeout))
    var model = ManagerModel(idleTimeout: idleTimeout)
    var sessions: [Session] = []
    /// Readers that sleep, and the sessions for which they wait.
    var waits: [(pending: PendingWait, serial: Int)] = []
    /// The sessions for whose readers there is news.
    var news: Set<Int> = []

    func entry(_ session: Session?) -> ManagerModel.Entry? {
      guard let session, let serial = sessions.firstIndex(where: { $0 === session }) else {
        return nil
      }
      return ManagerModel.Entry(id: Int(session.id)!, serial: serial)
    }

    /// Uses the session that both say has the id, if one does.
    func use(_ id: Int, _ body: (Session, Int) -> Void) -> String? {
      let found = entry(manager.session(id: "\(id)"))
      if found != model.session(id) {
        return "session \(id) is \(found as Any), not \(model.session(id) as Any)"
      }
      if let found { body(sessions[found.serial], found.serial) }
      return nil
    }

    func same(_ found: ManagerModel.Entry?, _ expected: ManagerModel.Entry?) -> String? {
      found == expected ? nil : "returned \(found as Any), not \(expected as Any)"
    }

    func run(_ operation: ManagerOperation) -> String? {
      switch operation {
      case .register(let id):
        let session = Session(id: "\(id)", workspaceID: "w", capacity: 10, clock: clock)
        sessions.append(session)
        let serial = model.create(now: time.now)
        let replaced = model.register(.init(id: id, serial: serial), now: time.now)
        return same(entry(manager.register(session)), replaced)
      case .registerAgain(let id):
        guard let known = model.session(id) else { return nil }
        let replaced = model.register(known, now: time.now)
        return same(entry(manager.register(sessions[known.serial])), replaced)
      case .forget(let id):
        return same(entry(manager.forget(id: "\(id)")), model.forget(id))
      case .lookUp(let id):
        return use(id) { _, _ in }
      case .append(let id, let bytes):
        return use(id) { session, serial in
          session.append([UInt8](repeating: 1, count: bytes), to: .stdout)
          if bytes > 0 { news.insert(serial) }
          model.touch(serial, now: time.now)
        }
      case .abandonReservation(let id):
        return use(id) { session, _ in
          unsafe session.append(reserving: 5, to: .stdout) { _, _ in 0 }
        }
      case .setExit(let id):
        return use(id) { session, serial in
          session.setExit(0)
          news.insert(serial)
          model.touch(serial, now: time.now)
        }
      case .close(let id):
        return use(id) { session, serial in
          session.close()
          news.insert(serial)
        }
      case .read(let id):
        return use(id) { session, _ in _ = session.output() }
      case .wait(let id):
        return use(id) { session, serial in
          let pending = PendingWait(for: session, past: session.output().cursor)
          waits.append((pending, serial))
          if session.isClosed { news.insert(serial) }
        }
      case .advance(let nanoseconds):
        time.advance(nanoseconds)
        return nil
      case .sweep:
        let dropped = manager.sweep().compactMap { entry($0) }.sorted { $0.id < $1.id }
        let expected = model.sweep(now: time.now).sorted { $0.id < $1.id }
        return dropped == expected ? nil : "swept \(dropped), not \(expected)"
      }
    }

    func compareAll() -> String? {
      if manager.count != model.entries.count {
        return "count is \(manager.count), not \(model.entries.count)"
      }
      let found = manager.sessions.compactMap { entry($0) }.sorted { $0.id < $1.id }
      let expected = model.entries.sorted { $0.id < $1.id }
      if found != expected { return "sessions are \(found), not \(expected)" }
      for (serial, session) in sessions.enumerated()
      where session.lastActivity.nanoseconds != model.lastActivity(of: serial) {
        return "last activity of \(session.id) is \(session.lastActivity)"
      }
      for (serial, session) in sessions.enumerated()
      where session.isForgotten != model.isForgotten(serial) {
        return "session \(session.id) is \(session.isForgotten ? "" : "not ")forgotten"
      }
      for wait in waits {
        let isOver = model.isForgotten(wait.serial) || news.contains(wait.serial)
        if wait.pending.isOver != isOver {
          return "a wait for \(sessions[wait.serial].id) is \(isOver ? "not " : "")over"
        }
      }
      waits.removeAll { $0.pending.isOver }
      news = []
      return nil
    }

    for (step, operation) in operations.enumerated() {
      if let details = run(operation) ?? compareAll() {
        return Difference(step: step, operation: "\(operation)", details: details)
      }
    }
    return nil
  }
}
