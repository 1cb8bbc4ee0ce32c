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
    var command = job.command
    command.timeLimit = job.timeLimit
    command.terminationGrace = .seconds(1)  // from SIGTERM to the whole group to SIGKILL
    let process: HostedProcess
    do {
      process = try await host.launch(command, into: session)
    } catch {
      result.outcome = .notStarted("\(error)")
      return result
    }
    // Cancelling a task does not end a command that was launched.
    await withTaskCancellationHandler {
      result.missedBytes = await printOutput(of: session, as: job.name)
      do {
        let exit = try await process.waitUntilClosed()
        if process.isTimedOut {
          result.outcome = .timedOut
        } else if !exit.isSuccess {
          result.outcome = .failed(exit)
        }
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
