import BenchmarkHarness
import Foundation
import Processes

/// A manager with very many sessions, and what sessions cost.
func sessionCases() -> [Case] {
  [1_000, 10_000, 100_000].flatMap { crowd in tableCases(crowd) }
    + [
      Case("sessions", "create", size: 1) {
        [
          Contender("Session.init") { count in
            for _ in 0..<count { consume(Session(id: "s", workspaceID: "w")) }
          },
          // Every page of it is touched for the first time.
          Contender("first MiB") { count in
            let bytes = [UInt8](repeating: 1, count: 4_096)
            unsafe bytes.withUnsafeBytes { bytes in
              for _ in 0..<count {
                let session = Session(id: "s", workspaceID: "w")
                for _ in 0..<(1 << 20) / 4_096 { unsafe session.append(bytes, to: .stdout) }
              }
            }
          },
        ]
      }
    ]
    + [0, 1, 64, 4_096].map { chunk in
      .measuring("sessions", "memory", size: chunk, sizeMeaning: .bytes) { _ in
        [ContenderResult(name: "session", metrics: [residentBytes(chunk: chunk)])]
      }
    }
}

/// What a manager does with a number of sessions.
private func tableCases(_ crowd: Int) -> [Case] {
  [
    Case("sessions", "look-up", size: crowd, targets: ["one": .nanoseconds(100)]) {
      let (manager, ids) = populated(crowd)
      // The table's own cost, and what caches and page tables add to it as more are looked up in
      // turn.
      let active = stride(from: 0, to: crowd, by: crowd / 100).map { ids[$0] }
      return [
        Contender("one") { count in lookUp([ids[crowd / 2]], in: manager, stride: 1, count) },
        Contender("100 in turn") { count in lookUp(active, in: manager, stride: 71, count) },
        Contender("all in turn") { count in lookUp(ids, in: manager, stride: 7_919, count) },
        Contender("one, sweeping") { count in
          sweeping(manager) { lookUp([ids[crowd / 2]], in: manager, stride: 1, count) }
        },
      ]
    },
    Case(
      "sessions", "sweep", size: crowd,
      targets: crowd == 100_000 ? ["sweep()": .nanoseconds(5_000_000)] : [:]
    ) {
      let (manager, _) = populated(crowd)
      return [
        Contender("sweep()") { count in for _ in 0..<count { consume(manager.sweep().count) } }
      ]
    },
    Case("sessions", "register-forget", size: crowd) {
      let (manager, _) = populated(crowd)
      let session = Session(id: "one more", workspaceID: "w")
      return [
        Contender("both") { count in
          for _ in 0..<count {
            manager.register(session)
            consume(manager.forget(id: "one more"))
          }
        }
      ]
    },
  ]
}

/// Looks sessions up in an order that no prefetcher foresees; the stride has no divisor in common
/// with the number of ids.
private func lookUp(_ ids: [String], in manager: SessionManager, stride: Int, _ count: Int) {
  var place = 0
  for _ in 0..<count {
    consume(manager.session(id: ids[place]))
    place += stride
    while place >= ids.count { place -= ids.count }
  }
}

/// Runs a body while another thread sweeps without pause.
private func sweeping(_ manager: SessionManager, _ body: () -> Void) {
  let crew = Readers()
  crew.start(1) { crew in
    while !crew.stop.load(ordering: .acquiring) { manager.sweep() }
    return ReaderSums()
  }
  body()
  _ = crew.finish()
}

/// A manager whose sessions are all active, and their ids.
private func populated(_ count: Int) -> (SessionManager, [String]) {
  let manager = SessionManager(idleTimeout: .seconds(3_600))
  let ids = (0..<count).map { "session-\($0)-of-a-crowd" }
  for id in ids { manager.register(Session(id: id, workspaceID: "w")) }
  return (manager, ids)
}

/// Fills a session one and a half times, so that it is as large as it will ever be.
private func fill(_ session: Session, chunk: Int) {
  let bytes = [UInt8](repeating: 1, count: chunk)
  let count = max(Session.maxBufferBytes * 3 / 2 / chunk, Session.maxBufferedChunks * 3 / 2)
  unsafe bytes.withUnsafeBytes { bytes in
    for _ in 0..<count { unsafe session.append(bytes, to: .stdout) }
  }
}

/// What a session keeps in memory: empty for a chunk size of 0, else full.
private func residentBytes(chunk: Int) -> Metric {
  let count = chunk == 0 ? 2_000 : 50
  let before = resident()
  let sessions = (0..<count).map { Session(id: "session \($0)", workspaceID: "w") }
  if chunk > 0 { sessions.forEach { fill($0, chunk: chunk) } }
  let grown = resident() - before
  return withExtendedLifetime(sessions) {
    Metric("resident", Double(max(0, grown)) / Double(count), .bytes)
  }
}

/// The resident memory of this process; 0 where /proc does not tell.
private func resident() -> Int {
  guard let statm = try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8) else {
    return 0
  }
  let pages = statm.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
  return pages * sysconf(Int32(_SC_PAGESIZE))
}
