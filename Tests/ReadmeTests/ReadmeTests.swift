import Foundation
import ProcessHost
import Testing

/// The examples of the README and the libraries' articles.
@Suite struct ReadmeTests {
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
}
