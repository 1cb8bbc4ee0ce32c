import BenchmarkHarness
import CBenchmarkShims
import Foundation
import ProcessHost
import Processes
import Subprocess
import Synchronization
import SystemPackage

/// Starting and reaping children that do nothing: what a launch costs by itself.
func launchCases() -> [Case] {
  [(atOnce: 1, mebibytes: 0), (32, 0), (32, 500)].map { atOnce, mebibytes in
    // A rate of at least 0.9 of the limit's.
    let target = Target.both(.timesFaster(than: "subprocess", 1.5), .timesLimit(1.11))
    return .measuring(
      "launch", mebibytes == 0 ? "true" : "true-\(mebibytes)MiB", size: atOnce,
      targets: atOnce == 1 ? [:] : ["ProcessHost": target], sizeMeaning: .other("at once")
    ) { plan in
      _ = benchmark_pin_process(-1)
      return withTouchedMemory(mebibytes << 20) { measureLaunches(atOnce, plan) }
    }
  }
}

/// Runs a body while this process has so many bytes of memory more, every page of it touched: what
/// a copy of the page tables costs depends on it.
private func withTouchedMemory<Result>(_ bytes: Int, _ body: () -> Result) -> Result {
  guard bytes > 0 else { return body() }
  let memory = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 4_096)
  defer { unsafe memory.deallocate() }
  unsafe memset(memory, 1, bytes)
  return body()
}

/// The contenders in turn, round by round; the time of a round over the number of its launches.
private func measureLaunches(_ atOnce: Int, _ plan: Plan) -> [ContenderResult] {
  let contenders: [(name: String, launch: (LaunchTally, _ atOnce: Int) -> Void)] = [
    (limitName, launchOnThreads), ("ProcessHost", launchByProcessHost),
    ("subprocess", launchBySubprocess),
  ]
  // A launch takes about half a millisecond.
  let wanted = plan.available / plan.rounds / contenders.count / 500_000
  let launches = min(8 * atOnce, max(2 * atOnce, wanted))
  var times = contenders.map { _ in [Double]() }
  var failed = contenders.map { _ in 0 }
  for round in 0...plan.rounds {
    for (index, contender) in contenders.enumerated() {
      let tally = LaunchTally(launches)
      let start = Machine.nanoseconds()
      contender.launch(tally, atOnce)
      let time = Double(Machine.nanoseconds() - start) / Double(launches)
      failed[index] += tally.failed.load(ordering: .relaxed)
      // The first round warms up.
      if round > 0 { times[index].append(time) }
    }
  }
  return contenders.indices.map { index in
    ContenderResult(
      name: contenders[index].name, nanoseconds: times[index],
      metrics: [Metric("failed", Double(failed[index]), .count)])
  }
}

/// How many children are still to be launched, and how many did not exit with 0.
private final class LaunchTally: Sendable {
  private let left: Atomic<Int>
  let failed = Atomic(0)

  init(_ launches: Int) { left = Atomic(launches) }

  /// Returns whether there is one more to launch.
  func next() -> Bool { left.subtract(1, ordering: .relaxed).newValue >= 0 }

  func count(exitCode: Int32?) {
    if exitCode != 0 { failed.add(1, ordering: .relaxed) }
  }
}

#if canImport(Darwin)
  private let executable = "/usr/bin/true"
#else
  private let executable = "/bin/true"
#endif

/// The limit: `posix_spawn` and `waitpid` in a loop, on as many threads as there are to be children
/// at once; on 4 at most, because more than the processors can run at once gain nothing.
private func launchOnThreads(_ tally: LaunchTally, _ atOnce: Int) {
  let running = DispatchGroup()
  for _ in 0..<min(4, atOnce) {
    running.enter()
    Thread.detachNewThread {
      while tally.next() { tally.count(exitCode: spawnAndWait()) }
      running.leave()
    }
  }
  running.wait()
}

/// Starts a child and waits for its end; nil if it could not be started or did not exit.
private func spawnAndWait() -> Int32? {
  var process: pid_t = 0
  var arguments = unsafe [strdup(executable), nil]
  defer { unsafe free(arguments[0]) }
  var environment: [UnsafeMutablePointer<CChar>?] = unsafe [nil]
  guard unsafe posix_spawn(&process, executable, nil, nil, &arguments, &environment) == 0 else {
    return nil
  }
  var status: Int32 = 0
  while unsafe waitpid(process, &status, 0) < 0 {
    guard errno == EINTR else { return nil }
  }
  return status & 0x7f == 0 ? status >> 8 & 0xff : nil
}

private func launchByProcessHost(_ tally: LaunchTally, _ atOnce: Int) {
  launchInTasks(tally, atOnce) {
    let session = Session(id: "s", workspaceID: "w")
    let process = try await CommandHost.shared.launch(Command(executable), into: session)
    try await process.waitUntilClosed()
    return session.output().exitCode
  }
}

/// With no pipe to read from, which is the least that swift-subprocess can do; ProcessHost always
/// reads.
private func launchBySubprocess(_ tally: LaunchTally, _ atOnce: Int) {
  launchInTasks(tally, atOnce) {
    let result = try await Subprocess.run(
      .path(FilePath(executable)), input: .none, output: .discarded, error: .discarded)
    guard case .exited(let code) = result.terminationStatus else { return nil }
    return code
  }
}

/// Runs launches in so many tasks at once.
private func launchInTasks(
  _ tally: LaunchTally, _ atOnce: Int, _ launch: @escaping @Sendable () async throws -> Int32?
) {
  _ = Capturers.blocking {
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<atOnce {
        group.addTask {
          while tally.next() { tally.count(exitCode: (try? await launch()) ?? nil) }
        }
      }
      await group.waitForAll()
    }
    return 0
  }
}
