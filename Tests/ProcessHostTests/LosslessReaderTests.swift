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

  @Test("[lossless] Background processes are not quiet while the reader holds them up")
  func background() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    var command = Command.shell("head -c 3000000 /dev/zero & read x; exit 0")
    command.input = .pipe
    command.quietGrace = .milliseconds(20)
    command.lingerLimit = .milliseconds(20)
    let process = try await CommandHost.shared.launch(command, into: session, waitingFor: reader)
    #expect(await eventually { reader.gate.isShut })
    process.input?.close()
    #expect(try await process.waitForExit() == .exited(0))
    // Far longer than both limits.
    try await Task.sleep(for: .milliseconds(200))
    #expect(!session.isClosed)
    var (total, missed) = (0, 0)
    for await output in reader.outputs(of: session) {
      total += output.chunks.payload.count
      missed += output.missedChunks
      // It writes on at once: until then, silence says nothing.
      if total < 3_000_000 { _ = await eventually { reader.gate.isShut || session.isClosed } }
    }
    // Between two reads their time counts: what came too late was dropped, and counted.
    await process.waitUntilOver()
    #expect(total + process.droppedBytes == 3_000_000)
    #expect(missed == 0)
  }

  @Test("A session is closed when its command has ended, though the reader has yet to read")
  func endingUnread() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    // More than may wait, and no more than that and a pipe of 64 KiB.
    let process = try await CommandHost.shared.launch(
      Command("head", "-c", "300000", "/dev/zero"), into: session, waitingFor: reader)
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(session.totalBytes == 300_000)
    #expect(reader.isWaitedFor)
  }

  @Test("A host with a command that waits for its reader can be closed")
  func closing() async throws {
    let (host, reader, session) = (CommandHost(), LosslessReader(timeLimit: nil), freshSession())
    let process = try await host.launch(Self.flood, into: session, waitingFor: reader)
    let child = ProcessIdentity(process.processID)
    #expect(await eventually { reader.gate.isShut })
    #expect(await host.close(grace: .zero).isEmpty)
    #expect(session.isClosed)
    #expect(child.isGone)
    #expect(reader.isWaitedFor)
  }

  @Test("[lossless] A reader elsewhere that acknowledges what it has received misses nothing")
  func acknowledgements() async throws {
    let manager = ProcessManager(idleTimeout: .seconds(3_600))
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    try await manager.launch(Self.flood, into: session, waitingFor: reader)
    #expect(await eventually { reader.gate.isShut })
    var (total, missed, cursor) = (0, 0, Cursor.start)
    while true {
      let output = await session.output(
        since: cursor, maxBytes: 100_000, waitingUpTo: .seconds(3_600))
      total += output.chunks.payload.count
      missed += output.missedChunks
      cursor = output.cursor
      // Twice, and again for what was acknowledged long ago: neither lets the command run ahead.
      #expect(reader.acknowledge(cursor))
      #expect(reader.acknowledge(cursor))
      #expect(reader.acknowledge(.start))
      if output.isComplete { break }
    }
    #expect(total == 3_000_000)
    #expect(missed == 0)
    #expect(session.exitCode == 0)
  }

  @Test("What is no position in the session's output acknowledges nothing")
  func wrongAcknowledgements() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    #expect(!reader.acknowledge(.start))
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: reader)
    #expect(await eventually { reader.gate.isShut })
    let other = freshSession()
    other.append([1], to: .stdout)
    let wrong = [
      other.output().cursor, Cursor(seq: 1), Cursor(seq: session.lastSeq + 1, offset: 1),
      Cursor(seq: 1, offset: session.totalBytes + 1),
    ]
    for cursor in wrong { #expect(!reader.acknowledge(cursor)) }
    #expect(reader.gate.isShut)
    reader.leave()
    #expect(!reader.isWaitedFor)
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("The time limit begins anew when a reader acknowledges the same position again")
  func signOfLife() async throws {
    let (reader, session) = (LosslessReader(timeLimit: .seconds(3_600)), freshSession())
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: reader)
    #expect(await eventually { reader.gate.stallStart != nil })
    let first = reader.gate.stallStart
    #expect(reader.acknowledge(.start))
    #expect(try #require(first) < #require(reader.gate.stallStart))
    reader.leave()
    #expect(reader.gate.stallStart == nil)
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("[lossless] What the session held before the launch waits for the reader too")
  func earlierOutput() async throws {
    let (reader, session) = (LosslessReader(timeLimit: nil), freshSession())
    session.append([UInt8](repeating: 65, count: 900_000), to: .stdout)
    try await CommandHost.shared.launch(Self.flood, into: session, waitingFor: reader)
    var total = 0
    for await output in reader.outputs(of: session) {
      total += output.chunks.payload.count
      try await Task.sleep(for: .milliseconds(1))
    }
    #expect(total == 3_900_000)
  }

  @Test("A command does not wait for a reader that is gone before it has begun")
  func absentReader() async throws {
    let session = freshSession()
    var reader: LosslessReader? = LosslessReader(timeLimit: nil)
    let process = try await CommandHost.shared.launch(
      Self.flood, into: session, waitingFor: try #require(reader))
    reader = nil
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("A reader that serves a second command, or is iterated twice, ends the program")
  func misuse() async {
    await #expect(processExitsWith: .failure) {
      let reader = LosslessReader(timeLimit: nil)
      for _ in 1...2 {
        try await CommandHost.shared.launch(
          Command("true"), into: Session(), waitingFor: reader)
      }
    }
    await #expect(processExitsWith: .failure) {
      let (reader, session) = (LosslessReader(timeLimit: nil), Session())
      try await CommandHost.shared.launch(Command("true"), into: session, waitingFor: reader)
      for _ in 1...2 { for await _ in reader.outputs(of: session) {} }
    }
    await #expect(processExitsWith: .failure) {
      let reader = LosslessReader(timeLimit: nil)
      try await CommandHost.shared.launch(Command("true"), into: Session(), waitingFor: reader)
      for await _ in reader.outputs(of: Session()) {}
    }
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
