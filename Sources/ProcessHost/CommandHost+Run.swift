public import Processes

extension CommandHost {
  /// Runs a command to its end, and returns how it ended and what it wrote.
  ///
  /// ```swift
  /// let result = try await CommandHost.shared.run(Command("date"), timeLimit: .seconds(10))
  /// print(result.exit, result.output.chunks.payload)
  /// ```
  ///
  /// Returns when the command has ended and its session is closed: other processes that hold its
  /// output open are waited for as long as ``Command/quietGrace`` and ``Command/lingerLimit``
  /// allow. Processes that the command leaves behind live on, as after ``launch(_:into:)``.
  ///
  /// The command reads nothing from its stdin unless ``Command/input`` is bytes: a
  /// ``Command/Input/pipe`` is closed at once.
  ///
  /// - Parameters:
  ///   - command: The command to run.
  ///   - timeLimit: How long the command may run, in place of ``Command/timeLimit``; nil for that
  ///     one. A command that is over its limit is terminated, and its result is returned like any
  ///     other: ``CommandResult/isTimedOut`` tells.
  ///   - capacity: The most bytes of output to return: the last ones. All that came before counts
  ///     as lost.
  /// - Returns: The result, whatever the command's exit is.
  /// - Throws: ``LaunchError`` if the command could not be started. `CancellationError` if the task
  ///   is cancelled: then the command and its group have been terminated, with
  ///   ``Command/terminationGrace`` between the signals, and none of them is left, unless the
  ///   system does not let this program end it (``close(grace:)`` would return it). A command that
  ///   is just being started is killed at once.
  /// - Precondition: `capacity` is from 1 to `Session.maxBufferBytes`.
  public func run(
    _ command: Command, timeLimit: Duration? = nil, capacity: Int = Session.maxBufferBytes
  ) async throws -> CommandResult {
    var command = command
    command.timeLimit = timeLimit ?? command.timeLimit
    let start = ContinuousClock.now
    let process = try await launchToRun(command, capacity: capacity)
    process.input?.close()
    do {
      _ = try await process.waitForExit()
      let duration = ContinuousClock.now - start
      let exit = try await process.waitUntilClosed()
      return CommandResult(
        exit: exit, output: process.session.output(), duration: duration,
        isTimedOut: process.isTimedOut, resourceUsage: process.resourceUsage)
    } catch {
      await process.end(grace: command.terminationGrace)
      throw error
    }
  }

  /// Starts a command, with a session of its own.
  private func launchToRun(_ command: Command, capacity: Int) async throws -> HostedProcess {
    let session: Session
    do throws(RingAllocationError) {
      session = try Session(allocating: command.executable.description, capacity: capacity)
    } catch {
      throw LaunchError.outOfResources(code: error.code)
    }
    do {
      return try await launch(command, into: session)
    } catch LaunchError.cancelled {
      throw CancellationError()
    }
  }
}

/// What a command that was run to its end has left: see ``CommandHost/run(_:timeLimit:capacity:)``.
public struct CommandResult: Sendable {
  /// How the command ended.
  public let exit: ProcessExit

  /// All output that is retained: the last of it, if there was more than the capacity.
  public let output: Output

  /// The number of bytes of output that are not in ``output``, because there was too much.
  public var lostBytes: Int { output.lostBytes }

  /// The time from the call to the command's end, by `ContinuousClock`.
  public let duration: Duration

  /// Whether the command was terminated because its time limit was over; see
  /// ``HostedProcess/isTimedOut``.
  public let isTimedOut: Bool

  /// The resources that the command and its descendants have used; nil if another part of this
  /// program has reaped the command.
  public let resourceUsage: ResourceUsage?
}

extension CommandResult: CustomStringConvertible {
  /// How the command ended and how much it wrote, such as
  /// `exited with 0 after 1.5 seconds; 2 chunks, 120 bytes, 0 lost`.
  public var description: String {
    let end = isTimedOut ? "timed out, \(exit)" : "\(exit)"
    return "\(end) after \(duration); \(output.chunks.count) chunks, "
      + "\(output.chunks.payload.count) bytes, \(lostBytes) lost"
  }
}
