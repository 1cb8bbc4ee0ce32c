import Foundation
import Testing

/// What documents say about files of the repository.
@Suite struct DocumentTests {
  @Test("Each Swift block of a document is code of the file named above it")
  func codeIsCompiled() throws {
    var count = 0
    for document in try Documents.all() {
      let lines = try Repository.text(document).split(
        separator: "\n", omittingEmptySubsequences: false)
      for (index, line) in lines.enumerated() where line == "```swift" {
        let block = lines[(index + 1)...].prefix { $0 != "```" }
        let place: Comment = "\(document):\(index + 1)"
        let comment = try #require(
          lines[..<index].last.flatMap { $0.wholeMatch(of: #/<!-- ([^\s:]+).* -->/#) }, place)
        // Scripts/check-consumer resolves and builds the lines of a manifest.
        if comment.1 == "manifest" { continue }
        let code = try Repository.text(String(comment.1))
        #expect(code.contains(block.joined(separator: "\n") + "\n"), place)
        count += 1
      }
    }
    #expect(count > 0)
  }

  @Test("Each relative link of a document leads to a file")
  func linksLeadSomewhere() throws {
    for document in try Documents.all() {
      let folder = document.split(separator: "/").dropLast()
      for link in try Repository.text(document).matches(of: #/\]\(([^)\s]+)\)/#) {
        let target = link.1.prefix { $0 != "#" }
        guard !target.isEmpty, !target.contains(":") else { continue }
        var path = folder
        for part in target.split(separator: "/") {
          if part == ".." { _ = path.popLast() } else { path.append(part) }
        }
        #expect(Repository.exists(path.joined(separator: "/")), "\(document): \(link.1)")
      }
    }
  }

  @Test("Each path that docs/architecture.md names exists")
  func architecturePathsExist() throws {
    let text = try Repository.text("docs/architecture.md")
    let paths = text.matches(of: #/`([\w.+\/-]+\/[\w.+\/-]+)`/#).map { String($0.1) }
    #expect(!paths.isEmpty)
    for path in paths {
      #expect(Repository.exists(path) || Repository.exists("Sources/\(path)"), "\(path)")
    }
  }

  @Test("The shutdown example is the same in the CI runner")
  func shutdownExamplesAreEqual() throws {
    let example = "ShutdownExample.swift"
    #expect(
      try Repository.text("Examples/Sources/ci-runner/\(example)")
        == Repository.text("Tests/ReadmeTests/\(example)"))
  }

  @Test("CI runs the README's test command")
  func ciRunsTheReadmesTests() throws {
    #expect(try Repository.text("README.md").contains("\nswift test\n"))
    #expect(try Repository.text(".ci/run").contains("\nswift test 2>&1"))
  }
}
