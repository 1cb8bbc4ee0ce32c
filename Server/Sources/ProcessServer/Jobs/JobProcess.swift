import HolderProtocol
import ProcessHost
import Processes
import Synchronization

/// The process of a job: one that this program has started (``OwnProcess``), or one that a holder
/// keeps (``HeldProcess``).
protocol JobProcess: AnyObject, Sendable {
  var processID: Int32 { get }
  /// The session that receives the process's output.
  var session: SessionReader { get }
  /// Whether a client can write to the process's stdin.
  var hasInput: Bool { get }
  /// Whether the process has not ended yet.
  var isRunning: Bool { get }
  /// Whether any process of the job may still run: the process itself, others of its group, or
  /// processes that hold its output open.
  var isActive: Bool { get }
  /// Whether the process was ended because its time was up.
  var isTimedOut: Bool { get }
  /// Whether the system has killed the process for lack of memory; nil if that is unknown.
  var wasOOMKilled: Bool? { get }
  /// Whether the process was left to another daemon, since this one ends.
  var isLeft: Bool { get }
  /// Nil while the process runs, or if that is unknown.
  var resourceUsage: ResourceUsage? { get }
  /// The number of bytes that arrived after the session had been closed.
  var droppedBytes: Int { get }
  /// When something happened last: output, the exit, or ``noteActivity()``. For comparisons with
  /// other processes of the same host.
  var lastActivity: Duration { get }

  /// Checks that the session can be read.
  ///
  /// - Throws: ``APIError`` with 503 if its file is damaged.
  func checkReadable() throws(APIError)

  /// Waits until the process has exited, or a time is up.
  ///
  /// - Parameter limit: The longest time to wait; nil for as long as it takes.
  /// - Returns: How the process ended; nil if it has not, if that is not known, or if the task was
  ///   cancelled.
  func waitForExit(upTo limit: Duration?) async -> ProcessExit?

  /// Waits until the session is closed, or nothing can come any more.
  func waitUntilClosed() async

  /// Waits until no process of the job runs.
  func waitUntilInactive() async

  /// Records that the job is in use.
  func noteActivity()

  /// Writes bytes to the process's stdin; returns nil if it has none.
  func write(
    _ bytes: [UInt8], isEnd: Bool, patience: Duration
  ) async throws(APIError) -> StdinQueue.Answer?

  /// Sends a signal to the process's group.
  func send(_ signal: ProcessSignal) async throws(APIError)

  /// Changes the size of the process's terminal.
  func resize(to size: TerminalSize) async throws(APIError)

  /// Ends the process, and all others of its group.
  func terminate(grace: Duration)

  /// Records that the lossless reader has all output up to a position.
  ///
  /// - Returns: Whether the cursor is one of the session's.
  func acknowledge(_ cursor: Cursor) -> Bool

  /// Records that the lossless reader has left.
  func stopWaitingForReader()
}

/// A process that this program has started, and that ends with it.
final class OwnProcess: JobProcess {
  let process: HostedProcess
  /// The client for which the process waits; nil for none.
  let losslessReader: LosslessReader?
  private let stdin: StdinQueue?

  init(_ process: HostedProcess, losslessReader: LosslessReader?, stdinCapacity: Int) {
    self.process = process
    self.losslessReader = losslessReader
    stdin = process.input.map { StdinQueue($0, capacity: stdinCapacity) }
  }

  var processID: Int32 { process.processID }
  var session: SessionReader { process.session }
  var hasInput: Bool { stdin != nil }
  var isRunning: Bool { process.isRunning }
  var isActive: Bool {
    process.isRunning || process.hasLingeringGroup || !process.session.isClosed
  }
  var isLeft: Bool { false }
  var isTimedOut: Bool { process.isTimedOut }
  var wasOOMKilled: Bool? { process.wasOOMKilled }
  var resourceUsage: ResourceUsage? { process.resourceUsage }
  var droppedBytes: Int { process.droppedBytes }
  var lastActivity: Duration { .nanoseconds(process.session.lastActivity.nanoseconds) }

  func checkReadable() {}

  func waitForExit(upTo limit: Duration?) async -> ProcessExit? {
    (try? await process.waitForExit(upTo: limit)) ?? nil
  }

  func waitUntilClosed() async { _ = try? await process.waitUntilClosed() }

  func waitUntilInactive() async {
    await waitUntilClosed()
    var interval: Duration = .milliseconds(10)
    while process.hasLingeringGroup {
      try? await Task.sleep(for: interval)
      interval = min(interval * 2, .milliseconds(500))
    }
  }

  func noteActivity() { process.session.noteActivity() }

  func write(_ bytes: [UInt8], isEnd: Bool, patience: Duration) async -> StdinQueue.Answer? {
    await stdin?.write(bytes, isEnd: isEnd, patience: patience)
  }

  func send(_ signal: ProcessSignal) throws(APIError) {
    do throws(SignalError) {
      try process.signal(signal)
    } catch {
      switch error {
      case .processEnded: throw APIError.processEnded
      case .notPermitted, .refused: throw APIError.signalRefused("\(error)")
      }
    }
  }

  func resize(to size: TerminalSize) throws(APIError) {
    do throws(TerminalError) {
      try process.resize(to: size)
    } catch {
      switch error {
      case .noTerminal: throw APIError.noTerminal
      case .processEnded: throw APIError.processEnded
      }
    }
  }

  func terminate(grace: Duration) { process.terminate(grace: grace) }

  func acknowledge(_ cursor: Cursor) -> Bool { losslessReader?.acknowledge(cursor) ?? false }

  func stopWaitingForReader() { losslessReader?.leave() }
}

extension APIError {
  static let noTerminal = APIError(
    .conflict, "no_terminal", "this process has no terminal: it was started without tty")

  static func signalRefused(_ reason: String) -> APIError {
    APIError(.conflict, "signal_refused", reason)
  }
}
