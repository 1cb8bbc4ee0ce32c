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
  let id: String
  let process: any JobProcess
  /// The order that started it. Its own workspace may see it; a log must not.
  let order: Order
  /// The grant that permitted its start.
  let grant: Grant
  let startedAt: Date
  private let holds = Atomic(0)
  private let forgotten = Atomic(false)

  var workspace: String { grant.workspace }
  var session: SessionReader { process.session }
  /// When the session began, since 1970; nil if it does not keep when its chunks came.
  var startOfTimestamps: Duration? { session.hasTimestamps ? session.start : nil }
  /// Whether the process was ended because its time was up.
  var hasTimedOut: Bool { process.isTimedOut }
  /// Whether the job has been removed: deleted, evicted, or idle for too long.
  var isForgotten: Bool { forgotten.load(ordering: .acquiring) }
  /// Whether a request waits for the job or follows it.
  var isHeld: Bool { holds.load(ordering: .acquiring) > 0 }

  init(
    _ process: any JobProcess, order: Order, grant: Grant, startedAt: Date = Date()
  ) {
    id = process.session.id
    self.process = process
    self.order = order
    self.grant = grant
    self.startedAt = startedAt
  }

  /// Whether any process of the job may still run: the process itself, others of its group, or
  /// processes that hold its output open.
  var isActive: Bool { process.isActive }

  /// The approximate memory of the job's output, in bytes, that of its head included, and of its
  /// order.
  var retainedBytes: Int {
    max(session.totalBytes - session.lostBytes, Job.leastRetainedBytes) + order.size
  }

  /// The memory of a session with hardly any output, in bytes.
  static let leastRetainedBytes = 16_384

  /// Records that a client uses the job: it is not idle while it runs. How long an ended job can
  /// still be read does not depend on its readers.
  func touch() { if isActive { process.noteActivity() } }

  /// Records that the job has been removed, before its process is ended for that.
  func noteForgotten() {
    forgotten.store(true, ordering: .releasing)
    // No request can reach it any more.
    process.stopWaitingForReader()
  }

  /// Keeps the session from being idle while a request waits for it.
  func holding<Value: Sendable>(_ wait: () async throws -> Value) async rethrows -> Value {
    holds.wrappingAdd(1, ordering: .acquiringAndReleasing)
    defer {
      // Before the hold ends, so that no sweep comes between.
      process.noteActivity()
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
    ending.isHolderLost = output.isAbandoned && output.exitCode == nil
    guard output.exitCode != nil else { return ending }
    // Known by now, or in a moment; unless a file of output contradicts itself.
    ending.signal = await process.waitForExit(upTo: .seconds(5))?.signalName
    ending.wasOOMKilled = process.wasOOMKilled
    ending.usage = process.resourceUsage.map { Usage($0) }
    return ending
  }
}

/// A client's order to start a command.
struct Order: Sendable {
  let line: CommandLine
  var command: Command
  /// What the command's environment changes of the server's own.
  var environment: [Command.Text: Command.Text?] = [:]
  /// How many bytes of the beginning of the output are retained, beside the newest.
  var headBytes = 0
  /// Whether the session keeps when each chunk came.
  var timestamps = false
  /// The time between the first signal and `SIGKILL` when the command is ended because its time is
  /// up or by its client; nil for the server's own.
  var grace: Duration?
  /// How long the command waits for a sign of its lossless reader; nil if it has no such reader.
  var losslessTime: Duration?
  /// The approximate memory of the order itself, in bytes.
  var size = 0
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

  /// The command as lists have it: of a long one, the beginning.
  var excerpt: JSON {
    switch self {
    case .shell(let line): return .string(line.beginning(1_000))
    case .words(let words):
      var room = 1_000
      var excerpt: [JSON] = []
      for word in words {
        if room <= 0 {
          excerpt.append("…")
          break
        }
        excerpt.append(.string(word.beginning(room)))
        room -= word.unicodeScalars.count + 1
      }
      return .array(excerpt)
    }
  }
}

extension String {
  /// Returns the first characters, as many as there are scalars at most, and an ellipsis for the
  /// others. (A character can have any number of bytes, and a scalar has four at most.)
  func beginning(_ limit: Int) -> String {
    let start = unicodeScalars.prefix(limit)
    return String(start) + (start.endIndex < unicodeScalars.endIndex ? "…" : "")
  }
}

extension ProcessExit {
  /// The name of the signal; nil if it was not a signal.
  var signalName: String? {
    guard case .signaled(let number) = self else { return nil }
    return ProcessSignal(rawValue: number).name
  }
}
