import Foundation
import Testing

@Suite struct ReadmeTests {
  /// The file in the repository's root, seen from this one.
  private static func text(_ name: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: name), encoding: .utf8)
  }

  @Test("the example in the README is the one that is compiled here")
  func exampleIsCompiled() throws {
    let example = try Self.text("Tests/ReadmeTests/Example.swift")
    #expect(try Self.text("README.md").contains("```swift\n\(example)```"))
  }

  @Test("the example runs, and returns the command's exit code")
  func exampleRuns() async throws {
    #expect(try await buildAndWatch() == 2)
  }

  @Test("the README's test command is the one that CI runs")
  func ciRunsTheReadmesTests() throws {
    #expect(try Self.text("README.md").contains("\nswift test\n"))
    #expect(try Self.text(".ci/run").contains("\nswift test 2>&1"))
  }
}
