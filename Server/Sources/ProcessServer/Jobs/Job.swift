import ProcessHost
import Processes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// A process that a workspace has started, for as long as it can be asked about.
final class Job: Sendable {
  let process: HostedProcess
  let stdin: StdinQueue?
  /// The command as it was given: for its own workspace to see, and for no log.
  let command: CommandLine
  let hasTerminal: Bool
  let startedAt: Date

  var id: String { process.session.id }
  var workspace: String { process.session.workspaceID }
  var session: Session { process.session }

  init(_ process: HostedProcess, command: CommandLine, hasTerminal: Bool, stdinCapacity: Int) {
    self.process = process
    self.command = command
    self.hasTerminal = hasTerminal
    stdin = process.input.map { StdinQueue($0, capacity: stdinCapacity) }
    startedAt = Date()
  }

  /// The memory that its output occupies, in bytes, more or less.
  var retainedBytes: Int { max(session.totalBytes - session.lostBytes, Job.leastRetainedBytes) }

  /// What a session costs that has next to no output.
  static let leastRetainedBytes = 16_384

  /// Says that someone is interested in it: it is not idle while it runs. How long an ended one can
  /// still be read does not depend on who reads.
  func touch() { if process.isRunning { session.noteActivity() } }

  /// The name of the signal that ended it, if an output that says that it has ended is right and one did.
  func signalName(for output: Output) async -> String? {
    guard output.exitCode != nil else { return nil }
    // Known by now, or in a moment.
    guard case .signaled(let number)? = try? await process.waitForExit() else { return nil }
    return ProcessSignal(rawValue: number).name
  }
}

/// A command as a client gives it: a line for the shell, or a list of words.
enum CommandLine: Sendable, Decodable {
  case shell(String)
  case words([String])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let line = try? container.decode(String.self) {
      self = .shell(line)
    } else if let words = try? container.decode([String].self), !words.isEmpty {
      self = .words(words)
    } else {
      throw DecodingError.dataCorrupted(
        DecodingError.Context(
          codingPath: decoder.codingPath,
          debugDescription: "must be a string, for sh -c, or a list of at least one string"))
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
