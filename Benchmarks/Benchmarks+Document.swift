import BenchmarkHarness
import Foundation
import Processes

extension Benchmarks {
  static func retainedChunks(chunkBytes: Int) -> Int {
    min(Session.maxBufferBytes / chunkBytes, Session.maxBufferedChunks)
  }

  /// The package whose sources this was built from; or, if they have moved since the build, the one that
  /// holds the executable.
  func packageRoot() throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().path
    if FileManager.default.fileExists(atPath: root + "/Package.swift") { return root }
    return try ReleaseBuild.packageRoot()
  }
}
