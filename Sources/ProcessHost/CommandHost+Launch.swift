public import Processes

extension CommandHost {
  /// Starts a command, and captures its stdout and stderr into a session.
  ///
  /// The command leads a process group of its own by default; see ``Command/processGroup``. It
  /// starts with all signals at their defaults and none blocked, whatever this program's own are.
  /// It inherits descriptors 0, 1 and 2 and those in ``Command/inheritedDescriptors``.
  ///
  /// When the command has ended, the session gets its exit code at once (128 + n if signal n ended
  /// it). The session is closed when the last process that holds the command's stdout or stderr has
  /// closed them, when they have been quiet for ``Command/quietGrace``, or at the end of
  /// ``Command/lingerLimit``.
  ///
  /// If the task is cancelled, the launch fails with ``LaunchError/cancelled``. A process that was
  /// started already has then been killed. The launch does not wait for its output to end, even if
  /// other processes hold it open.
  ///
  /// - Parameters:
  ///   - command: The command to run.
  ///   - session: The session that receives its output. The process becomes its only producer, for
  ///     good: from now on a call of `append`, `setExit` or `close` on the session itself traps.
  /// - Returns: The process, which is running or has just ended.
  /// - Throws: ``LaunchError`` if the command could not be started; then nothing is left of it, and
  ///   the session is unchanged.
  /// - Complexity: One thread for all processes of this host; three descriptors a process, of which
  ///   two are closed when its outputs end, and a few more for a moment.
  @discardableResult
  public func launch(
    _ command: Command, into session: Session
  ) async throws(LaunchError) -> HostedProcess {
    try await launch(command, into: session) { _ in }
  }

  /// Starts a command that waits for a reader which must get all of its output.
  ///
  /// As ``launch(_:into:)``, but the host does not read from the command's pipes as long as more
  /// than a quarter of what the session retains waits for the reader; see ``LosslessReader``.
  ///
  /// - Parameters:
  ///   - command: The command to run.
  ///   - session: The session that receives its output.
  ///   - reader: The reader, which serves this command alone.
  /// - Returns: The process, which is running or has just ended.
  /// - Throws: ``LaunchError`` if the command could not be started.
  /// - Precondition: no other command waits for the reader, or has; and the session's capacity is
  ///   at least `Session.maxBufferBytes`: a smaller one cannot hold what the command's pipes do.
  @discardableResult
  public func launch(
    _ command: Command, into session: Session, waitingFor reader: LosslessReader
  ) async throws(LaunchError) -> HostedProcess {
    reader.check(session)
    let process = try await launch(command, into: session, heldUpBy: [reader.gate])
    reader.bind(to: session)
    return process
  }

  /// Starts a command, and holds it up while its output waits for a reader.
  package func launch(
    _ command: Command, into session: Session, heldUpBy gates: [OutputGate]
  ) async throws(LaunchError) -> HostedProcess {
    try await launch(command, into: session, heldUpBy: gates) { _ in }
  }

  /// Starts a command, and passes the launch to a closure before it begins, so that it can be
  /// cancelled.
  func launch(
    _ command: Command, into session: Session, heldUpBy gates: [OutputGate] = [],
    willBegin: (Launch) -> Void
  ) async throws(LaunchError) -> HostedProcess {
    try command.validate()
    if Task.isCancelled { throw .cancelled }
    let eventLoop = try runningEventLoop()
    guard let sink = OutputSink(session, heldUpBy: gates) else {
      throw .sessionInUse(id: session.id)
    }
    let launch: Launch
    do throws(LaunchError) {
      launch = try Launch(command, on: eventLoop, into: sink, cgroups: cgroups)
    } catch {
      sink.giveBack()
      throw error
    }
    guard eventLoop.begin(launch) else {
      sink.giveBack()
      throw .hostClosed
    }
    willBegin(launch)
    switch await run(launch, on: eventLoop) {
    case .failure(let error):
      sink.giveBack()
      throw launch.cancellation ?? error
    case .success(let started):
      if Task.isCancelled { launch.cancel(.cancelled) }
      if let reason = launch.cancellation {
        await started.lifecycle.end(started.outputs)
        throw reason
      }
      return HostedProcess(
        processID: started.processID, lifecycle: started.lifecycle,
        input: input(of: started, command),
        terminal: command.terminal == nil ? nil : started.input, host: self)
    }
  }

  /// Runs a launch to its end, on a thread that may block.
  private func run(_ launch: Launch, on eventLoop: EventLoop) async -> Launch.Answer {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let answer: @Sendable (Launch.Answer) -> Void = { answer in
          eventLoop.finish(launch)
          continuation.resume(returning: answer)
        }
        do throws(SystemError) {
          try Launchers.shared.run { launch.run(answer) }
        } catch {
          answer(.failure(error.launchError("cannot start a thread that starts processes")))
        }
      }
    } onCancel: {
      launch.cancel(.cancelled)
    }
  }

  /// Returns the input that the process's owner writes to; nil if there is none. Writes the bytes
  /// that the command provides.
  private func input(of started: Launch.Started, _ command: Command) -> ProcessInput? {
    guard let pipe = started.input else { return nil }
    switch command.input {
    case .none:
      return nil
    case .bytes(let bytes):
      pipe.write(bytes, as: pipe.makeTicket(), nil)
      pipe.close()
      return nil
    case .pipe:
      return ProcessInput(pipe)
    }
  }
}
