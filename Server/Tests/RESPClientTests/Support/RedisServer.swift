import Foundation
import NIOPosix

@testable import RESPClient

/// A `redis-server` with a directory of its own, which it needs for its socket.
///
/// Starting it waits until it takes connections; ending the body ends it.
final class RedisServer: Sendable {
  static let path = "/usr/bin/redis-server"
  static var isInstalled: Bool { FileManager.default.isExecutableFile(atPath: path) }

  struct NotStarted: Error {
    let arguments: [String]
  }

  let directory: URL
  private let arguments: [String]

  private init(_ arguments: [String]) throws {
    directory = FileManager.default.temporaryDirectory
      .appendingPathComponent("resp-\(UInt32.random(in: 0 ... .max))")
    try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
    self.arguments =
      ["--port", "0", "--unixsocket", directory.path + "/socket", "--dir", directory.path]
      + ["--save", "", "--appendonly", "no", "--enable-debug-command", "yes"] + arguments
  }

  /// Starts a server, and ends it after the body.
  ///
  /// - Parameter prepare: Makes files in the directory, and returns more arguments.
  static func run(
    _ prepare: (URL) async throws -> [String] = { _ in [] },
    _ body: (RedisServer) async throws -> Void
  ) async throws {
    let server = try RedisServer([])
    let prepared = try RedisServer(server, await prepare(server.directory))
    defer { try? FileManager.default.removeItem(at: server.directory) }
    try await prepared.whileRunning { try await body(prepared) }
  }

  private init(_ other: RedisServer, _ arguments: [String]) throws {
    directory = other.directory
    self.arguments = other.arguments + arguments
  }

  /// Runs the program while the body runs. It may have ended by itself.
  func whileRunning(_ body: () async throws -> Void) async throws {
    let program = try Program(Self.path, arguments)
    try await attempt {
      while !FileManager.default.fileExists(atPath: directory.path + "/socket") {
        guard program.isRunning else { throw NotStarted(arguments: arguments) }
        try await Task.sleep(for: .milliseconds(5))
      }
      try await body()
    } finally: {
      await program.end()
    }
  }

  var url: RedisURL { RedisURL(address: .unixSocket(path: directory.path + "/socket")) }
}
