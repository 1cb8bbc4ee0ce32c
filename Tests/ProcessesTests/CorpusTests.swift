import Foundation
import ReferenceModel
import Testing

/// The scripts that libFuzzer has found to reach something new, each beside the model.
@Suite struct CorpusTests {
  @Test("The library agrees with the model on every file of the fuzzing corpus")
  func everyFileOfTheCorpus() throws {
    let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../Fuzz/Corpus").standardized
    let files = try FileManager.default.contentsOfDirectory(
      at: folder, includingPropertiesForKeys: nil)
    #expect(files.count > 100)
    for file in files {
      let script = Script(bytes: try Data(contentsOf: file))
      let difference = script.run()
      #expect(difference == nil, "\(file.lastPathComponent): \(script)")
    }
  }
}
