public import Processes

/// A process started by a ``CommandHost``, whose output goes to a session.
///
/// Dropping it does not end the process, and does not stop the capture.
public final class HostedProcess: Sendable, Identifiable {
  /// The process's number, which is also that of the process group that it leads.
  ///
  /// Belongs to someone else, sooner or later, once ``waitUntilClosed()`` has returned: send signals
  /// with ``signal(_:)``, which takes care of that.
  public let processID: Int32

  /// Where its output goes.
  public let session: Session

  private let lifecycle: Lifecycle

  init(processID: Int32, lifecycle: Lifecycle) {
    self.processID = processID
    self.lifecycle = lifecycle
    session = lifecycle.session
  }

  /// How the process ended; nil while it runs.
  public var exit: ProcessExit? { lifecycle.exit.value }

  /// Whether the process has not ended yet.
  public var isRunning: Bool { exit == nil }

  /// Waits until the process has ended.
  ///
  /// The session has its exit code then, and all that the process itself wrote. It need not be closed:
  /// another process, started by this one, may still hold its output open.
  ///
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  public func waitForExit() async throws(CancellationError) -> ProcessExit {
    try await lifecycle.exit.wait()
  }

  /// Waits until the process has ended, its output too, and nothing is left of it: the session is
  /// closed, the process reaped, and every descriptor that served it closed.
  ///
  /// - Returns: How the process ended.
  /// - Throws: `CancellationError` as soon as the waiting task is cancelled. The process runs on.
  @discardableResult
  public func waitUntilClosed() async throws(CancellationError) -> ProcessExit {
    try await lifecycle.done.wait()
    return try await lifecycle.exit.wait()
  }

  /// Sends a signal to the process and all others in its group: those that it started, and those that
  /// they started, unless they made groups of their own.
  ///
  /// Possible until the session is closed, so also while a grandchild outlives the process and holds
  /// its output open. Never reaches a process that has nothing to do with this one.
  ///
  /// - Throws: ``SignalError/processEnded`` after that; ``SignalError/refused(code:)`` if the system
  ///   does not permit it.
  public func signal(_ signal: ProcessSignal) throws(SignalError) { try lifecycle.send(signal) }
}
