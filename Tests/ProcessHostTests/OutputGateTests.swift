import Processes
import Synchronization
import Testing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@testable import ProcessHost

/// Gates that hold a command up until a reader has taken its output.
@Suite(.timeLimit(.minutes(10))) struct OutputGateTests {
  @Test("A gate is shut while too many bytes wait, and calls back once when it opens")
  func opening() {
    let gate = OutputGate()
    #expect(!gate.isShut)
    gate.received(256 * 1024)
    #expect(!gate.isShut)
    gate.received(1)
    #expect(gate.isShut)
    let calls = Atomic(0)
    #expect(gate.holdsUp { calls.add(1, ordering: .relaxed) })
    gate.received(1)
    #expect(calls.load(ordering: .relaxed) == 0)
    gate.took(bytes: 2, chunks: 2)
    #expect(!gate.isShut)
    gate.took(bytes: 1, chunks: 1)
    #expect(calls.load(ordering: .relaxed) == 1)
    #expect(!gate.holdsUp {})
  }

  @Test("Many small chunks shut a gate, and nothing shuts it once it was opened for good")
  func chunks() {
    let gate = OutputGate()
    for _ in 0...Session.maxBufferedChunks / 2 { gate.received(1) }
    #expect(gate.isShut)
    gate.open()
    gate.received(1 << 30)
    #expect(!gate.isShut)
  }

  @Test("A command waits until its output is taken, and then loses none of it")
  func commandIsHeldUp() async throws {
    let (gate, session) = (OutputGate(), freshSession())
    let command = Command("head", "-c", "3000000", "/dev/zero")
    let process = try await CommandHost.shared.launch(command, into: session, heldUpBy: [gate])
    #expect(await eventually { gate.isShut })
    var cursor = Cursor.start
    var total = 0
    while true {
      let output = await session.output(since: cursor, waitingUpTo: .milliseconds(100))
      #expect(output.missedBytes == 0)
      total += output.chunks.payload.count
      gate.took(bytes: output.chunks.payload.count, chunks: output.chunks.count)
      cursor = output.cursor
      if output.isComplete { break }
    }
    #expect(total == 3_000_000)
    #expect(try await process.waitUntilClosed() == .exited(0))
  }

  @Test("How much may wait grows with the session")
  func limits() {
    let gate = OutputGate()
    gate.begin(for: Session(capacity: 1 << 24))
    gate.received(1 << 22)
    #expect(!gate.isShut)
    gate.received(1)
    #expect(gate.isShut)
  }

  @Test("A command that waits for its gate can be terminated, and its host can be closed")
  func endingWhileHeldUp() async throws {
    let (gate, host, session) = (OutputGate(), CommandHost(), freshSession())
    let command = Command.shell("cat /dev/zero & exec cat /dev/zero")
    let process = try await host.launch(command, into: session, heldUpBy: [gate])
    let child = ProcessIdentity(process.processID)
    #expect(await eventually { gate.isShut })
    process.terminate(grace: .seconds(1_000))
    #expect(try await process.waitForExit() == .signaled(SIGTERM))
    await host.close(grace: .zero)
    #expect(session.isClosed)
    #expect(child.isGone)
  }
}
