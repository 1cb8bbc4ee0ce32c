import ArgumentParser
import CaptureFormat
import OutputRing
import ProcessHost
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Capture {
  // Runs on the main thread: writing blocks, and must not hold up the runtime's few threads.
  /// - Parameter given: The command and the file of `--output` as bytes, which the parser's strings
  ///   cannot always represent.
  @MainActor
  func run(_ given: CommandLineSplit) async throws {
    // Done while signals still have their default effect: opening a FIFO may take forever.
    let plainFile = try openFile(given.output, for: "--output")
    var castFile = try openFile(given.asciicast, for: "--asciicast")
    let (wait, terminal) = (OutputWait(), OwnTerminal())
    let sizes = TerminalSizes(ownTerminalSize() ?? TerminalSize())
    let signals = try takeSignals(wait, terminal, sizes)
    ignoreBrokenPipes()
    let session = try makeSession(given)
    castFile?.begin(Cast(of: session, running: given.command.map(\.description), in: sizes))
    let files = try startCopying(session, to: [plainFile, castFile].compactMap(\.self))
    let liveGate = lossless ? OutputGate() : nil
    let start = ContinuousClock.now
    let process: HostedProcess
    do {
      process = try await launch(
        given.command, in: sizes.first, into: session,
        heldUpBy: [files?.gate, liveGate].compactMap(\.self))
    } catch {
      // Nothing was recorded, and the next attempt may use the name.
      if let ring { unsafe unlink(ring) }
      throw error
    }
    defer { terminal.giveBack() }
    signals.forward(to: process)
    if let input = process.input {
      if tty, isatty(0) == 1 { terminal.take() }
      InputForwarder.start(to: input, from: terminal)
    }
    let timer = timeLimit?.start(for: process)
    let gates = [files?.gate, liveGate].compactMap(\.self)
    let end = watchEnd(of: process, timer, wait, heldUpBy: gates)

    var writer = OutputWriter(session: session, format: outputFormat(json: json, timestamps))
    if isLive {
      await writer.follow(until: { wait.end != nil }, heldUpBy: liveGate) {
        // The command gets the signal that it would have got if it had written to the pipe itself.
        // SIGTERM follows for a command that ignores SIGPIPE and checks for a write error, which it
        // does not get here.
        for signal in [.brokenPipe, .terminate, .resume] as [ProcessSignal] {
          try? process.signal(signal)
        }
      }
    }
    let (exit, endTime) = try await waitForOutput(of: process, end, wait)
    let elapsed = ContinuousClock.now - start
    let isTimedOut = timer?.isExpired ?? false
    terminal.giveBack()

    if let tail {
      let start = TailStart(lines: tail, of: session)
      writer = OutputWriter(
        session: session, since: start.cursor, skipping: start.skipped,
        format: outputFormat(json: json, timestamps))
    }
    if !isLive { writer.writeRetained(chunks: !onFailure || !exit.isSuccess || isTimedOut) }
    let fileProblems = files?.finish().problems ?? []
    for problem in fileProblems { complain(problem) }
    explain(exit, isTimedOut, wait.end, signals.thirdSignal)
    writer.finish(signal: exit.signal, isTimedOut: isTimedOut, after: endTime - start)
    if stats { writeStatistics(of: session, elapsed) }

    if isTimedOut, !preserveStatus { throw ExitCode(exit == .signaled(SIGKILL) ? 137 : 124) }
    if let signal = await signals.fatalSignal(after: exit) {
      SignalSource.end(by: signal.rawValue)
    }
    let isIncomplete = writer.hasFailed || lossless && writer.hasMissed || !fileProblems.isEmpty
    throw ExitCode(exit.isSuccess && isIncomplete ? 74 : exit.code)
  }

  private func openFile(_ path: Command.Text?, for option: String) throws -> OutputTarget? {
    guard let path else { return nil }
    do throws(WriteError) {
      return try OutputTarget(path: path)
    } catch {
      throw fail("cannot open \(path) for \(option): \(error.message)", status: 125)
    }
  }

  private func takeSignals(
    _ wait: OutputWait, _ terminal: OwnTerminal, _ sizes: TerminalSizes
  ) throws -> SignalForwarder {
    do throws(SystemError) {
      try Reserve.check()
      return try SignalForwarder.start(
        wait, terminal, sizes: tty ? sizes : nil, sharesTerminal: foreground)
    } catch {
      throw fail(
        "cannot get the threads and descriptors that capture needs: \(error.message)", status: 125)
    }
  }

  private func makeSession(_ given: CommandLineSplit) throws -> Session {
    let timestamps = timestamps || given.asciicast != nil
    guard let ring = given.ring else {
      do throws(RingAllocationError) {
        return try Session(
          allocating: "capture", capacity: capacity ?? Session.maxBufferBytes,
          headCapacity: head ?? 0, timestamps: timestamps)
      } catch {
        throw fail("\(error)", status: 125)
      }
    }
    guard let path = String(validating: ring.bytes, as: UTF8.self) else {
      throw fail("the file's name for --ring is not UTF-8: choose another", status: 125)
    }
    do throws(RingFileError) {
      return try Session(
        recordingTo: path, capacity: capacity ?? Session.maxBufferBytes,
        headCapacity: head ?? 0, timestamps: timestamps, commandBytes: given.command.map(\.bytes))
    } catch {
      throw fail("cannot make the file of --ring: \(error)", status: 125)
    }
  }

  /// Starts to copy the session to files; returns nil if there are none.
  private func startCopying(
    _ session: Session, to targets: [OutputTarget]
  ) throws -> OutputFiles? {
    guard !targets.isEmpty else { return nil }
    let files = OutputFiles()
    do throws(SystemError) {
      try files.start(copying: session, to: targets)
    } catch {
      throw fail("cannot start a thread for the output's files: \(error.message)", status: 125)
    }
    return files
  }

  @MainActor
  private func launch(
    _ words: [Command.Text], in size: TerminalSize, into session: Session,
    heldUpBy gates: [OutputGate]
  ) async throws -> HostedProcess {
    // Many captures may run at the same time. They share the capacity of the user's pipes with all
    // other programs.
    let host = CommandHost(pipeBudget: PipeBudget(part: 256))
    var command = Command(words[0], arguments: Array(words.dropFirst()))
    // `OutputWait` bounds the wait for other processes, however much they write.
    command.quietGrace = nil
    command.lingerLimit = nil
    if tty { command.terminal = size }
    if forwardsInput { command.input = .pipe }
    command.mergesStandardError = merge
    // In a group of its own the command would be stopped when it reads from the terminal.
    command.processGroup = foreground ? .inherited : .ownSession
    #if os(Linux)
      if !outlive { command.parentDeathSignal = .kill }
    #endif
    do throws(LaunchError) {
      return try await host.launch(command, into: session, heldUpBy: gates)
    } catch {
      throw fail("\(error)", status: error.exitStatus)
    }
  }

  /// Reports why the command cannot be started. Returns the exit status.
  private func fail(_ message: String, status: Int32) -> ExitCode {
    complain(message)
    if json {
      var lines = JSONLines { bytes throws(StreamError) in try Descriptor.stdout.put(bytes) }
      try? lines.append(error: message)
    }
    return ExitCode(status)
  }

  /// How and when the command ended.
  private typealias CommandEnd = (exit: ProcessExit, time: ContinuousClock.Instant)

  /// Waits in the background for the command's end; from then on, bounds the wait for its output.
  private func watchEnd(
    of process: HostedProcess, _ timer: TimeLimit.Timer?, _ wait: OutputWait,
    heldUpBy gates: [OutputGate]
  ) -> Task<CommandEnd, any Error> {
    // The command's own end of the output may be noticed a moment after its exit.
    let linger = max(lingerTime, .milliseconds(10))
    return Task.detached {
      let exit = try await process.waitForExit()
      timer?.stop()
      let time = ContinuousClock.now
      Task.detached {
        // If the group is being terminated, capture waits for its remaining members until they have
        // been killed.
        let start = timer?.killTime.map { max($0, time) } ?? time
        try? await Task.sleep(until: start + linger, clock: .continuous)
        // While capture itself holds up the writers, their time does not count.
        while gates.contains(where: \.isShut) { try? await Task.sleep(for: linger) }
        if !process.session.isClosed { wait.end(by: .linger) }
      }
      return (exit, time)
    }
  }

  /// Waits until the session is closed, or until the wait for output ends after the command's end.
  @MainActor
  private func waitForOutput(
    of process: HostedProcess, _ end: Task<CommandEnd, any Error>, _ wait: OutputWait
  ) async throws -> CommandEnd {
    let closing = Task.detached { _ = try? await process.waitUntilClosed() }
    wait.onEnd { closing.cancel() }
    await closing.value
    return try await end.value
  }

  /// Writes to stderr what the exit status alone does not show.
  private func explain(
    _ exit: ProcessExit, _ isTimedOut: Bool, _ waitEnd: OutputWait.End?, _ third: ProcessSignal?
  ) {
    if isTimedOut, let timeLimit {
      let isKilled = exit == .signaled(SIGKILL) && timeLimit.signal != .kill
      complain(
        "the command had not ended after \(timeLimit.time.text) (--timeout): it got"
          + " \(timeLimit.signal.name)\(isKilled ? ", and then SIGKILL" : "")")
    }
    if let third { complain("the command was killed at the third signal, \(third.name)") }
    if case .linger = waitEnd {
      complain(
        "other processes still held the command's output open \(lingerTime.text) after its end"
          + " (--linger): what they write from now on is not captured")
    }
  }
}

extension ProcessExit {
  /// The signal that ended the process; nil if none did.
  var signal: Int32? { if case .signaled(let number) = self { number } else { nil } }
}

extension LaunchError {
  /// The exit statuses that shells and similar programs return when they cannot start a command.
  fileprivate var exitStatus: Int32 {
    switch self {
    case .executableNotFound: 127
    case .notExecutable, .invalidCommand: 126
    case .badWorkingDirectory, .outOfResources, .hostClosed, .sessionInUse, .tooManySessions,
      .idTaken, .limitsUnavailable, .cancelled, .other:
      125
    }
  }
}
