import Foundation
import HolderProtocol
import ProcessHost
import Processes
import Testing

@Suite("Launches that fail", .timeLimit(.minutes(10)))
struct LaunchFailureTests {
  /// Starts a holder whose launch fails, and returns why.
  private func failure(
    _ command: Command, in directory: StateDirectory, id: String = "s",
    _ change: (inout LaunchOrder) -> Void = { _ in }
  ) async throws -> HolderFailure {
    let holder = try await Holder.launch(command, in: directory, id: id, change)
    #expect(holder.answer.kind == .failed)
    #expect(try await holder.connection.receive() == nil)
    #expect(try await holder.exit() == 1)
    return HolderFailure(holder.answer)
  }

  /// Makes an executable file outside of the directory of the state.
  private func file(_ contents: String, mode: Int, _ directory: StateDirectory) throws -> String {
    let path = directory.path + "/file"
    try Data(contents.utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
  }

  @Test("A command that is not there leaves nothing")
  func notFound() async throws {
    let directory = try StateDirectory()
    #expect(
      try await failure(Command("/no/such"), in: directory)
        == .launch(.executableNotFound(name: "/no/such", searched: [])))
    #expect(
      try await failure(Command("no-such"), in: directory) { $0.environment = ["PATH": "/x:/y"] }
        == .launch(.executableNotFound(name: "no-such", searched: ["/x", "/y"])))
    #expect(directory.names == [])
  }

  @Test("A file that cannot be executed leaves nothing")
  func notExecutable() async throws {
    let (directory, other) = (try StateDirectory(), try StateDirectory())
    #expect(
      try await failure(Command("/"), in: directory)
        == .launch(.notExecutable(path: "/", reason: .isDirectory)))
    let cases: [(String, Int, LaunchError.NotExecutableReason)] = [
      ("#!/bin/sh\n", 0o600, .noPermission), ("#!/no/such\n", 0o700, .badInterpreter),
      ("\u{1}\u{2}", 0o700, .unknownFormat),
    ]
    for (contents, mode, reason) in cases {
      let path = try file(contents, mode: mode, other)
      #expect(
        try await failure(Command(path), in: directory)
          == .launch(.notExecutable(path: path, reason: reason)))
    }
    #expect(directory.names == [])
  }

  @Test("Arguments that are too long leave nothing")
  func tooLong() async throws {
    let directory = try StateDirectory()
    let command = Command("/bin/echo", arguments: [String(repeating: "x", count: 8 << 20)])
    #expect(
      try await failure(command, in: directory)
        == .launch(.notExecutable(path: "/bin/echo", reason: .argumentsTooLong)))
    #expect(directory.names == [])
  }

  @Test("A working directory that is not there leaves nothing")
  func workingDirectory() async throws {
    let directory = try StateDirectory()
    var command = Command("true")
    command.workingDirectory = "/no/such"
    #expect(
      try await failure(command, in: directory)
        == .launch(.badWorkingDirectory(path: "/no/such", code: ENOENT)))
    #expect(directory.names == [])
  }

  @Test("A command that no process can run leaves nothing")
  func invalid() async throws {
    let directory = try StateDirectory()
    let command = Command("true", arguments: [Command.Text(bytes: [0])])
    let failure = try await failure(command, in: directory)
    guard case .launch(.invalidCommand) = failure else {
      Issue.record("\(failure)")
      return
    }
    #expect(directory.names == [])
  }

  @Test("A limit that no cgroup enforces leaves nothing")
  func limits() async throws {
    let directory = try StateDirectory()
    var command = Command("true")
    command.memoryLimit = 1 << 30
    let failure = try await failure(command, in: directory)
    guard case .launch(.limitsUnavailable) = failure else {
      Issue.record("\(failure)")
      return
    }
    #expect(directory.names == [])
  }

  @Test("An order that cannot be read leaves nothing")
  func unreadable() async throws {
    let holder = try Holder(in: try StateDirectory())
    let answer = try await holder.connection.ask(.launch)
    #expect(answer.kind == .failed)
    #expect(try await holder.exit() == 1)
    #expect(holder.directory.names == [])
  }

  // MARK: Storage

  private func storage(_ failure: HolderFailure, code: Int32) {
    guard case .storage(let reason, code) = failure else {
      Issue.record("\(failure)")
      return
    }
    #expect(!reason.isEmpty)
  }

  @Test("A directory that is not there is a failure of the storage")
  func noDirectory() async throws {
    let directory = try StateDirectory()
    storage(
      try await failure(Command("true"), in: directory) {
        $0.files = StateFiles(directory: directory.path + "/none", id: "s")
      }, code: ENOENT)
  }

  @Test("A session whose record is gone is not started, and leaves nothing")
  func noRecord() async throws {
    let directory = try StateDirectory()
    let holder = try Holder(in: directory)
    var command = Command.shell("echo >\(directory.path)/started")
    command.environment = .inherited
    let order = LaunchOrder(
      files: holder.files, workspace: "w", orphanTimeout: .seconds(3_600), command: command,
      environment: [:])
    try await holder.connection.send(order.message)
    let answer = try #require(try await holder.connection.receive())
    #expect(answer.kind == .failed)
    storage(HolderFailure(answer), code: ENOENT)
    #expect(try await holder.exit() == 1)
    #expect(directory.names == [])
  }

  @Test("A ring that is there already stays as it is")
  func taken() async throws {
    let directory = try StateDirectory()
    let ring = directory.files().ring
    try Data("mine".utf8).write(to: URL(fileURLWithPath: ring))
    storage(try await failure(Command("true"), in: directory), code: EEXIST)
    #expect(try String(contentsOfFile: ring, encoding: .utf8) == "mine")
    #expect(directory.names == ["s.ring"])
  }

  @Test("A file in the place of the socket stays as it is")
  func socketTaken() async throws {
    let directory = try StateDirectory()
    let socket = directory.files().socket
    try Data("mine".utf8).write(to: URL(fileURLWithPath: socket))
    storage(try await failure(Command("true"), in: directory), code: EADDRINUSE)
    #expect(try String(contentsOfFile: socket, encoding: .utf8) == "mine")
    #expect(directory.names == ["s.sock"])
  }

  @Test("A path that is too long for a socket leaves nothing")
  func longPath() async throws {
    let directory = try StateDirectory()
    let id = String(repeating: "x", count: StateFiles.maxSocketPath)
    storage(try await failure(Command("true"), in: directory, id: id), code: ENAMETOOLONG)
    #expect(directory.names == [])
  }

  @Test("An id that is no name of a file leaves nothing", arguments: ["", "../x", "a/b", "a\0b"])
  func badID(id: String) async throws {
    let directory = try StateDirectory()
    storage(try await failure(Command("true"), in: directory, id: id), code: EINVAL)
    #expect(directory.names == [])
  }

  @Test("A head of an impossible size leaves nothing", arguments: [-1, Int.min, Int.max])
  func badHead(count: Int) async throws {
    let directory = try StateDirectory()
    storage(
      try await failure(Command("true"), in: directory) { $0.headBytes = count }, code: EINVAL)
    #expect(directory.names == [])
  }

  @Test(
    "A full disk and one that is read-only are failures of the storage, and leave nothing",
    .enabled("needs permission to mount") { try await canMount })
  func fullDisk() async throws {
    let directory = try StateDirectory()
    #expect(try await run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", directory.path) == 0)
    do {
      storage(try await failure(Command("true"), in: directory), code: ENOSPC)
      #expect(directory.names == [])
      #expect(try await run("mount", "-o", "remount,ro", directory.path) == 0)
      storage(try await failure(Command("true"), in: directory), code: EROFS)
      #expect(directory.names == [])
    } catch {
      Issue.record(error)
    }
    #expect(try await run("umount", "-l", directory.path) == 0)
  }
}

/// Runs a command, and returns its exit code.
@discardableResult
func run(_ name: String, _ arguments: String...) async throws -> Int32 {
  let process = try await CommandHost.shared.launch(
    Command(name, arguments: arguments), into: Session())
  return try await process.waitUntilClosed().code
}

/// Whether a test may mount a file system.
private var canMount: Bool {
  get async throws {
    guard geteuid() == 0, let directory = try? StateDirectory() else { return false }
    guard
      let code = try? await run("mount", "-t", "tmpfs", "tmpfs", directory.path), code == 0
    else { return false }
    return try await run("umount", directory.path) == 0
  }
}
