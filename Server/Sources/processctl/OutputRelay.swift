/// The way of a command's output to processctl's own stdout and stderr, and to a file.
struct OutputRelay: Sendable {
  let session: RemoteSession
  let format: OutputFormat
  /// Whether output is written as it comes, and not at the command's end.
  let isLive: Bool
  /// Whether nothing may be missed on stdout.
  let isLossless: Bool
  /// Whether nothing is written of a command that succeeds.
  let waitsForFailure: Bool
  /// How many of the last lines to write; nil for all that is retained.
  let tail: Int?
  let file: OutputFile?
  let timeLimit: TimeLimit?
  let writesStatistics: Bool

  /// The time that the command may run, and what happens then.
  struct TimeLimit: Sendable {
    let time: Duration
    let signal: SignalWord
    /// Whether the command's own status counts even then.
    let preservesStatus: Bool
  }

  /// Writes the output, and returns the exit status.
  @MainActor func run() async throws -> Int32 {
    let start = ContinuousClock.now
    var writer = OutputWriter(format)
    var file = file
    var last = isLive || file != nil ? try await follow(to: &writer, &file) : try await end()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if !isLive, !waitsForFailure || last.status != 0 {
      // One answer has all that is retained.
      last = try await session.client.persistently { try await session.output([("since", "0")]) }
      if let tail {
        writer.write(last, lastLines: tail)
      } else {
        writer.write(last, isAll: true)
      }
    }
    let problems = file?.finish() ?? []
    for problem in problems { complain(problem) }
    explain(last)
    writer.finish(last, of: session.id, seconds: seconds)
    if writesStatistics { complain(last.statistics(seconds: seconds)) }
    if last.timedOut, timeLimit?.preservesStatus == true, let code = last.exitCode { return code }
    let isIncomplete = writer.hasFailed || isLossless && writer.hasMissed || !problems.isEmpty
    return isIncomplete && last.status == 0 ? ExitStatus.output.rawValue : last.status
  }

  /// Writes output as it comes, to the command's end.
  @MainActor
  private func follow(
    to writer: inout OutputWriter, _ file: inout OutputFile?
  ) async throws -> OutputAnswer {
    // As long as this reader acknowledges nothing, a command that waits for it is held up. So it
    // reads on even if nothing more can be written.
    let isWaitedFor = isLossless || file != nil
    var follower = Follower(session, isKnown: true, isLossless: isWaitedFor)
    var last: OutputAnswer?
    var isStopped = false
    while let answer = try await follower.next() {
      last = answer
      let presence = isWaitedFor ? session.stayPresent(at: follower.acknowledged) : nil
      file?.write(answer)
      if isLive { writer.write(answer) }
      presence?.cancel()
      guard writer.isStopped, !isStopped else { continue }
      isStopped = true
      if !writer.hasFailed { try await breakPipe() }
      if !isWaitedFor { break }
    }
    if let last, last.isLast { return last }
    return try await end()
  }

  /// Gives the command the signal that it would have got if it had written to the pipe itself, and
  /// SIGTERM if it ignores that one.
  private func breakPipe() async throws {
    for signal in ["SIGPIPE", "SIGTERM", "SIGCONT"] {
      try await session.signal(unlessEnded: signal)
    }
  }

  /// Waits for the end of the command and its output.
  @MainActor
  private func end() async throws -> OutputAnswer {
    guard let answer = try await session.wait(until: { $0.closed && !$0.sessionAlive }) else {
      throw Failure.forgotten
    }
    return answer
  }

  /// Writes to stderr what the exit status alone does not show.
  private func explain(_ last: OutputAnswer) {
    if last.isLost { complain(last.lossMessage) }
    guard last.timedOut, let timeLimit else { return }
    let isKilled = last.signal == "SIGKILL" && !timeLimit.signal.isKill
    complain(
      "the command had not ended after \(timeLimit.time.text) (--timeout): it got"
        + " \(timeLimit.signal.name)\(isKilled ? ", and then SIGKILL" : "")")
  }
}
