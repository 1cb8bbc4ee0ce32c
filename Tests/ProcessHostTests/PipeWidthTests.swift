import Processes
import Synchronization
import Testing

@testable import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What pipes hold beyond the default, and where it comes from.
@Suite struct PipeWidthTests {
  private static let narrow = 65_536
  private static let added = PipeWidth.wide - narrow

  /// A pipe between a child that the test plays and a session.
  private final class Output {
    let eventLoop: EventLoop
    let pipe: OutputPipe
    let session = freshSession()
    private let ends: PipeEnds

    /// The event loop is not told of it: the test gives it its turns.
    init(_ budget: PipeBudget, capacity: Int = narrow) throws {
      eventLoop = try EventLoop.start(pipeBudget: budget)
      ends = try PipeEnds.open(.fromChild)
      // Whatever the user's other pipes have left of the default.
      _ = setPipeCapacity(ends.read.number, to: capacity)
      _ = fcntl(ends.write.number, F_SETFL, O_NONBLOCK)
      let lifecycle = Lifecycle(OutputSink(session)!, pipes: 1, on: eventLoop)
      pipe = OutputPipe(try ends.read.duplicate(), .stdout, of: lifecycle, on: eventLoop)
    }

    deinit { eventLoop.stop(grace: .zero) }

    var capacity: Int? { pipeCapacity(ends.read.number) }

    func write(_ count: Int) {
      let bytes = [UInt8](repeating: 1, count: count)
      expectWritten(bytes, to: ends.write.number)
    }
  }

  // MARK: The budget

  @Test("A budget grants a share whole or not at all, and gets it back from its last owner")
  func shares() {
    let budget = PipeBudget(limit: 100)
    do {
      let first = budget.take(60)
      expect(first, isTaken: true)
      #expect(budget.remaining == 40)
      expect(budget.take(41), isTaken: false)
      #expect(budget.remaining == 40)
      let second = budget.take(40)
      expect(second, isTaken: true)
      #expect(budget.remaining == 0)
    }
    #expect(budget.remaining == 100)
  }

  private func expect(_ share: borrowing PipeBudget.Share?, isTaken: Bool) {
    let isThere = share != nil
    #expect(isThere == isTaken)
  }

  @Test("Concurrent threads never take more than the budget's limit, and return all of it")
  func sharesOnManyThreads() async {
    let budget = PipeBudget(limit: 5)
    let held = HeldBytes()
    await withTaskGroup(of: Void.self) { group in
      for count in 1...4 {
        group.addTask {
          for _ in 0..<10_000 {
            let share = budget.take(count)
            guard share != nil else { continue }
            if held.count.add(count, ordering: .relaxed).newValue > 5 { Issue.record("too much") }
            held.count.subtract(count, ordering: .relaxed)
          }
        }
      }
    }
    #expect(budget.remaining == 5)
  }

  private final class HeldBytes: Sendable {
    let count = Atomic(0)
  }

  @Test("The budget is a part of the system's limit in pages, or of the default for none")
  func limits() {
    #expect(PipeBudget.bytes(pages: 100, of: 4_096) == 409_600)
    #expect(PipeBudget.bytes(pages: 0, of: 4_096) == 16_384 * 4_096)
    #expect(PipeBudget.bytes(pages: nil, of: 4_096) == 16_384 * 4_096)
    #expect(PipeBudget.bytes(pages: .max, of: 65_536) == (1 << 20) * 65_536)
    let all = PipeBudget.bytes(pages: userPipePages(), of: pageSize())
    #expect(PipeBudget.shared.limit == all / 4)
    #expect(PipeBudget(part: 256).limit == all / 256)
  }

  private func expect(_ isSo: Bool, is expected: Bool) { #expect(isSo == expected) }

  // MARK: A pipe

  @Test("[pipe-size] The first full read widens a pipe and takes a share of the budget")
  func firstFullRead() throws {
    let budget = PipeBudget(limit: 1_000_000)
    let output = try Output(budget)
    output.write(Self.narrow / 2 - 1)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.capacity == Self.narrow)
    #expect(budget.remaining == 1_000_000)
    output.write(Self.narrow)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.capacity == PipeWidth.wide)
    #expect(budget.remaining == 1_000_000 - Self.added)
  }

  @Test("A pipe widens at half of its bytes, since each write may take a page of its own")
  func pagesInPart() throws {
    let budget = PipeBudget(limit: 1_000_000)
    let output = try Output(budget)
    for _ in 0..<16 { output.write(2_100) }
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.capacity == PipeWidth.wide)
  }

  @Test("A pipe keeps its width while the budget has too little, and widens later")
  func budgetIsExhausted() throws {
    let budget = PipeBudget(limit: Self.added)
    let output = try Output(budget)
    do {
      let other = budget.take(1)
      expect(other, isTaken: true)
      output.write(Self.narrow)
      #expect(output.pipe.handleEvent() == .wait)
      #expect(output.capacity == Self.narrow)
      #expect(budget.remaining == Self.added - 1)
      _ = consume other
    }
    output.write(Self.narrow)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.capacity == PipeWidth.wide)
    #expect(budget.remaining == 0)
  }

  @Test("A closed pipe returns its share")
  func closing() throws {
    let budget = PipeBudget(limit: 1_000_000)
    let output = try Output(budget)
    output.write(Self.narrow)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(budget.remaining < 1_000_000)
    output.pipe.close()
    #expect(budget.remaining == 1_000_000)
  }

  @Test("A pipe is narrowed when it has not been full between two looks")
  func narrowing() throws {
    let budget = PipeBudget(limit: 1_000_000)
    let ends = try PipeEnds.open(.fromChild)
    var width = PipeWidth(ends.read.number, budget)
    expect(width.adapt(to: Self.narrow), is: true)
    expect(width.adapt(to: Self.narrow), is: false)
    // It was full before this look, and before the next.
    width.narrowIfUnneeded()
    expect(width.isWide, is: true)
    _ = width.adapt(to: Self.narrow / 2)
    width.narrowIfUnneeded()
    expect(width.isWide, is: true)
    expect(width.capacity == PipeWidth.wide, is: true)
    _ = width.adapt(to: Self.narrow / 2 - 1)
    width.narrowIfUnneeded()
    expect(width.isWide, is: false)
    expect(width.capacity == Self.narrow, is: true)
    #expect(pipeCapacity(ends.read.number) == Self.narrow)
    #expect(budget.remaining == 1_000_000)
    expect(width.adapt(to: Self.narrow), is: true)
  }

  @Test("A pipe that holds too much to be narrowed keeps its share until it is emptied")
  func narrowingAFullPipe() throws {
    let budget = PipeBudget(limit: 1_000_000)
    let ends = try PipeEnds.open(.fromChild)
    var width = PipeWidth(ends.read.number, budget)
    expect(width.adapt(to: Self.narrow), is: true)
    width.narrowIfUnneeded()
    let bytes = [UInt8](repeating: 1, count: 2 * Self.narrow)
    expectWritten(bytes, to: ends.write.number)
    width.narrowIfUnneeded()
    expect(width.isWide, is: true)
    #expect(budget.remaining == 1_000_000 - Self.added)
    var room = bytes
    #expect(unsafe read(ends.read.number, &room, room.count) == room.count)
    width.narrowIfUnneeded()
    expect(width.isWide, is: false)
    #expect(budget.remaining == 1_000_000)
  }

  @Test("Terminals and pipes that are wide already take no share")
  func notWidened() throws {
    let budget = PipeBudget(limit: 1_000_000)
    let terminal = try PseudoTerminal.open(TerminalSize())
    var width = PipeWidth(terminal.primary.number, budget)
    expect(width.capacity == nil, is: true)
    expect(width.adapt(to: Self.narrow), is: false)
    let ends = try PipeEnds.open(.fromChild)
    #expect(setPipeCapacity(ends.read.number, to: PipeWidth.wide) == PipeWidth.wide)
    width = PipeWidth(ends.read.number, budget)
    expect(width.adapt(to: PipeWidth.wide), is: false)
    #expect(budget.remaining == 1_000_000)
  }

  @Test("A host's pipes have returned their shares when its processes are over")
  func processes() async throws {
    let budget = PipeBudget(limit: 4 * Self.added)
    let host = CommandHost(pipeBudget: budget)
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<8 {
        group.addTask {
          let session = try? await capture(Command("head", "-c", "3000000", "/dev/zero"), on: host)
          #expect(session?.totalBytes == 3_000_000)
        }
      }
    }
    #expect(budget.remaining == 4 * Self.added)
    await host.close()
  }

  // MARK: A turn

  @Test("[flood] The processes share reads of 1 MiB, and each may read 64 KiB at least")
  func share() {
    #expect(
      [0, 1, 2, 16, 17, 1_000].map(EventLoop.share(among:)) == [
        1_048_576, 1_048_576, 524_288, 65_536, 65_536, 65_536,
      ])
  }

  @Test("A turn reads all that a pipe holds, one chunk for each read")
  func turnOfOneProcess() throws {
    let output = try Output(PipeBudget(limit: 0), capacity: PipeWidth.wide)
    output.write(PipeWidth.wide)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.session.output().chunks.map(\.data.count) == [65_536, 65_536, 65_536, 65_536])
  }

  @Test("A turn ends with its share, and the next turn reads the rest")
  func turnBesideOthers() throws {
    let output = try Output(PipeBudget(limit: 0), capacity: PipeWidth.wide)
    let lifecycles = (0..<8).map { _ in
      let lifecycle = Lifecycle(OutputSink(freshSession())!, pipes: 0, on: output.eventLoop)
      output.eventLoop.register(
        lifecycle, ChildOutput([], of: lifecycle, on: output.eventLoop, quietGrace: nil))
      return lifecycle
    }
    output.write(PipeWidth.wide)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.session.totalBytes == 131_072)
    #expect(output.pipe.handleEvent() == .wait)
    #expect(output.session.totalBytes == 262_144)
    for lifecycle in lifecycles { output.eventLoop.unregister(lifecycle) }
  }
}
