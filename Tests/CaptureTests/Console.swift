import Foundation
import ProcessHost
import Processes
import Synchronization

/// A terminal in which a program runs, as a person would use it.
struct Console: ~Copyable {
  let process: HostedProcess

  /// Runs a line of bash, in which `$0` is `capture`.
  init(_ line: String) async throws {
    try await self.init(Command("bash", "-c", line, captureExecutable))
  }

  /// Runs a command.
  init(_ command: Command) async throws {
    var command = command
    command.terminal = TerminalSize()
    command.input = .pipe
    process = try await CommandHost.shared.launch(
      command, into: Session(id: "console", workspaceID: "tests"))
  }

  /// Starts an interactive shell, in which `$CAPTURE` is `capture`.
  static func shell() async throws -> Console {
    var command = Command("bash", "--norc", "--noprofile", "-i")
    command.environment = .inherited(changing: ["CAPTURE": captureExecutable, "PS1": "$ "])
    let console = try await Console(command)
    _ = await console.shows("$ ")
    return console
  }

  /// Types keys.
  func type(_ keys: String) async throws { try await process.input?.write(Array(keys.utf8)) }

  /// What has been shown since the start.
  var text: String {
    let bytes = process.session.output().chunks.flatMap { Array($0.data) }
    return String(decoding: bytes, as: UTF8.self)
  }

  /// Waits until something is shown.
  func shows(_ wanted: String) async -> Bool { await eventually { text.contains(wanted) } }

  deinit { process.terminate(grace: .zero) }
}

/// The state of a process, as `ps` shows it; nil if there is none.
func state(of process: Int32) -> Character? {
  FileManager.default.contents(atPath: "/proc/\(process)/stat").flatMap { data in
    String(decoding: data, as: UTF8.self).split(separator: ")").last?.dropFirst().first
  }
}

/// The number that a text has behind a word.
func number(after word: String, in text: String) -> Int32? {
  guard let range = text.range(of: word, options: .backwards) else { return nil }
  return Int32(text[range.upperBound...].prefix { $0.isNumber })
}

/// The processes that a process has started, and not reaped.
func children(of process: Int32) -> [Int32] {
  let directory = "/proc/\(process)/task"
  let threads = (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
  return threads.flatMap { thread in
    let data = FileManager.default.contents(atPath: "\(directory)/\(thread)/children") ?? Data()
    return String(decoding: data, as: UTF8.self).split(separator: " ").compactMap { Int32($0) }
  }
}
