import Foundation
import ProcessHost
import Testing

/// What the README shows, compiled and run.
@Suite struct ReadmeTests {
  /// The file in the repository's root, seen from this one.
  private static func text(_ name: String) throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: name), encoding: .utf8)
  }

  @Test("The README contains the examples that are compiled here")
  func examplesAreCompiled() throws {
    for name in [
      "Example.swift", "DialogueExample.swift", "ProducerExample.swift", "ShutdownExample.swift",
    ] {
      let example = try Self.text("Tests/ReadmeTests/\(name)")
      #expect(try Self.text("README.md").contains("```swift\n\(example)```"))
    }
  }

  @Test("The first example runs and returns the command's exit code")
  func exampleRuns() async throws {
    #expect(try await buildAndWatch() == 2)
  }

  @Test("The dialogue example runs and returns the answer")
  func dialogueRuns() async throws { #expect(try await square(of: 12) == "144\n") }

  @Test("The shutdown example ends its processes, and tells them why, before it ends")
  func shutdownRuns() async throws {
    let result = try await #require(
      processExitsWith: .exitCode(128 + SIGTERM), observing: [\.standardOutputContent]
    ) {
      let command = Command.shell("trap 'echo told; exit 0' USR1; while :; do sleep 0.01; done")
      let host = CommandHost()
      let session = Session(id: "victim", workspaceID: "tests")
      let process = try await host.launch(command, into: session)
      endProcesses(of: host, at: [SIGTERM], telling: process)
      print("pid=\(process.processID)=")
      _ = fflush(nil)
      kill(getpid(), SIGTERM)
      try await Task.sleep(for: .seconds(50))
    }
    let output = String(decoding: result.standardOutputContent, as: UTF8.self)
    let process = try #require(output.split(separator: "=").compactMap { Int32($0) }.first)
    #expect(kill(process, 0) != 0)
  }

  @Test("The producer example runs and closes its session")
  func producerRuns() {
    let output = countDown(from: 3)
    #expect(output.chunks.payload.description == "3\n2\n1\n")
    #expect(output.isComplete)
  }

  @Test("CI runs the README's test command")
  func ciRunsTheReadmesTests() throws {
    #expect(try Self.text("README.md").contains("\nswift test\n"))
    #expect(try Self.text(".ci/run").contains("\nswift test 2>&1"))
  }
}
