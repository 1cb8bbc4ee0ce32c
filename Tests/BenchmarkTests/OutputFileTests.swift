import BenchmarkHarness
import Foundation
import Testing

/// Files and folders that a run writes.
@Suite struct OutputFileTests {
  /// A folder of its own, gone afterwards.
  private func withFolder(_ body: (String) throws -> Void) throws {
    let url = FileManager.default.temporaryDirectory
      .appendingPathComponent("benchmark-tests-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: url) }
    try body(url.path)
  }

  private func contents(_ folder: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
  }

  @Test("A file appears only when it is complete")
  func nothingAppearsBeforeItIsWhole() throws {
    try withFolder { folder in
      let file = try OutputFile(path: folder + "/r.json")
      #expect(try contents(folder) == [])
      try file.write("[]")
      #expect(try contents(folder) == ["r.json"])
      try file.write("[1]")
      #expect(try String(contentsOfFile: folder + "/r.json", encoding: .utf8) == "[1]")
      #expect(try contents(folder) == ["r.json"])
    }
  }

  @Test("A path that cannot be written is an error before the run")
  func whatCannotBeWrittenIsFoundOutAtOnce() throws {
    try withFolder { folder in
      for path in [folder + "/missing/r.json", folder] {
        let error = #expect(throws: Failure.self) { try OutputFile(path: path) }
        #expect(error?.message.contains("'\(path)'") == true)
      }
      let name = folder + "/file"
      try OutputFile(path: name).write("")
      #expect(throws: Failure.self) { try ReportFolder(path: name) }
    }
  }

  @Test("An existing file remains until the new one is complete")
  func anExistingFileStaysUntilTheNewOneIsWhole() throws {
    try withFolder { folder in
      try OutputFile(path: folder + "/r.json").write("old")
      _ = try OutputFile(path: folder + "/r.json")
      #expect(try String(contentsOfFile: folder + "/r.json", encoding: .utf8) == "old")
    }
  }

  @Test("A report folder is made with its parents")
  func foldersForReportsAreMade() throws {
    try withFolder { folder in
      let report = try ReportFolder(path: folder + "/a/b")
      #expect(try contents(report.path) == [])
    }
  }
}
