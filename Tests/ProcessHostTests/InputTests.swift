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

/// What commands find on their stdin.
@Suite struct InputTests {
  private func start(
    _ line: String, on host: CommandHost = .shared
  ) async throws -> (HostedProcess, ProcessInput) {
    var command = Command.shell(line)
    command.input = .pipe
    let process = try await host.launch(command, into: freshSession())
    return (process, try #require(process.input))
  }

  /// Bytes that do not repeat at any distance that matters.
  private func noise(_ count: Int) -> [UInt8] {
    (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 2_654_435_761 >> 13) }
  }

  @Test("A command's stdin is /dev/null by default")
  func nothingUnlessAskedFor() async throws {
    let session = freshSession()
    let process = try await CommandHost.shared.launch(
      .shell("readlink /proc/self/fd/0; cat"), into: session)
    #expect(process.input == nil)
    try await process.waitUntilClosed()
    #expect(text(session) == "/dev/null\n")
  }

  @Test(
    "A command reads all the bytes that it was launched with",
    arguments: [0, 1, 65_536, 65_537, 900_000])
  func bytes(count: Int) async throws {
    let bytes = noise(count)
    var command = Command("cat")
    command.input = .bytes(bytes)
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    #expect(process.input == nil)
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(Array(process.session.output().chunks.payload) == bytes)
  }

  @Test("A command that reads only part of its input ends normally")
  func whatACommandDoesNotReadIsNoProblem() async throws {
    var command = Command("head", "-c", "10")
    command.input = .bytes(noise(500_000))
    let process = try await CommandHost.shared.launch(command, into: freshSession())
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(process.session.totalBytes == 10)
  }

  @Test("A caller can write, read the answer and write again, until it closes the input")
  func aDialogue() async throws {
    let (process, input) = try await start("while read x; do echo $((x * x)); done; echo end")
    var seen = ""
    for number in 1...20 {
      try await input.write("\(number)\n".utf8)
      seen += "\(number * number)\n"
      while text(process.session) != seen {
        _ = await process.session.output(
          since: Cursor(seq: process.session.lastSeq), waitingUpTo: .seconds(1))
      }
    }
    input.close()
    input.close()
    try await process.waitUntilClosed()
    #expect(text(process.session) == seen + "end\n")
    await #expect(throws: InputError.closed) { try await input.write("x".utf8) }
  }

  /// Writes wait for the reader, in their order, and closing waits for them.
  @Test("[input] A write waits until the command reads, and a later close waits for the write")
  func backPressure() async throws {
    let directory = TemporaryDirectory()
    let gate = directory.path + "/gate"
    #expect(unsafe mkfifo(gate, 0o600) == 0)
    let (process, input) = try await start("read go <\(gate); cat | cksum")
    let bytes = noise(300_000)
    let isDone = Atomic(false)
    let writer = Task {
      try await input.write(bytes)
      isDone.store(true, ordering: .sequentiallyConsistent)
      input.close()
    }
    // Others are served meanwhile.
    #expect(text(try await capture(Command("echo", "hello"))) == "hello\n")
    let isWaiting = !isDone.load(ordering: .sequentiallyConsistent)
    #expect(isWaiting)
    try await capture(.shell("echo >\(gate)"))
    try await writer.value
    try await process.waitUntilClosed()
    var direct = Command("cksum")
    direct.input = .bytes(bytes)
    let expected = try await CommandHost.shared.launch(direct, into: freshSession())
    try await expected.waitUntilClosed()
    #expect(text(process.session) == text(expected.session))
    #expect(text(process.session).hasSuffix(" 300000\n"))
  }

  @Test("Concurrent writes are not interleaved")
  func manyWritersAreNotMixed() async throws {
    let (process, input) = try await start("sort | uniq -c")
    try await withThrowingTaskGroup(of: Void.self) { group in
      for letter in "abcdefgh" {
        group.addTask {
          let line = String(repeating: letter, count: 999) + "\n"
          for _ in 0..<50 { try await input.write(line.utf8) }
        }
      }
      try await group.waitForAll()
    }
    input.close()
    try await process.waitUntilClosed()
    let lines = text(process.session).split(separator: "\n")
    #expect(lines.count == 8)
    #expect(lines.allSatisfy { $0.contains(" 50 ") && $0.count > 999 })
  }

  /// In a process of its own, where SIGPIPE has its default action, which is to end it.
  @Test("[input] A write to a command that closed its stdin is an error and does not raise SIGPIPE")
  func aClosedStdinIsAnError() async {
    await #expect(processExitsWith: .success) {
      var command = Command.shell("exec <&-; echo closed; exec sleep 1000")
      command.input = .pipe
      let process = try await CommandHost.shared.launch(command, into: freshSession())
      let input = try #require(process.input)
      _ = await process.session.output(since: 0, waitingUpTo: nil)
      await #expect(throws: InputError.brokenPipe) { try await input.write("x".utf8) }
      await #expect(throws: InputError.brokenPipe) { try await input.write("x".utf8) }
      #expect(process.isRunning)
      process.terminate(grace: .zero)
      try await process.waitUntilClosed()
    }
  }

  @Test("A write fails when its process ends")
  func theEndOfTheProcessEndsWrites() async throws {
    let (process, input) = try await start("sleep 0.05; exit 3")
    await #expect(throws: InputError.brokenPipe) { try await input.write(noise(1_000_000)) }
    #expect(try await process.waitUntilClosed() == .exited(3))
    await #expect(throws: InputError.brokenPipe) { try await input.write("x".utf8) }
  }

  /// A daemon holds stdin and nothing else: no process is left to wait for.
  @Test("A write fails when its process ends, even if a daemon holds stdin open")
  func aDaemonThatHoldsStdinDoesNotHoldWrites() async throws {
    let (process, input) = try await start(
      "exec 3<&0; setsid sleep 1000 <&3 >/dev/null 2>&1 & echo $!; exit 0")
    await #expect(throws: InputError.brokenPipe) { try await input.write(noise(1_000_000)) }
    try await process.waitUntilClosed()
    let daemon = try #require(Int32(text(process.session).dropLast()))
    #expect(kill(daemon, SIGKILL) == 0)
  }

  @Test("Cancelling a task ends its write, whether the write is queued or in progress")
  func writingCanBeCancelled() async throws {
    let (process, input) = try await start("echo ready; exec sleep 1000")
    _ = await process.session.output(since: 0, waitingUpTo: nil)
    let writer = Task { try await input.write(noise(1_000_000)) }
    let other = Task { try await input.write(noise(1_000_000)) }
    other.cancel()
    await #expect(throws: InputError.cancelled) { try await other.value }
    writer.cancel()
    await #expect(throws: InputError.cancelled) { try await writer.value }
    process.terminate(grace: .zero)
    try await process.waitUntilClosed()
  }

  /// Forgotten by everyone, the pipe is closed.
  @Test("The pipe to stdin closes when its process is no longer referenced")
  func aForgottenInputIsClosed() async throws {
    let session = freshSession()
    let host = CommandHost()
    do {
      var command = Command.shell("cat; echo end")
      command.input = .pipe
      let process = try await host.launch(command, into: session)
      try await process.input?.write("hello\n".utf8)
    }
    for await _ in session.outputs() {}
    #expect(text(session) == "hello\nend\n")
  }

  @Test("Commands with input leave no descriptors and no children behind")
  func pipesLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let descriptors = try await settledDescriptorCount()
      for round in 0..<30 {
        var command = Command.shell(
          ["cat", "head -c 10", "exec <&-; sleep 0.01", "no-such"][round % 4])
        command.input = round % 3 == 0 ? .bytes(Array(repeating: 65, count: 100_000)) : .pipe
        let process = try await host.launch(command, into: freshSession())
        try? await process.input?.write(Array(repeating: 66, count: 100_000))
        process.input?.close()
        try await process.waitUntilClosed()
      }
      #expect(await eventually { descriptorCount() == descriptors })
      #expect(children() == [])
    }
  }
}
