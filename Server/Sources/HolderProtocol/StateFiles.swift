/// The files of a session in the directory of a daemon's state.
///
/// ```
///  ID.json   what the daemon keeps of the session; the session exists as long as this file does
///  ID.ring   the output, which the holder records
///  ID.sock   the holder's socket, as long as the holder runs
/// ```
package struct StateFiles: Sendable, Hashable {
  package let directory: String
  package let id: String

  package init(directory: String, id: String) {
    self.directory = directory
    self.id = id
  }

  package var record: String { "\(directory)/\(id).json" }
  package var ring: String { "\(directory)/\(id).ring" }
  package var socket: String { "\(directory)/\(id).sock" }

  package static let recordSuffix = ".json"
  package static let ringSuffix = ".ring"
  package static let socketSuffix = ".sock"

  /// The most bytes of a socket's path on every platform, without the zero byte: Darwin's limit.
  /// Linux permits 107.
  package static let maxSocketPath = 103
}
