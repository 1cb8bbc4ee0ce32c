import Foundation
import ProcessHost
import Processes

/// The `capture` that was built with these tests, and lies beside them.
let captureExecutable: String = {
  var places = [CommandLine.arguments[0]] + CommandLine.arguments.filter { $0.contains(".xctest") }
  if let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") {
    places.insert(own, at: 0)
  }
  for place in places {
    var directory = URL(fileURLWithPath: place)
    while directory.path != "/" {
      directory.deleteLastPathComponent()
      let candidate = directory.appendingPathComponent("capture").path
      let type = try? FileManager.default.attributesOfItem(atPath: candidate)[.type]
      if type as? FileAttributeType == .typeRegular { return candidate }
    }
  }
  fatalError("no capture beside \(places): build it with `swift build --product capture`")
}()

/// One run of `capture`, whose stdout and stderr go to files.
struct Run: ~Copyable {
  let process: HostedProcess
  private let directory: String

  /// Starts `capture` with options, `--` and a command.
  ///
  /// - Parameter redirections: In the shell's words, after those to the files.
  init(_ options: String..., command: [String], redirections: String = "") async throws {
    try await self.init(arguments: options + ["--"] + command, redirections: redirections)
  }

  init(arguments: [String], redirections: String = "") async throws {
    directory = NSTemporaryDirectory() + "capture-test-" + UUID().uuidString
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    let line = "exec \"$@\" >'\(directory)/out' 2>'\(directory)/err' \(redirections)"
    process = try await CommandHost.shared.launch(
      Command("/bin/sh", arguments: ["-c", line, "sh", captureExecutable] + arguments),
      into: Session(id: directory, workspaceID: "tests"))
  }

  /// What has been written so far.
  var stdout: Data { FileManager.default.contents(atPath: directory + "/out") ?? Data() }
  var stderr: String {
    String(
      decoding: FileManager.default.contents(atPath: directory + "/err") ?? Data(), as: UTF8.self)
  }

  /// Waits for the end, and returns everything.
  consuming func result() async throws -> RunResult {
    let exit = try await process.waitUntilClosed()
    return RunResult(exit: exit, stdout: stdout, stderr: stderr)
  }

  deinit { try? FileManager.default.removeItem(atPath: directory) }
}

struct RunResult {
  let exit: ProcessExit
  let stdout: Data
  let stderr: String

  var text: String { String(decoding: stdout, as: UTF8.self) }
}

/// Runs `capture` to its end.
func run(_ options: String..., command: [String]) async throws -> RunResult {
  try await Run(arguments: options + ["--"] + command).result()
}

/// Runs `capture --timeout LIMIT` with a shell's line that prints `ready` first or, once it has set
/// its traps, next.
///
/// On a busy machine the time may be up before that. Then the result says nothing, and the line
/// runs again with a limit that is four times as long.
func runUntilTimeIsUp(_ options: String..., line: String) async throws -> RunResult {
  for seconds in ["0.5", "2", "8", "32"] {
    let result = try await Run(
      arguments: ["--timeout", seconds] + options + ["--"] + shell(line)
    ).result()
    if result.text.contains("ready\n") { return result }
  }
  return try await Run(arguments: ["--timeout", "128"] + options + ["--"] + shell(line)).result()
}

func shell(_ line: String) -> [String] { ["sh", "-c", line] }

/// What `--json` writes.
struct Report {
  struct Chunk: Decodable {
    let seq: Int
    let stream: String
    let offset: Int
    let data_b64: Data
  }

  struct Summary: Decodable {
    let exit_code: Int32
    let alive: Bool
    let closed: Bool
    let chunks: Int
    let retained_bytes: Int
    let lost_bytes: Int
    let total_bytes: Int
    let missed_chunks: Int
    let missed_bytes: Int
    let signal: Int32?
    let timed_out: Bool
    let seconds: Double
  }

  let chunks: [Chunk]
  let summary: Summary
  let lastLine: String

  init(_ data: Data) throws {
    let lines = data.split(separator: UInt8(ascii: "\n"))
    let decoder = JSONDecoder()
    chunks = try lines.dropLast().map { try decoder.decode(Chunk.self, from: $0) }
    summary = try decoder.decode(Summary.self, from: lines.last ?? Data())
    lastLine = String(decoding: lines.last ?? Data(), as: UTF8.self)
  }

  func text(_ stream: String) -> String {
    let bytes = chunks.filter { $0.stream == stream }.reduce(into: Data()) { $0 += $1.data_b64 }
    return String(decoding: bytes, as: UTF8.self)
  }

  var chunkBytes: Int { chunks.reduce(0) { $0 + $1.data_b64.count } }
}

/// Waits for something that another process is about to bring about.
func eventually(_ condition: () -> Bool) async -> Bool {
  for _ in 0..<60_000 {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(1))
  }
  return false
}

/// How much there is to read.
func unreadBytes(of descriptor: Int32) -> Int {
  var count: Int32 = 0
  return unsafe ioctl(descriptor, UInt(FIONREAD), &count) == 0 ? Int(count) : 0
}

/// The states of a process's children, as `ps` shows them.
func childStates(of process: Int32) -> [String] {
  let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
  return names.compactMap { name in
    guard Int32(name) != nil, let data = FileManager.default.contents(atPath: "/proc/\(name)/stat")
    else { return nil }
    // "pid (name) state parent …"; the name may hold anything.
    let fields = String(decoding: data, as: UTF8.self).split(separator: ")").last?
      .split(separator: " ")
    guard let fields, fields.count > 1, Int32(fields[1]) == process else { return nil }
    return String(fields[0])
  }
}

/// Whether a process has ended; its zombie may be left.
func isGone(_ process: Int32) -> Bool {
  guard let data = FileManager.default.contents(atPath: "/proc/\(process)/stat") else {
    return true
  }
  let stat = String(decoding: data, as: UTF8.self)
  // X: it is being reaped.
  return stat.contains(") Z") || stat.contains(") X")
}
