import Foundation

/// The files of the repository that say what was measured, made from the recorded runs.
package struct Documents {
  private static let texts = ["README.md", "docs/benchmarks.md", "docs/comparison.md"]
  private static let plots = "docs/plots"
  private static let results = "Benchmarks/Results"

  private let root: String
  /// Each file's path from the root, and what it ought to hold.
  private let files: [(path: String, text: String)]

  /// Reads the records and the documents.
  ///
  /// - Parameters:
  ///   - root: The package's folder.
  ///   - cases: All cases that there are.
  ///   - retainedChunks: How many chunks of a size a full session retains.
  /// - Throws: A `Failure` that names a file and says what is wrong with it.
  package init(
    root: String, cases: [Case], retainedChunks: @escaping (_ chunkBytes: Int) -> Int
  ) throws {
    self.root = root
    let records = try Self.names(in: "\(root)/\(Self.results)", ending: ".json")
      .map { try Record(file: "\(root)/\(Self.results)/\($0)", cases: cases) }
    guard !records.isEmpty else {
      throw Failure(message: "no results in '\(root)/\(Self.results)': record some with --record")
    }
    let sections = Sections(records: records)
    let texts = try Self.texts.map { path in
      let text = try Self.contents(of: "\(root)/\(path)")
      return (
        path, try GeneratedText(text: text, file: path).replacing { sections.content($0) }
      )
    }
    let pictures = records.flatMap { record in
      Figures(record, retainedChunks: retainedChunks).all
        .filter { Sections.plots.contains($0.id) }
        .map { ("\(Self.plots)/\(Sections.plotFile($0.id, of: record))", $0.svg) }
    }
    files = texts + pictures
  }

  /// The file that a run on this machine is recorded in.
  package static func recordFile(in root: String) throws -> String {
    let folder = "\(root)/\(Self.results)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    return "\(folder)/\(Processor.current.id).json"
  }

  /// The files that do not hold what they ought to, and pictures of runs that are no longer
  /// recorded.
  package func outdated() throws -> [String] {
    try files.filter { path, text in (try? Self.contents(of: "\(root)/\(path)")) != text }
      .map(\.path) + strayPictures()
  }

  /// Makes all files hold what they ought to.
  package func write() throws {
    for path in try strayPictures() {
      try FileManager.default.removeItem(atPath: "\(root)/\(path)")
    }
    try FileManager.default.createDirectory(
      atPath: "\(root)/\(Self.plots)", withIntermediateDirectories: true)
    for (path, text) in files { try OutputFile(path: "\(root)/\(path)").write(text) }
  }

  private func strayPictures() throws -> [String] {
    let known = Set(files.map(\.path))
    return try Self.names(in: "\(root)/\(Self.plots)", ending: ".svg")
      .map { "\(Self.plots)/\($0)" }.filter { !known.contains($0) }
  }

  /// The files in a folder, in order; none if there is no folder.
  private static func names(in folder: String, ending: String) throws -> [String] {
    guard FileManager.default.fileExists(atPath: folder) else { return [] }
    return try FileManager.default.contentsOfDirectory(atPath: folder)
      .filter { $0.hasSuffix(ending) }.sorted()
  }

  private static func contents(of file: String) throws -> String {
    do {
      return try String(contentsOfFile: file, encoding: .utf8)
    } catch {
      throw Failure(message: "cannot read '\(file)': \(error)")
    }
  }
}
