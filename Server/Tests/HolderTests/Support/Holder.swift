import Foundation
import HolderProtocol
import ProcessHost
import Processes

/// A holder, started as a daemon does it.
final class Holder: @unchecked Sendable {
  let process: Int32
  /// The connection over which it was started.
  let connection: DaemonConnection
  let directory: StateDirectory
  let files: StateFiles
  /// The answer to the launch order.
  private(set) var answer = HolderMessage(.unknown)
  private var status: Int32?

  /// Starts the executable, and gives it no order yet.
  init(in directory: StateDirectory, id: String = "s") throws {
    var ends: [Int32] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, streamSocket, 0, &ends) == 0 else {
      throw ConnectError(code: errno)
    }
    connection = DaemonConnection(ends[0])
    // Another number than 3, so that the file action below makes a copy that is inherited.
    let theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 10)
    close(ends[1])
    defer { close(theirs) }
    process = try spawn([builtExecutable("processd-holder")], descriptor: theirs)
    self.directory = directory
    files = directory.files(id)
  }

  deinit {
    if status == nil {
      kill(process, SIGKILL)
      var status: Int32 = 0
      _ = unsafe waitpid(process, &status, 0)
    }
  }

  /// Starts a holder, and orders a command.
  static func launch(
    _ command: Command, in directory: StateDirectory? = nil, id: String = "s",
    orphanTimeout: Duration = .seconds(3_600), environment: [Command.Text: Command.Text?] = [:],
    _ change: (inout LaunchOrder) -> Void = { _ in }
  ) async throws -> Holder {
    let holder = try Holder(in: try directory ?? StateDirectory(), id: id)
    var order = LaunchOrder(
      files: holder.files, workspace: "acme", orphanTimeout: orphanTimeout, command: command,
      environment: environment)
    change(&order)
    try await holder.launch(order)
    return holder
  }

  /// Starts a holder with a command line for the shell.
  static func launch(
    _ line: String, in directory: StateDirectory? = nil, hasInput: Bool = false,
    orphanTimeout: Duration = .seconds(3_600), _ change: (inout LaunchOrder) -> Void = { _ in }
  ) async throws -> Holder {
    var command = Command.shell(line)
    if hasInput { command.input = .pipe }
    return try await launch(command, in: directory, orphanTimeout: orphanTimeout, change)
  }

  func launch(_ order: LaunchOrder) async throws {
    directory.makeNeededRecord(order.files.id)
    try await connection.send(order.message)
    guard let answer = try await connection.receive() else { throw DaemonConnection.Ended() }
    self.answer = answer
  }

  /// The PID of the command.
  var command: Int32 { Int32(answer.number(.pid) ?? 0) }

  func recording() throws -> RecordedSession { try RecordedSession(at: files.ring) }

  /// Waits until the command's session is closed, and returns its whole output as text.
  func output() async throws -> String {
    let recording = try recording()
    var text: [UInt8] = []
    for await output in recording.outputs() {
      for chunk in output.chunks { text += chunk.data }
    }
    return String(decoding: text, as: UTF8.self)
  }

  /// Waits until the output contains a text.
  func output(contains text: String) async throws {
    let recording = try recording()
    try await eventually {
      var bytes: [UInt8] = []
      for chunk in recording.output().chunks { bytes += chunk.data }
      return String(decoding: bytes, as: UTF8.self).contains(text)
    }
  }

  /// Opens another connection, and says hello.
  func reconnect() async throws -> DaemonConnection {
    let connection = try DaemonConnection(to: files.socket)
    let welcome = try await connection.ask(.hello)
    guard welcome.kind == .welcome else { throw DaemonConnection.Ended() }
    return connection
  }

  /// Waits until the holder has ended. Returns its exit code, or 128 and the number of the signal
  /// that ended it.
  func exit() async throws -> Int32 {
    while status == nil {
      var result: Int32 = 0
      if unsafe waitpid(process, &result, WNOHANG) == process {
        status = result
      } else {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
    let status = status ?? 0
    return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
  }

  /// The numbers of the holder's open descriptors.
  var descriptors: [Int] {
    let names = try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/fd")
    return (names ?? []).compactMap { Int($0) }.sorted()
  }
}

/// Starts an executable as a daemon starts a holder: in a session of its own, with a descriptor as
/// its third beside `/dev/null`.
func spawn(
  _ arguments: [String], descriptor: Int32?, errors: Int32? = nil
) throws -> Int32 {
  #if canImport(Darwin)
    var actions: posix_spawn_file_actions_t?
    var attributes: posix_spawnattr_t?
  #else
    var actions = unsafe posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
  #endif
  unsafe posix_spawn_file_actions_init(&actions)
  defer { unsafe posix_spawn_file_actions_destroy(&actions) }
  for number in 0..<Int32(3) {
    unsafe posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_RDWR, 0)
  }
  if let errors { unsafe posix_spawn_file_actions_adddup2(&actions, errors, 2) }
  if let descriptor { unsafe posix_spawn_file_actions_adddup2(&actions, descriptor, 3) }
  unsafe posix_spawnattr_init(&attributes)
  defer { unsafe posix_spawnattr_destroy(&attributes) }
  var (none, all) = (sigset_t(), sigset_t())
  unsafe sigemptyset(&none)
  unsafe sigfillset(&all)
  unsafe posix_spawnattr_setsigmask(&attributes, &none)
  unsafe posix_spawnattr_setsigdefault(&attributes, &all)
  let flags = Int32(POSIX_SPAWN_SETSIGMASK) | Int32(POSIX_SPAWN_SETSIGDEF) | spawnSession
  unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
  let environment = ProcessInfo.processInfo.environment.map { "\($0)=\($1)" }
  let words = unsafe arguments.map { unsafe strdup($0) } + [nil]
  let variables = unsafe environment.map { unsafe strdup($0) } + [nil]
  defer { unsafe (words + variables).forEach { unsafe free($0) } }
  var process: pid_t = 0
  let code = unsafe posix_spawn(
    &process, arguments[0], &actions, &attributes, words, variables)
  guard code == 0 else { throw ConnectError(code: code) }
  return process
}

#if canImport(Darwin)
  private let spawnSession = POSIX_SPAWN_SETSID
#else
  private let spawnSession: Int32 = 0x80
#endif
