import BenchmarkHarness
import Foundation
import Processes

extension Benchmarks {
  /// Makes the documents say what is recorded, or fails if they do not.
  func document(_ cases: [Case]) throws {
    let documents = try Documents(
      root: packageRoot(), cases: cases, retainedChunks: Self.retainedChunks)
    let outdated = try documents.outdated()
    if verify {
      guard outdated.isEmpty else {
        throw Failure(
          message: "not what Benchmarks/Results says: \(outdated.joined(separator: ", ")); "
            + "run 'swift run Benchmarks --document'")
      }
      print("documents: as Benchmarks/Results says")
    } else {
      try documents.write()
      print(outdated.isEmpty ? "nothing to write" : outdated.joined(separator: "\n"))
    }
  }

  static func retainedChunks(chunkBytes: Int) -> Int {
    min(Session.maxBufferBytes / chunkBytes, Session.maxBufferedChunks)
  }

  /// The package whose sources this was built from; or, if they have moved since the build, the one
  /// that holds the executable.
  func packageRoot() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().path
    if FileManager.default.fileExists(atPath: root + "/Package.swift") { return root }
    return try ReleaseBuild.packageRoot()
  }
}
