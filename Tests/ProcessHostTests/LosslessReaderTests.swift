import Processes
import Testing

@testable import ProcessHost

/// Commands that wait for a reader which must get all of their output.
@Suite(.timeLimit(.minutes(10))) struct LosslessReaderTests {
  /// A command that writes 3 MB, three times what a session retains.
  private static let flood = Command("head", "-c", "3000000", "/dev/zero")

  @Test("[lossless] A reader that is slower than its command misses nothing")
  func slowReader() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    try await CommandHost.shared.launch(Self.flood, into: session, waitingFor: reader)
    // The reader does not begin before the command waits for it.
    #expect(await eventually { reader.gate.isShut })
    var total = 0
    var missed = 0
    for await output in reader.outputs(of: session) {
      total += output.chunks.payload.count
      missed += output.missedChunks
      try await Task.sleep(for: .milliseconds(1))
    }
    #expect(total == 3_000_000)
    #expect(missed == 0)
    #expect(session.exitCode == 0)
  }

  @Test("[lossless] A command does not wait longer than the time limit for a reader that hangs")
  func hangingReader() async throws {
    let (reader, session) = (LosslessReader(timeLimit: .milliseconds(50)), freshSession())
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: reader)
    #expect(reader.timeLimit == .milliseconds(50))
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(!reader.isWaitedFor)
    // What the reader missed is told as always.
    var outputs = reader.outputs(of: session).makeAsyncIterator()
    let output = try #require(await outputs.next())
    #expect(output.missedBytes == 3_000_000 - output.chunks.payload.count)
  }

  @Test("The time limit begins anew whenever the reader takes output")
  func progress() async throws {
    let (gate, session) = (OutputGate(timeLimit: .seconds(3_600)), freshSession())
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, heldUpBy: [gate])
    #expect(await eventually { gate.stallStart != nil })
    let first = gate.stallStart
    gate.took(bytes: 1, chunks: 1)
    let second = gate.stallStart
    #expect(try #require(first) < #require(second))
    gate.open()
    #expect(gate.stallStart == nil)
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("A command does not wait for a reader that has left")
  func leavingReader() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: reader)
    for await _ in reader.outputs(of: session) { break }
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(!reader.isWaitedFor)
  }

  @Test("A reader whose task is cancelled no longer holds up its command")
  func cancelledReader() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: reader)
    let task = Task {
      for await _ in reader.outputs(of: session) {
        try? await Task.sleep(for: .seconds(3_600))
      }
    }
    #expect(await eventually { reader.gate.isShut })
    task.cancel()
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("[lossless] While one command waits for its reader, another of its host goes on")
  func otherCommands() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: reader)
    #expect(await eventually { reader.gate.isShut })
    let other = freshSession()
    let otherProcess = try await CommandHost.shared.launch(Self.flood, into: other)
    #expect(try await otherProcess.waitUntilClosed() == .exited(0))
    #expect(other.totalBytes == 3_000_000)
    #expect(reader.gate.isShut)
    process.terminate(grace: .zero)
    #expect(try await process.waitForExit() == .signaled(9))
    for await _ in reader.outputs(of: session) {}
  }

  @Test("A session that is too small for a lossless reader ends the program")
  func smallSession() async {
    await #expect(processExitsWith: .failure) {
      let session = Session(capacity: Session.maxBufferBytes - 1)
      try await CommandHost.shared.launch(
        Command("true"), into: session, waitingFor: LosslessReader(timeLimit: nil))
    }
  }
}
