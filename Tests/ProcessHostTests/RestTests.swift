import Processes
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What becomes of sources, and of pipes, while the poller does not know them.
@Suite(.timeLimit(.minutes(10))) struct RestTests {
  /// A source that always has something to say, and does as it is told.
  private final class Source: EventSource, @unchecked Sendable {
    private let ends: PipeEnds
    private var decisions: [EventLoop.Next]
    private let onFinish: (Source) -> Void
    private(set) var turns: [ContinuousClock.Instant] = []
    var registration: EventLoop.Registration?
    let begun = Latch<Void>()
    let finished = Latch<Void>()

    /// - Parameters:
    ///   - decisions: What it answers; the last one again and again.
    ///   - onFinish: What it does when it has finished.
    init(_ decisions: [EventLoop.Next], onFinish: @escaping (Source) -> Void = { _ in }) throws {
      ends = try PipeEnds.open(.fromChild)
      self.decisions = decisions
      self.onFinish = onFinish
      expectWritten([1], to: ends.write.number)
    }

    func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
      try unsafe poller.add(ends.read.number, token: token)
    }

    func remove(from poller: borrowing Poller) { poller.remove(ends.read.number) }

    func handleEvent() -> EventLoop.Next {
      turns.append(.now)
      begun.set(())
      return decisions.count > 1 ? decisions.removeFirst() : decisions[0]
    }

    func didFinish() {
      onFinish(self)
      finished.set(())
    }
  }

  /// Runs a closure on the event loop's thread.
  private func execute(on eventLoop: EventLoop, _ body: @escaping @Sendable () -> Void) async throws
  {
    let visited = Latch<Void>()
    eventLoop.execute {
      body()
      visited.set(())
    }
    try await visited.wait()
  }

  @Test("A source that rests gets its next turn no sooner than after the pause")
  func pause() async throws {
    let pause = Duration.milliseconds(2)
    let eventLoop = try EventLoop.start(pause: pause)
    defer { eventLoop.stop(grace: .zero) }
    let source = try Source([.rest, .rest, .finish])
    try eventLoop.add(source)
    try await source.finished.wait()
    let turns = source.turns
    #expect(turns.count == 3)
    #expect(zip(turns, turns.dropFirst()).allSatisfy { $1 - $0 >= pause })
  }

  @Test("A source that waits after its rest is reported again")
  func waitingAgain() async throws {
    let eventLoop = try EventLoop.start()
    defer { eventLoop.stop(grace: .zero) }
    let source = try Source([.rest, .wait, .wait, .rest, .wait, .finish])
    try eventLoop.add(source)
    try await source.finished.wait()
    #expect(source.turns.count == 6)
  }

  @Test("Other sources get their turns while one source rests")
  func others() async throws {
    let eventLoop = try EventLoop.start(pause: .seconds(1_000))
    let resting = try Source([.rest])
    try eventLoop.add(resting)
    try await resting.begun.wait()
    let other = try Source([.wait, .wait, .finish])
    try eventLoop.add(other)
    try await other.finished.wait()
    try await execute(on: eventLoop) { eventLoop.withdraw(resting) }
    #expect(resting.turns.count == 1)
    eventLoop.stop(grace: .zero)
  }

  @Test("A source that is withdrawn during its rest gets no more turns and is released")
  func withdrawing() async throws {
    let eventLoop = try EventLoop.start(pause: .milliseconds(1))
    defer { eventLoop.stop(grace: .zero) }
    weak var witness: Source?
    do {
      let source = try Source([.rest])
      witness = source
      try eventLoop.add(source)
      try await source.begun.wait()
      let turns = Latch<Int>()
      let later = Latch<Int>()
      try await execute(on: eventLoop) {
        eventLoop.withdraw(source)
        turns.set(source.turns.count)
        // The rest is over by then.
        eventLoop.schedule(after: .milliseconds(10)) { later.set(source.turns.count) }
      }
      #expect(try await turns.wait() == later.wait())
    }
    #expect(await eventually { witness == nil })
  }

  @Test("A source that adds itself again when it finishes can be withdrawn, and the thread ends")
  func addedAgain() async throws {
    let eventLoop = try EventLoop.start()
    let source = try Source([.finish, .hold]) { source in
      #expect(throws: Never.self) { try eventLoop.add(source) }
    }
    try eventLoop.add(source)
    try await source.finished.wait()
    try await execute(on: eventLoop) {
      #expect(source.registration != nil)
      eventLoop.withdraw(source)
      #expect(source.registration == nil)
    }
    eventLoop.stop(grace: .zero)
    #expect(await eventually { eventLoop.hasEnded })
  }

  @Test("The event loop's thread does not end while a source rests")
  func stopping() async throws {
    let eventLoop = try EventLoop.start(pause: .milliseconds(20))
    let source = try Source([.rest, .rest, .finish])
    try eventLoop.add(source)
    try await source.begun.wait()
    eventLoop.stop(grace: .zero)
    try await source.finished.wait()
    #expect(source.turns.count == 3)
  }

  // MARK: Pipes

  /// A pipe whose reader rests after each turn that finds a little, on an event loop of its own.
  private final class Output {
    let eventLoop: EventLoop
    let lifecycle: Lifecycle
    let abandon: @Sendable () -> Void
    let childEnded: @Sendable (ProcessExit) -> Void
    var writer: OwnedDescriptor?

    init(pause: Duration, quietGrace: Duration? = nil) throws {
      eventLoop = try EventLoop.start(pause: pause)
      lifecycle = Lifecycle(OutputSink(freshSession())!, pipes: 1, on: eventLoop)
      // Closed at the end of this, so that the end of the pipe depends on the copy alone.
      let ends = try PipeEnds.open(.fromChild)
      writer = try ends.write.duplicate()
      let pipe = OutputPipe(try ends.read.duplicate(), .stdout, of: lifecycle, on: eventLoop)
      let now = ContinuousClock.Instant.now
      var moderation = Moderation(at: now - .microseconds(8))
      for _ in 0..<Moderation.sample { _ = moderation.rests(after: 1, of: 65_536, at: now) }
      pipe.moderation = moderation
      let outputs = ChildOutput([pipe], of: lifecycle, on: eventLoop, quietGrace: quietGrace)
      abandon = { outputs.abandon() }
      childEnded = { outputs.childEnded($0) }
      try eventLoop.add(pipe)
    }

    deinit { eventLoop.stop(grace: .zero) }

    func write(_ text: String) {
      guard let number = writer?.number else { return }
      expectWritten(Array(text.utf8), to: number)
    }

    /// Waits until something has been read, so that the pipe rests.
    func waitForTurn() async { _ = await lifecycle.sink.session.output(since: 0, waitingUpTo: nil) }
  }

  @Test("The bytes in a resting pipe reach the session before the exit")
  func exit() async throws {
    let output = try Output(pause: .seconds(1_000))
    output.write("hello")
    await output.waitForTurn()
    output.write(", world")
    let childEnded = output.childEnded
    let (lifecycle, abandon) = (output.lifecycle, output.abandon)
    try await execute(on: output.eventLoop) {
      // Resting, or the event loop would have read it before.
      #expect(lifecycle.sink.session.totalBytes == 5)
      childEnded(.exited(3))
    }
    #expect(lifecycle.sink.session.exitCode == 3)
    #expect(text(lifecycle.sink.session) == "hello, world")
    try await execute(on: output.eventLoop) { abandon() }
    #expect(lifecycle.sink.session.isClosed)
  }

  @Test("A resting pipe is abandoned at once")
  func abandoning() async throws {
    let output = try Output(pause: .seconds(1_000))
    output.write("hello")
    await output.waitForTurn()
    let (lifecycle, abandon) = (output.lifecycle, output.abandon)
    try await execute(on: output.eventLoop) {
      lifecycle.childExited(.exited(0))
      abandon()
    }
    try await lifecycle.released.wait()
    #expect(lifecycle.sink.session.isClosed)
  }

  @Test("A resting pipe notices its end")
  func end() async throws {
    let output = try Output(pause: .milliseconds(1))
    output.write("hello")
    await output.waitForTurn()
    output.write(", world")
    output.writer = nil
    let lifecycle = output.lifecycle
    try await execute(on: output.eventLoop) { lifecycle.childExited(.exited(0)) }
    try await lifecycle.released.wait()
    #expect(text(lifecycle.sink.session) == "hello, world")
  }

  @Test("Output that is held open counts as quiet even while its pipe rests")
  func quiet() async throws {
    let output = try Output(pause: .seconds(1_000), quietGrace: .milliseconds(5))
    output.write("hello")
    await output.waitForTurn()
    let (lifecycle, abandon) = (output.lifecycle, output.abandon)
    let childEnded = output.childEnded
    try await execute(on: output.eventLoop) { childEnded(.exited(0)) }
    try await lifecycle.closed.wait()
    #expect(lifecycle.sink.session.isClosed)
    try await execute(on: output.eventLoop, abandon)
  }

  // MARK: Children

  private static let flood = "while :; do echo x; echo y; done"

  @Test("Every byte of many small writes arrives in order")
  func smallWrites() async throws {
    let session = try await capture(
      .shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo $i; done; printf end"))
    #expect(text(session) == (1...20_000).map { "\($0)\n" }.joined() + "end")
  }

  @Test("A child that floods its output with small writes can be terminated")
  func terminating() async throws {
    for _ in 0..<10 {
      let process = try await CommandHost.shared.launch(.shell(Self.flood), into: freshSession())
      while process.session.lastSeq < 100 {
        _ = await process.session.output(
          since: Cursor(seq: process.session.lastSeq), waitingUpTo: nil)
      }
      process.terminate(grace: .zero)
      #expect(try await process.waitUntilClosed() == .signaled(SIGKILL))
    }
  }

  @Test("A host with children that flood their output can be closed and leaves nothing behind")
  func closing() async {
    await #expect(processExitsWith: .success) {
      let before = try await settledDescriptorCount()
      let host = CommandHost()
      for _ in 0..<5 {
        let process = try await host.launch(.shell(RestTests.flood), into: freshSession())
        _ = await process.session.output(since: 0, waitingUpTo: nil)
      }
      await host.close(grace: .zero)
      #expect(children() == [])
      #expect(await eventually { descriptorCount() == before })
    }
  }
}
