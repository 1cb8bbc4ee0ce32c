import ProcessHost
import Processes
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A process that a workspace has started, for as long as clients can ask about it.
final class Job: Sendable {
  let process: HostedProcess
  let stdin: StdinQueue?
  /// The order that started it. Its own workspace may see it; a log must not.
  let order: Order
  /// The grant that permitted its start.
  let grant: Grant
  let startedAt: Date
  private let holds = Atomic(0)
  private let forgotten = Atomic(false)

  var id: String { process.session.id }
  var workspace: String { process.session.workspaceID }
  var session: Session { process.session }
  /// Whether the process was ended because its time was up.
  var hasTimedOut: Bool { process.isTimedOut }
  /// Whether the job has been removed: deleted, evicted, or idle for too long.
  var isForgotten: Bool { forgotten.load(ordering: .acquiring) }
  /// Whether a request waits for the job or follows it.
  var isHeld: Bool { holds.load(ordering: .acquiring) > 0 }

  init(_ process: HostedProcess, order: Order, grant: Grant, stdinCapacity: Int) {
    self.process = process
    self.order = order
    self.grant = grant
    stdin = process.input.map { StdinQueue($0, capacity: stdinCapacity) }
    startedAt = Date()
  }

  /// Whether any process of the job may still run: the process itself, others of its group, or
  /// processes that hold its output open.
  var isActive: Bool {
    process.isRunning || process.hasLingeringGroup || !session.isClosed
  }

  /// Waits until no process of the job runs.
  func waitUntilInactive() async {
    _ = try? await process.waitUntilClosed()
    var interval: Duration = .milliseconds(10)
    while process.hasLingeringGroup {
      try? await Task.sleep(for: interval)
      interval = min(interval * 2, .milliseconds(500))
    }
  }

  /// The approximate memory of the job's output, in bytes, that of its head included.
  var retainedBytes: Int { max(session.totalBytes - session.lostBytes, Job.leastRetainedBytes) }

  /// The memory of a session with hardly any output, in bytes.
  static let leastRetainedBytes = 16_384

  /// Records that a client uses the job: it is not idle while it runs. How long an ended job can
  /// still be read does not depend on its readers.
  func touch() { if isActive { session.noteActivity() } }

  /// Records that the job has been removed, before its process is ended for that.
  func noteForgotten() { forgotten.store(true, ordering: .releasing) }

  /// Keeps the session from being idle while a request waits for it.
  func holding<Value: Sendable>(_ wait: () async throws -> Value) async rethrows -> Value {
    holds.wrappingAdd(1, ordering: .acquiringAndReleasing)
    defer {
      // Before the hold ends, so that no sweep comes between.
      session.noteActivity()
      holds.wrappingSubtract(1, ordering: .acquiringAndReleasing)
    }
    return try await wait()
  }

  /// Returns the state to give with an output: how the process ended, if the output includes its
  /// end.
  func ending(for output: Output) async -> Ending {
    var ending = Ending()
    ending.droppedBytes = process.droppedBytes
    ending.hasTimedOut = hasTimedOut
    ending.isForgotten = isForgotten
    guard output.exitCode != nil else { return ending }
    // Known by now, or in a moment.
    ending.signal = try? await process.waitForExit().signalName
    ending.wasOOMKilled = process.wasOOMKilled
    ending.usage = process.resourceUsage
    return ending
  }
}

/// A client's order to start a command.
struct Order: Sendable {
  let line: CommandLine
  var command: Command
  /// How many bytes of the beginning of the output are retained, beside the newest.
  var headBytes = 0
  /// Whether the session keeps when each chunk came.
  var timestamps = false
  /// Whether the command is kept however long it is silent.
  var isKeptAlive = false
  /// The name that its workspace gives it.
  var name: String?
  /// The key that identifies a repeated request.
  var idempotencyKey: String?
  /// A digest of the client's whole request, to check whether two orders with one key are the same.
  var fingerprint: SHA256Digest?
}

/// A command as a client gives it: a line for the shell, or a list of words.
enum CommandLine: Sendable {
  case shell(String)
  case words([String])

  /// Reads a field.
  init(_ fields: Fields, _ field: String) throws(APIError) {
    let value = try fields.require(field, fields[field])
    let message = "must be a string, for sh -c, or a list of at least one string"
    switch value {
    case .string(let line): self = .shell(line)
    case .array(let values):
      var words: [String] = []
      for value in values {
        guard case .string(let word) = value else { throw fields.error(field, message) }
        words.append(word)
      }
      guard !words.isEmpty else { throw fields.error(field, message) }
      self = .words(words)
    default: throw fields.error(field, message)
    }
  }

  var command: Command {
    switch self {
    case .shell(let line): Command("sh", "-c", line)
    case .words(let words): Command(words[0], arguments: Array(words.dropFirst()))
    }
  }

  var json: JSON {
    switch self {
    case .shell(let line): .string(line)
    case .words(let words): .array(words.map { .string($0) })
    }
  }
}

extension ProcessExit {
  /// The name of the signal; nil if it was not a signal.
  var signalName: String? {
    guard case .signaled(let number) = self else { return nil }
    return ProcessSignal(rawValue: number).name
  }
}
