import Foundation
import ProcessHost
import Processes
import Subprocess
import Testing

/// What docs/comparison.md says of others, and of this library beside them. Speed is for
/// Benchmarks.
@Suite struct ComparisonTests {
  private func capture(_ line: String) async throws -> Session {
    let session = Session(id: "s", workspaceID: "w")
    let process = try await CommandHost.shared.launch(.shell(line), into: session)
    try await process.waitUntilClosed()
    return session
  }

  private func exists(_ process: Int32) -> Bool { kill(process, 0) == 0 }

  /// More output than there is room for: the last of it and a count here, an error there.
  @Test(
    "Of a large output a session keeps the end and counts the rest, and Subprocess throws an error")
  func moreOutputThanThereIsRoomFor() async throws {
    let session = try await capture("seq 1000000")
    let output = session.output()
    #expect(output.chunks.payload.description.hasSuffix("\n1000000\n"))
    #expect(output.lostBytes + output.chunks.payload.count == 6_888_896)
    do {
      _ = try await Subprocess.run(
        .name("seq"), arguments: ["1000000"], output: .bytes(limit: 1 << 20))
      Issue.record("swift-subprocess has learned to keep the last of an output")
    } catch {
      #expect((error as? SubprocessError)?.code == .outputLimitExceeded)
    }
  }

  /// What a grandchild writes after the child's end: kept here, for as long as one wants; gone
  /// there.
  @Test(
    "A session receives what a grandchild writes after the child's end, and Subprocess does not")
  func aGrandchildHasTheLastWord() async throws {
    let gate = NSTemporaryDirectory() + "comparison-" + UUID().uuidString
    #expect(mkfifo(gate, 0o600) == 0)
    defer { unlink(gate) }
    func openGate() {
      let writer = open(gate, O_WRONLY | O_CLOEXEC)
      #expect(write(writer, "\n", 1) == 1)
      close(writer)
    }
    let line = "(read x <\(gate); echo late) & echo hello; exit 0"
    let theirs = try await Subprocess.run(
      .name("sh"), arguments: ["-c", line], output: .bytes(limit: 1 << 20))
    #expect(theirs.standardOutput == Array("hello\n".utf8))
    openGate()

    var command = Command.shell(line)
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    let session = Session(id: "s", workspaceID: "w")
    let process = try await CommandHost.shared.launch(command, into: session)
    #expect(try await process.waitForExit() == .exited(0))
    #expect(!session.isClosed)
    openGate()
    try await process.waitUntilClosed()
    #expect(session.output().chunks.payload.description == "hello\nlate\n")
  }

  /// What the child has started, ending the child does not end; ending its group does.
  @Test("Terminating a hosted process ends its grandchild, and a Subprocess teardown does not")
  func endingGrandchildren() async throws {
    let line = "sleep 1000 & echo $!; wait"
    let orphan = try await Subprocess.run(
      .name("sh"), arguments: ["-c", line], input: .none, output: .sequence, error: .discarded
    ) { execution -> Int32 in
      var number = ""
      for try await buffer in execution.standardOutput {
        number += buffer.withUnsafeBytes { String(decoding: $0, as: UTF8.self) }
        if number.hasSuffix("\n") { break }
      }
      await execution.teardown(using: [
        .gracefulShutDown(allowedDurationToNextStep: .seconds(1))
      ])
      return try #require(Int32(number.dropLast()))
    }.closureResult
    #expect(exists(orphan))
    kill(orphan, SIGKILL)

    let session = Session(id: "s", workspaceID: "w")
    let process = try await CommandHost.shared.launch(.shell(line), into: session)
    let output = await session.output(since: .start, waitingUpTo: nil)
    let grandchild = try #require(Int32(output.chunks.payload.description.dropLast()))
    process.terminate()
    try await process.waitUntilClosed()
    for _ in 0..<1_000 where !isGone(grandchild) { try await Task.sleep(for: .milliseconds(5)) }
    #expect(isGone(grandchild))
  }

  /// Whether it has ended; its zombie may be left.
  private func isGone(_ process: Int32) -> Bool {
    let stat = try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
    return stat?.contains(") Z ") ?? true
  }
}
