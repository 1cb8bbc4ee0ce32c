import BenchmarkHarness
import CBenchmarkShims
import Dispatch
import Foundation
import Histogram
import ProcessHost
import Processes
import Synchronization

/// Many processes at once.
func processCases() -> [Case] {
  let crowd = Case.measuring(
    "processes", "crowd", size: Crowd.children, sizeMeaning: .other("children")
  ) { _ in
    _ = benchmark_pin_process(-1)
    return [
      Crowd.run("ProcessHost", Capturers.captureByProcessHost),
      Crowd.run("subprocess", Capturers.captureBySubprocess),
    ]
  }
  let fairness = Case.measuring(
    "processes", "line-to-waiter", size: 200, sizeMeaning: .other("quiet children")
  ) { plan in
    _ = benchmark_pin_process(-1)
    let stamps = min(100, max(10, plan.available / 50_000_000))
    return [
      delays("no flood", linesOfQuietChildren(200, stamps: stamps, floods: false)),
      delays("one flood", linesOfQuietChildren(200, stamps: stamps, floods: true)),
    ]
  }
  return [crowd, fairness, endingCase()]
}

/// Children started all at once, each of which writes a lot and exits.
private enum Crowd {
  static let children = 500
  static let bytesEach = 2_000_000

  static func run(
    _ name: String, _ capture: @escaping @Sendable (ChildWriter) async throws -> Int
  ) -> ContenderResult {
    let tally = Tally()
    let child = ChildWriter(bytes: bytesEach, piece: 65_536)
    let start = Machine.nanoseconds()
    _ = Capturers.blocking {
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<children {
          group.addTask {
            let received = (try? await capture(child)) ?? 0
            if received != bytesEach { tally.missing.withLock { $0 += bytesEach - received } }
            let count = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task"))?
              .count
            tally.threads.withLock { $0 = max($0, count ?? 0) }
          }
        }
        await group.waitForAll()
      }
      return 0
    }
    let time = Machine.nanoseconds() - start
    return ContenderResult(
      name: name, nanoseconds: [Double(time)],
      metrics: [
        Metric("threads", Double(tally.threads.withLock { $0 }), .count),
        Metric("missing_bytes", Double(tally.missing.withLock { $0 }), .bytes),
      ])
  }
}

private final class Tally: Sendable {
  let threads = Mutex(0)
  let missing = Mutex(0)
}

private final class SharedDelays: Sendable {
  let delays = Mutex(makeDelays())
}

/// Measures how long lines take from quiet children to the threads that wait for them, perhaps
/// beside a child that writes as much as it can.
private func linesOfQuietChildren(_ count: Int, stamps: Int, floods: Bool) -> Delays {
  let all = SharedDelays()
  _ = Capturers.blocking {
    let host = CommandHost()
    let flood =
      floods
      ? try await host.launch(
        Command("cat", "/dev/zero"), into: Session(id: "flood", workspaceID: "w")) : nil
    // All together as many lines as one child would write without so long a pause.
    let child = StampingChild(stamps: stamps, pause: 50_000_000)
    try await withThrowingTaskGroup(of: Void.self) { group in
      for index in 0..<count {
        let session = Session(id: "\(index)", workspaceID: "w", capacity: 65_536)
        try await host.launch(
          Command(child.executable, environment: .inherited(changing: child.environment)),
          into: session)
        group.addTask {
          for await output in session.outputs() {
            all.delays.withLock { all in
              unsafe output.chunks.payload.withUnsafeBytes { unsafe all.record($0) }
            }
          }
        }
      }
      try await group.waitForAll()
    }
    flood?.terminate(grace: .zero)
    await host.close(grace: .zero)
    return 0
  }
  return all.delays.withLock { $0 }
}
