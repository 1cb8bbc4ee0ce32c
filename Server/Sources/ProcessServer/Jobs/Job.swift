import NIOCore
import NIOPosix
import ProcessHost
import Processes
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A process that a workspace has started, for as long as it can be asked about.
final class Job: Sendable {
  let process: HostedProcess
  let stdin: StdinQueue?
  /// What was asked for: for its own workspace to see, and for no log.
  let order: Order
  /// What gave the right to start it.
  let grant: Grant
  let startedAt: Date
  private let holds = Atomic(0)
  private let timedOut = Atomic(false)
  private let forgotten = Atomic(false)

  var id: String { process.session.id }
  var workspace: String { process.session.workspaceID }
  var session: Session { process.session }
  /// Whether it was ended because its time was up.
  var hasTimedOut: Bool { timedOut.load(ordering: .acquiring) }
  /// Whether it is no longer known: it was deleted, evicted, or idle for too long.
  var isForgotten: Bool { forgotten.load(ordering: .acquiring) }
  /// Whether a request waits for it or follows it.
  var isHeld: Bool { holds.load(ordering: .acquiring) > 0 }

  init(_ process: HostedProcess, order: Order, grant: Grant, stdinCapacity: Int) {
    self.process = process
    self.order = order
    self.grant = grant
    stdin = process.input.map { StdinQueue($0, capacity: stdinCapacity) }
    startedAt = Date()
  }

  /// Whether anything of it may still run: the process, others of its group, or what holds its
  /// output open.
  var isActive: Bool {
    process.isRunning || process.hasLingeringGroup || !session.isClosed
  }

  /// Waits until nothing of it runs.
  func waitUntilInactive() async {
    _ = try? await process.waitUntilClosed()
    var interval: Duration = .milliseconds(10)
    while process.hasLingeringGroup {
      try? await Task.sleep(for: interval)
      interval = min(interval * 2, .milliseconds(500))
    }
  }

  /// The memory that its output occupies, in bytes, more or less.
  var retainedBytes: Int { max(session.totalBytes - session.lostBytes, Job.leastRetainedBytes) }

  /// What a session costs that has next to no output.
  static let leastRetainedBytes = 16_384

  /// Says that someone is interested in it: it is not idle while it runs. How long an ended one can
  /// still be read does not depend on its readers.
  func touch() { if isActive { session.noteActivity() } }

  /// Says that it is no longer known, before its process is ended for that.
  func noteForgotten() { forgotten.store(true, ordering: .releasing) }

  /// Keeps the session from being idle while a request waits for it.
  func holding<Value: Sendable>(_ wait: () async throws -> Value) async rethrows -> Value {
    holds.wrappingAdd(1, ordering: .acquiringAndReleasing)
    defer {
      // Before it is no longer held, so that no sweep comes between.
      session.noteActivity()
      holds.wrappingSubtract(1, ordering: .acquiringAndReleasing)
    }
    return try await wait()
  }

  /// Ends the process when its time is up, if that is limited.
  func limitTime(grace: Duration) {
    guard let limit = order.timeout else { return }
    // An event loop forgets a timer that is cancelled. A task's sleep would occupy memory until it
    // had ended, however early the process does.
    let amount = TimeAmount(min(limit, .seconds(1 << 32)))
    let timer = MultiThreadedEventLoopGroup.singleton.any().scheduleTask(in: amount) {
      [weak self] in
      Task {
        guard let self, self.process.exit == nil else { return }
        self.timedOut.store(true, ordering: .releasing)
        self.process.terminate(grace: grace)
      }
    }
    Task { [process] in
      _ = try? await process.waitForExit()
      timer.cancel()
    }
  }

  /// What is to be told with an output: how the process ended, if the output says that it has.
  func ending(for output: Output) async -> Ending {
    var ending = Ending()
    ending.droppedBytes = process.droppedBytes
    ending.hasTimedOut = hasTimedOut
    ending.isForgotten = isForgotten
    guard output.exitCode != nil else { return ending }
    // Known by now, or in a moment.
    ending.signal = try? await process.waitForExit().signalName
    ending.wasOOMKilled = process.wasOOMKilled
    ending.usage = process.resourceUsage.map { Ending.Usage($0) }
    return ending
  }
}

/// What a client asks for that starts a command.
struct Order: Sendable {
  let line: CommandLine
  var command: Command
  /// After how long it is ended.
  var timeout: Duration?
  /// Whether it is kept however long it is silent.
  var isKeptAlive = false
  /// What its workspace's people call it.
  var name: String?
  /// What tells a repeated request from another.
  var idempotencyKey: String?
  /// A digest of all that the client said, to tell whether two orders with one key are the same.
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
  /// The name of the signal that it was, if it was one.
  var signalName: String? {
    guard case .signaled(let number) = self else { return nil }
    return ProcessSignal(rawValue: number).name
  }
}
