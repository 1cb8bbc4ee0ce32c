import Foundation
import HolderProtocol
import Processes

/// A directory of a daemon's state, for one test. It is removed with the last reference to it.
final class StateDirectory: Sendable {
  let path: String

  init() throws {
    // Short, since the path of a socket has 103 bytes at most.
    let parent = FileManager.default.temporaryDirectory.path
    path = "\(parent)/holder-\(UInt32.random(in: 0 ... .max))"
    try FileManager.default.createDirectory(
      atPath: path, withIntermediateDirectories: false, attributes: [.posixPermissions: 0o700])
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func files(_ id: String = "s") -> StateFiles { StateFiles(directory: path, id: id) }

  /// The names of what is in the directory, hidden files included; without the records that
  /// ``makeNeededRecord(_:)`` has made.
  var names: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
    return names.filter { name in
      !name.hasSuffix(StateFiles.recordSuffix)
        || FileManager.default.contents(atPath: path + "/" + name) != Data(Self.needed.utf8)
    }.sorted()
  }

  private static let needed = "needed"

  /// Makes the record without which no holder starts a command, if there is none.
  func makeNeededRecord(_ id: String) {
    let record = files(id).record
    guard !id.isEmpty, !id.contains("/"), !id.contains("\0"),
      !FileManager.default.fileExists(atPath: record)
    else { return }
    _ = FileManager.default.createFile(atPath: record, contents: Data(Self.needed.utf8))
  }

  /// Writes what a daemon keeps of a session.
  func makeRecord(_ id: String = "s") throws {
    try Data("{}".utf8).write(to: URL(fileURLWithPath: files(id).record))
  }
}

/// Waits until a condition holds, for as long as the test may run.
func eventually(_ condition: () throws -> Bool) async throws {
  while try !condition() { try await Task.sleep(for: .milliseconds(5)) }
}

/// Returns whether a process is there and has not ended.
func isRunning(_ process: Int32) -> Bool {
  guard kill(process, 0) == 0 else { return false }
  #if os(Linux)
    // What has ended and was not reaped yet is no process that could do anything.
    guard let status = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8) else {
      return false
    }
    let state = status.split(separator: ")").last?.split(separator: " ").first
    return state != "Z" && state != "X"
  #else
    return true
  #endif
}
