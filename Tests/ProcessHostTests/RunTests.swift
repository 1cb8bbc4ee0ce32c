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

/// Commands that are run by one call.
@Suite(.timeLimit(.minutes(10))) struct RunTests {
  private func text(_ result: CommandResult) -> String { result.output.chunks.payload.description }

  @Test("[run] The result has the exit, all output, the time that it took and what it used")
  func result() async throws {
    let start = ContinuousClock.now
    let result = try await CommandHost.shared.run(
      .shell("echo out; sleep 0.1; echo err >&2; exit 3"))
    let time = ContinuousClock.now - start
    #expect(result.exit == .exited(3))
    #expect(text(result) == "out\nerr\n")
    #expect(result.output.chunks.map(\.stream) == [.stdout, .stderr])
    #expect(result.output.exitCode == 3)
    #expect(result.output.isComplete)
    #expect(result.lostBytes == 0)
    #expect(result.duration >= .milliseconds(100))
    #expect(result.duration <= time)
    #expect(!result.isTimedOut)
    #expect(try #require(result.resourceUsage).peakResidentBytes > 0)
  }

  @Test("A result prints as how the command ended and how much it wrote")
  func words() async throws {
    let result = try await CommandHost.shared.run(.shell("printf 12345; exit 1"))
    #expect(
      "\(result)" == "exited with 1 after \(result.duration); 1 chunks, 5 bytes, 0 lost")
    let late = try await CommandHost.shared.run(Command("sleep", "1000"), timeLimit: .zero)
    #expect("\(late)".hasPrefix("timed out, ended by signal \(SIGTERM) after "))
  }

  @Test(
    "[run] Of more output than the capacity the last is returned, and the rest counted exactly",
    arguments: [Session.maxBufferBytes, 1_000])
  func loss(capacity: Int) async throws {
    let size = 5_000_000
    let result = try await CommandHost.shared.run(
      .shell("head -c \(size - 3) /dev/zero; printf end"), capacity: capacity)
    #expect(result.exit == .exited(0))
    let payload = result.output.chunks.payload
    #expect(payload.count + result.lostBytes == size)
    #expect(payload.count <= capacity)
    #expect(result.output.missedBytes == result.lostBytes)
    #expect(Array(payload.suffix(3)) == Array("end".utf8))
  }

  @Test("[run] A command that is over its limit is terminated, and its result returned")
  func timedOut() async throws {
    var command = Command.shell("echo begun; exec sleep 1000")
    command.timeLimit = .seconds(1 << 40)
    // Long enough for the first line, or short if the machine is busy: then there is none.
    let result = try await CommandHost.shared.run(command, timeLimit: .milliseconds(500))
    #expect(result.exit == .signaled(SIGTERM))
    #expect(result.isTimedOut)
    #expect(["begun\n", ""].contains(text(result)))
    #expect(result.duration >= .milliseconds(500))
    command.timeLimit = .zero
    #expect(try await CommandHost.shared.run(command).isTimedOut)
  }

  @Test("[run] Background processes that hold the output open are waited for within their limits")
  func lingering() async throws {
    var command = Command.shell("(sleep 0.2; echo late) & echo early")
    (command.quietGrace, command.lingerLimit) = (.seconds(1_000), nil)
    let all = try await CommandHost.shared.run(command)
    #expect(text(all) == "early\nlate\n")
    command = .shell("sleep 1000 & echo $!")
    command.quietGrace = .milliseconds(50)
    let host = CommandHost()
    let result = try await host.run(command)
    #expect(result.exit == .exited(0))
    #expect(result.output.isClosed)
    let background = try #require(ProcessIdentity(text(result).dropLast()))
    #expect(!background.isGone)
    await host.close(grace: .zero)
  }

  @Test("[run] A launch that fails is an error, and says what was wrong")
  func launchError() async throws {
    let error = await #expect(throws: LaunchError.self) {
      try await CommandHost.shared.run(Command("/no/such/file"))
    }
    #expect(error?.description == "/no/such/file: no such file")
  }

  @Test("[run] The command finds the end of its stdin at once, unless the input is bytes")
  func input() async throws {
    var command = Command("cat")
    #expect(text(try await CommandHost.shared.run(command)) == "")
    command.input = .pipe
    #expect(text(try await CommandHost.shared.run(command)) == "")
    command.input = .bytes(Array("hello".utf8))
    #expect(text(try await CommandHost.shared.run(command)) == "hello")
  }

  @Test("[run] Cancelling the task terminates the command with its group, and leaves none of them")
  func cancelled() async throws {
    let (host, directory) = (CommandHost(), TemporaryDirectory())
    // The end of its input tells that the launch is over: until then, cancelling kills at once.
    var command = Command.shell(
      "trap 'echo >\(directory.path)/told; exit 0' TERM; read x; sleep 1000 & echo $$ $! >"
        + "\(directory.path)/new; mv \(directory.path)/new \(directory.path)/ids;"
        + " while :; do sleep 1; done")
    command.input = .pipe
    command.terminationGrace = .seconds(1_000)
    let task = Task { [command] in try await host.run(command) }
    #expect(await eventually { contents("\(directory.path)/ids") != nil })
    let ids = try #require(contents("\(directory.path)/ids")).split(whereSeparator: \.isWhitespace)
    let processes = ids.compactMap { ProcessIdentity($0) }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(contents("\(directory.path)/told") == "\n")
    #expect(processes.count == 2)
    for process in processes { #expect(process.isGone) }
    #expect(await host.close().isEmpty)
  }

  @Test("[run] Cancelling the task kills a command that ignores SIGTERM after the grace")
  func cancelledAndDeaf() async throws {
    let (host, directory) = (CommandHost(), TemporaryDirectory())
    // What has left the group and holds the output open is not waited for.
    var command = Command.shell(
      "trap '' TERM; read x; setsid sleep 1000 & echo $$ $! >\(directory.path)/new;"
        + " mv \(directory.path)/new \(directory.path)/ids; while :; do sleep 1; done")
    (command.quietGrace, command.lingerLimit) = (nil, nil)
    command.input = .pipe
    command.terminationGrace = .milliseconds(50)
    let task = Task { [command] in try await host.run(command) }
    #expect(await eventually { contents("\(directory.path)/ids") != nil })
    let ids = try #require(contents("\(directory.path)/ids")).split(whereSeparator: \.isWhitespace)
    let processes = ids.compactMap { ProcessIdentity($0) }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(processes.count == 2)
    #expect(processes[0].isGone)
    _ = processes.last.map { kill($0.id, SIGKILL) }
    #expect(await host.close().isEmpty)
  }

  @Test("[run] A task that is cancelled already starts no command")
  func cancelledBefore() async throws {
    let directory = TemporaryDirectory()
    let command = Command.shell("echo >\(directory.path)/ran")
    let task = Task {
      while !Task.isCancelled { await Task.yield() }
      return try await CommandHost.shared.run(command)
    }
    task.cancel()
    await #expect(throws: CancellationError.self) { try await task.value }
    #expect(contents("\(directory.path)/ran") == nil)
  }

  @Test("A host that is closed ends a run, which returns how the command ended")
  func hostCloses() async throws {
    let (host, directory) = (CommandHost(), TemporaryDirectory())
    var command = Command.shell("read x; echo >\(directory.path)/ready; exec sleep 1000")
    command.input = .pipe
    async let result = host.run(command)
    #expect(await eventually { contents("\(directory.path)/ready") == "\n" })
    await host.close()
    #expect(try await result.exit == .signaled(SIGTERM))
    #expect(try await !result.isTimedOut)
    await #expect(throws: LaunchError.hostClosed) { try await host.run(Command("true")) }
  }

  @Test("Many runs at a time leave no descriptor and no child behind")
  func many() async throws {
    let host = CommandHost()
    try await withThrowingTaskGroup { group in
      for number in 0..<100 {
        group.addTask { try await host.run(.shell("echo \(number)"), capacity: 4_096) }
      }
      var sum = 0
      for try await result in group { sum += Int(text(result).dropLast()) ?? 0 }
      #expect(sum == 4_950)
    }
    let eventLoop = try host.runningEventLoop()
    #expect(await eventually { eventLoop.lifecycles.isEmpty })
  }
}
