import Foundation
import ReferenceModel
import Testing

/// The scripts that libFuzzer has found to reach something new, each beside the model.
@Suite struct CorpusTests {
  private func files(_ folder: String) throws -> [URL] {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Fuzz/\(folder)").standardized
    let files = try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    #expect(files.count > 100)
    return files
  }

  @Test("The library agrees with the model on every file of the fuzzing corpus")
  func everyFileOfTheCorpus() throws {
    for file in try files("Corpus") {
      let script = Script(bytes: try Data(contentsOf: file))
      let difference = script.run()
      #expect(difference == nil, "\(file.lastPathComponent): \(script)")
    }
  }

  @Test("Readers of every region of the fuzzing corpus come to an end, and get what is there")
  func everyRegionOfTheCorpus() throws {
    for file in try files("RegionCorpus") {
      let fault = HostileRegion.run(bytes: try Data(contentsOf: file))
      #expect(fault == nil, "\(file.lastPathComponent)")
    }
  }
}
