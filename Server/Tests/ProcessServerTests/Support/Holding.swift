import Foundation

@testable import ProcessServer

/// A state directory of a test's own.
struct Holding {
  let directory: String

  /// Whether the sessions of all tests have holders: run them so by
  /// `PROCESSD_TEST_HOLDERS=1 swift test --filter ProcessServerTests`.
  static let isOfAllTests = ProcessInfo.processInfo.environment["PROCESSD_TEST_HOLDERS"] != nil

  init() throws {
    directory = "/tmp/processd-test-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
  }

  var settings: APIServer.HolderSettings {
    APIServer.HolderSettings(
      directory: directory, executable: builtExecutable("processd-holder"))
  }

  var names: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: directory).sorted() }
  }

  /// Removes the directory. Holders that still run end for that.
  func remove() { try? FileManager.default.removeItem(atPath: directory) }
}
