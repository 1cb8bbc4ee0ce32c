import Foundation

/// The repository that these tests were built from.
enum Repository {
  private static let root = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()

  /// Returns the text of a file.
  ///
  /// - Parameter path: Its path from the root.
  static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// Returns whether there is a file or folder.
  static func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: root.appending(path: path).path)
  }

  /// Returns the paths from the root of all files below a folder, in order.
  static func files(in folder: String, ending: String) throws -> [String] {
    try FileManager.default.subpathsOfDirectory(atPath: root.appending(path: folder).path)
      .filter { $0.hasSuffix(ending) && !$0.contains(".build/") }.map { "\(folder)/\($0)" }.sorted()
  }
}

/// The documents that are checked here.
enum Documents {
  static func all() throws -> [String] {
    try ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
      + Repository.files(in: "docs", ending: ".md") + articles()
  }

  /// The articles of the libraries' documentation.
  static func articles() throws -> [String] {
    try Repository.files(in: "Sources", ending: ".md").filter { $0.contains(".docc/") }
  }
}
