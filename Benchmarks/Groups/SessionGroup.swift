import BenchmarkHarness
import Processes

/// A manager with very many sessions.
func sessionCases() -> [Case] {
  let crowd = 100_000
  return [
    Case(
      "sessions", "look-up", size: crowd,
      targets: ["one": .nanoseconds(100)]
    ) {
      let (manager, ids) = populated(crowd)
      // The table's own cost, and what caches and page tables add to it as more are looked up in turn.
      let active = stride(from: 0, to: crowd, by: 100).map { ids[$0] }
      return [
        Contender("one") { count in lookUp([ids[crowd / 2]], in: manager, stride: 1, count) },
        Contender("1,000 in turn") { count in lookUp(active, in: manager, stride: 71, count) },
        Contender("all in turn") { count in lookUp(ids, in: manager, stride: 7_919, count) },
      ]
    },
    Case(
      "sessions", "sweep", size: crowd,
      targets: ["sweep()": .nanoseconds(5_000_000)]
    ) {
      let (manager, _) = populated(crowd)
      return [
        Contender("sweep()") { count in for _ in 0..<count { consume(manager.sweep().count) } }
      ]
    },
    Case("sessions", "create", size: 1) {
      [
        Contender("Session.init") { count in
          for _ in 0..<count { consume(Session(id: "s", workspaceID: "w")) }
        }
      ]
    },
  ]
}

/// Looks sessions up in an order that no prefetcher foresees; the stride has no divisor in common with
/// the number of ids.
private func lookUp(_ ids: [String], in manager: SessionManager, stride: Int, _ count: Int) {
  var place = 0
  for _ in 0..<count {
    consume(manager.session(id: ids[place]))
    place += stride
    if place >= ids.count { place -= ids.count }
  }
}

/// A manager whose sessions are all active, and their ids.
private func populated(_ count: Int) -> (SessionManager, [String]) {
  let manager = SessionManager(idleTimeout: .seconds(3_600))
  let ids = (0..<count).map { "session-\($0)-of-a-crowd" }
  for id in ids { manager.register(Session(id: id, workspaceID: "w")) }
  return (manager, ids)
}
