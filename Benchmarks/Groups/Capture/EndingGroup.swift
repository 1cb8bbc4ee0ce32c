import BenchmarkHarness
import CBenchmarkShims
import Foundation
import Histogram
import ProcessHost
import Processes
import Synchronization

/// How long a command's lines take while many other commands of the host are terminated with a
/// grace.
func endingCase() -> Case {
  .measuring(
    "processes", "line-while-ending", size: Ending.processes,
    targets: ["ending": .nanoseconds(50_000_000)], sizeMeaning: .other("processes ending")
  ) { plan in
    _ = benchmark_pin_process(-1)
    // Each needs three descriptors. A short run has a tenth of them.
    let wanted = plan.rounds < Plan.full.rounds ? Ending.processes / 10 : Ending.processes
    let count = min(wanted, (raiseDescriptorLimit() - 256) / 3, processLimit() / 2)
    return Ending.run(max(1, count))
  }
}

private enum Ending {
  static let processes = 2_000

  /// Lines that come while the commands run, and while they end.
  static func run(_ count: Int) -> [ContenderResult] {
    let lines = Lines()
    let failed = Capturers.blocking {
      let host = CommandHost()
      var commands: [HostedProcess] = []
      var failed = 0
      for index in 0..<count {
        // Half of them end when they are asked to, the others when they are killed.
        let line = index % 2 == 0 ? "exec sleep 1000" : "trap '' TERM; exec sleep 1000"
        let session = Session(id: "\(index)", workspaceID: "w", capacity: 65_536)
        do {
          commands.append(try await host.launch(.shell(line), into: session))
        } catch {
          failed += 1
        }
      }
      let child = StampingChild(stamps: 1_000_000, pause: 1_000_000)
      let session = Session(id: "lines", workspaceID: "w")
      let writer = try await host.launch(
        Command(child.executable, environment: .inherited(changing: child.environment)),
        into: session)
      let reader = Task {
        for await output in session.outputs() { lines.record(output) }
      }
      try await Task.sleep(for: .seconds(1))
      lines.areEnding.store(true, ordering: .relaxed)
      for command in commands { command.terminate(grace: .seconds(1)) }
      for command in commands { try await command.waitUntilClosed() }
      writer.terminate(grace: .zero)
      await reader.value
      await host.close(grace: .zero)
      return failed
    }
    let recorded = [
      ("running", lines.running.withLock { $0 }), ("ending", lines.ending.withLock { $0 }),
    ]
    return recorded.map { name, recorded in
      ContenderResult(
        name: name, nanoseconds: [Double(recorded.maxRecorded)],
        metrics: delays(name, recorded).metrics + [
          Metric("processes", Double(count - failed), .count)
        ])
    }
  }
}

/// How long lines took, before and after the others were asked to end.
private final class Lines: Sendable {
  let running = Mutex(makeDelays())
  let ending = Mutex(makeDelays())
  let areEnding = Atomic(false)

  func record(_ output: Output) {
    let isEnding = areEnding.load(ordering: .relaxed)
    unsafe output.chunks.payload.withUnsafeBytes { bytes in
      if isEnding {
        ending.withLock { unsafe $0.record(bytes) }
      } else {
        running.withLock { unsafe $0.record(bytes) }
      }
    }
  }
}

/// Lets this process have as many descriptors as it may; returns how many.
private func raiseDescriptorLimit() -> Int {
  var limit = rlimit()
  #if canImport(Darwin)
    let resource = RLIMIT_NOFILE
  #else
    let resource = Int32(RLIMIT_NOFILE.rawValue)
  #endif
  unsafe getrlimit(resource, &limit)
  limit.rlim_cur = min(limit.rlim_max, 65_536)
  unsafe setrlimit(resource, &limit)
  unsafe getrlimit(resource, &limit)
  return Int(clamping: limit.rlim_cur)
}

/// How many processes this user may have.
private func processLimit() -> Int {
  var limit = rlimit()
  #if canImport(Darwin)
    unsafe getrlimit(RLIMIT_NPROC, &limit)
  #else
    unsafe getrlimit(Int32(__RLIMIT_NPROC.rawValue), &limit)
  #endif
  return Int(clamping: limit.rlim_cur)
}
