import ProcessHost

/// Runs jobs, and prints their output as it comes.
struct Runner: Sendable {
  let host: CommandHost
  /// The most jobs at a time.
  let limit: Int

  /// Runs all jobs.
  ///
  /// - Returns: Their results, in the order of the jobs.
  func run(_ jobs: [Job]) async -> [JobResult] {
    await withTaskGroup(of: (Int, JobResult).self) { group in
      var results: [Int: JobResult] = [:]
      for (index, job) in jobs.enumerated() {
        // The next job starts when one of those that run has ended.
        if index >= limit, let (ended, result) = await group.next() { results[ended] = result }
        group.addTask { (index, await run(job)) }
      }
      for await (index, result) in group { results[index] = result }
      return jobs.indices.compactMap { results[$0] }
    }
  }

  /// Runs one job.
  func run(_ job: Job) async -> JobResult {
    var result = JobResult(job: job, outcome: .succeeded)
    let session = Session(id: job.name)
    let process: HostedProcess
    do {
      process = try await host.launch(job.command, into: session)
    } catch {
      result.outcome = .notStarted("\(error)")
      return result
    }
    let timer = Task {
      try await Task.sleep(for: job.timeLimit)
      process.terminate(grace: .seconds(1))  // SIGTERM to the whole group, then SIGKILL
    }
    defer { timer.cancel() }
    // Cancelling a task does not end its command.
    await withTaskCancellationHandler {
      result.missedBytes = await printOutput(of: session, as: job.name)
      do {
        let exit = try await process.waitUntilClosed()
        timer.cancel()
        let isTimeUp = (try? await timer.value) != nil
        if !exit.isSuccess { result.outcome = isTimeUp ? .timedOut : .failed(exit) }
      } catch {
        result.outcome = .cancelled
      }
    } onCancel: {
      process.terminate(grace: .seconds(1))
    }
    return result
  }

  /// Prints each line with a name in front, until the session is closed.
  ///
  /// - Returns: The bytes that were overwritten before they were read.
  private func printOutput(of session: Session, as name: String) async -> Int {
    var missedBytes = 0
    var splitters: [StandardStream: LineSplitter] = [:]
    for await output in session.outputs() {
      if let missed = output.missedBytes, missed > 0 {
        missedBytes += missed
        splitters = [:]  // the rest of these lines is missing
        print("\(name) | … \(missed) bytes missed …")
      }
      for chunk in output.chunks {
        for line in splitters[chunk.stream, default: LineSplitter()].lines(endingIn: chunk.data) {
          print("\(name) | \(line)")
        }
      }
    }
    for stream in StandardStream.allCases {
      if let line = splitters[stream]?.lastLine() { print("\(name) | \(line)") }
    }
    return missedBytes
  }
}
