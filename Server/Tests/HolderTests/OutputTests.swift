import Foundation
import HolderProtocol
import ProcessHost
import Processes
import Testing

@Suite("Commands of a holder", .timeLimit(.minutes(10)))
struct OutputTests {
  @Test("The output and the exit code are in the ring, and the holder ends")
  func output() async throws {
    let holder = try await Holder.launch("echo out; echo err >&2; exit 7")
    #expect(holder.answer.kind == .started)
    #expect(holder.answer.number(.version) == HolderMessage.version)
    #expect(holder.command > 0)
    #expect(try await holder.exit() == 0)
    let recording = try holder.recording()
    let chunks = recording.output().chunks
    #expect(chunks.filter { $0.stream == .stdout }.flatMap(\.data) == Array("out\n".utf8))
    #expect(chunks.filter { $0.stream == .stderr }.flatMap(\.data) == Array("err\n".utf8))
    #expect(recording.exitCode == 7)
    #expect(recording.state == .ended)
    #expect(recording.childPID == holder.command)
    #expect(holder.directory.names == ["s.ring"])
  }

  @Test("The ring tells the session's id, its workspace, its command and the holder")
  func metadata() async throws {
    var command = Command("printf", "x")
    command.arguments.append(Command.Text(bytes: [0xff]))
    let holder = try await Holder.launch(command, id: "build-7") {
      $0.headBytes = 4_096
      $0.hasTimestamps = true
    }
    let recording = try holder.recording()
    #expect(recording.info.id == "build-7")
    #expect(recording.info.workspaceID == "acme")
    #expect(recording.info.commandBytes == [Array("printf".utf8), Array("x".utf8), [0xff]])
    #expect(recording.info.recorderPID == holder.process)
    #expect(recording.headCapacity == 4_096)
    #expect(recording.hasTimestamps)
    #expect(try await holder.exit() == 0)
  }

  @Test("A command that a signal ends has the code of the signal")
  func signalled() async throws {
    let holder = try await Holder.launch("kill -9 $$")
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().exitCode == 137)
  }

  @Test("The command sees the environment, the umask and the directory of the daemon")
  func environment() async throws {
    let line = "umask; pwd; exec env -u PWD -u SHLVL -u OLDPWD -u _"
    let holder = try await Holder.launch(
      Command.shell(line), environment: ["HOLDER_TEST": "a b", "HOME": nil])
    let lines = Set(try await holder.output().split(separator: "\n").map(String.init))
    let mask = umask(0)
    umask(mask)
    #expect(lines.contains { Int($0, radix: 8) == Int(mask) })
    #expect(lines.contains(FileManager.default.currentDirectoryPath))
    var expected = ProcessInfo.processInfo.environment
    for name in ["PWD", "SHLVL", "OLDPWD", "_", "HOME"] { expected[name] = nil }
    expected["HOLDER_TEST"] = "a b"
    // Values of several lines are cut in the same way on both sides.
    let variables = expected.flatMap { "\($0)=\($1)".split(separator: "\n").map(String.init) }
    #expect(Set(variables).isSubset(of: lines))
    // The three others are the umask, the directory and the umask's other form, if there is one.
    #expect(lines.count <= Set(variables).count + 2)
    #expect(try await holder.exit() == 0)
  }

  @Test("A terminal has the size of the order, and then that of a resize")
  func terminal() async throws {
    var command = Command.shell("stty size; read line; stty size")
    command.terminal = TerminalSize(rows: 11, columns: 47)
    command.input = .pipe
    let holder = try await Holder.launch(command)
    try await holder.output(contains: "11 47")
    let answer = try await holder.connection.ask(.resize) {
      $0.append(.rows, 12)
      $0.append(.columns, 48)
    }
    #expect(answer.kind == .done)
    _ = try await holder.connection.post(.write) { $0.append(.data, "\n") }
    #expect(try await holder.output().contains("12 48"))
    #expect(try await holder.exit() == 0)
  }

  @Test("A command with pipes has no terminal to resize")
  func noTerminal() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let answer = try await holder.connection.ask(.resize)
    #expect(Refusal(answer) == .noTerminal)
  }

  @Test("A signal reaches the command")
  func signal() async throws {
    let holder = try await Holder.launch(
      "trap 'echo caught; exit 4' USR1; echo ready; while :; do sleep 1; done")
    try await holder.output(contains: "ready")
    let answer = try await holder.connection.ask(.signal) { $0.append(.signal, SIGUSR1) }
    #expect(answer.kind == .done)
    #expect(try await holder.output().contains("caught"))
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().exitCode == 4)
  }

  @Test("A number that is no signal is refused", arguments: [0, -1, 999, Int.max, Int.min])
  func noSignal(number: Int) async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let answer = try await holder.connection.ask(.signal) { $0.append(.signal, number) }
    #expect(Refusal(answer) == .refused)
    #expect(answer.number(.code) == Int(EINVAL))
  }

  @Test("A signal after the exit of the command harms nothing")
  func signalAfterEnd() async throws {
    // The process that holds the output open is in a session of its own.
    let holder = try await Holder.launch("setsid sleep 1000 & echo $!") {
      $0.command.lingerLimit = nil
    }
    #expect(try await holder.connection.ask(.awaitExit).kind == .done)
    try await holder.output(contains: "\n")
    let text = String(
      decoding: try holder.recording().output().chunks.flatMap { Array($0.data) }, as: UTF8.self)
    let sleeper = try #require(Int32(text.split(separator: "\n")[0]))
    defer { kill(sleeper, SIGKILL) }
    // The shell is not reaped as long as its output is open, so it takes signals without effect.
    _ = try await holder.connection.ask(.signal) { $0.append(.signal, SIGUSR1) }
    kill(sleeper, SIGKILL)
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().exitCode == 0)
  }

  @Test("A command is ended with a grace, and the answer does not wait for it")
  func terminate() async throws {
    let holder = try await Holder.launch(
      "trap 'echo asked' TERM; echo ready; while :; do sleep 1; done")
    try await holder.output(contains: "ready")
    let first = try await holder.connection.ask(.terminate) {
      $0.append(.grace, Duration.seconds(3_600))
    }
    #expect(first.kind == .done)
    try await holder.output(contains: "asked")
    #expect(isRunning(holder.command))
    let second = try await holder.connection.ask(.terminate) { $0.append(.grace, Duration.zero) }
    #expect(second.kind == .done)
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().exitCode == 137)
  }

  @Test("A command whose time is up is ended")
  func timeLimit() async throws {
    let holder = try await Holder.launch("sleep 1000") { $0.command.timeLimit = .milliseconds(50) }
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().exitCode == 143)
  }

  @Test("A lossless reader gets all, however late it reads")
  func lossless() async throws {
    let count = 4_000_000
    let holder = try await Holder.launch("head -c \(count) /dev/zero") {
      $0.losslessTime = .seconds(36_000)
    }
    let recording = try holder.recording()
    var (cursor, received, missed) = (Cursor.start, 0, 0)
    while true {
      let output = await recording.output(since: cursor, maxBytes: 65_536, waitingUpTo: nil)
      received += output.chunks.reduce(0) { $0 + $1.data.count }
      missed += output.missedBytes ?? 0
      cursor = output.cursor
      if output.isComplete { break }
      _ = try await holder.connection.post(.acknowledge) { $0.append(.cursor, cursor.description) }
    }
    #expect(received == count)
    #expect(missed == 0)
    #expect(try await holder.exit() == 0)
  }

  @Test("A command does not wait for a lossless reader that has left")
  func leave() async throws {
    let holder = try await Holder.launch("head -c 4000000 /dev/zero") {
      $0.losslessTime = .seconds(36_000)
    }
    _ = try await holder.connection.post(.leave)
    #expect(try await holder.exit() == 0)
    #expect(try holder.recording().totalBytes == 4_000_000)
  }

  @Test("The holder stays as long as a process of the command's group runs")
  func lingering() async throws {
    let holder = try await Holder.launch("sleep 1000 >/dev/null 2>&1 & echo $!")
    #expect(try await holder.connection.ask(.awaitClose).kind == .done)
    let text = try await holder.output()
    let sleeper = try #require(Int32(text.split(separator: "\n")[0]))
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    #expect(isRunning(sleeper))
    #expect(try await holder.connection.ask(.terminate).kind == .done)
    #expect(try await holder.exit() == 0)
    #expect(!isRunning(sleeper))
  }

  @Test("A daemon is told of the exit and of the close")
  func awaiting() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let exit = try await holder.connection.post(.awaitExit)
    let close = try await holder.connection.post(.awaitClose)
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
    #expect(holder.connection.hasNothing)
    _ = try await holder.connection.post(.write) { $0.append(.end, 1) }
    #expect(try await holder.connection.answer(to: exit).kind == .done)
    #expect(try holder.recording().exitCode == 0)
    #expect(try await holder.connection.answer(to: close).kind == .done)
    #expect(try holder.recording().state == .ended)
    #expect(try await holder.exit() == 0)
  }

  @Test("A client's use of the session is activity")
  func touch() async throws {
    let holder = try await Holder.launch("cat", hasInput: true)
    let recording = try holder.recording()
    let before = recording.lastActivity
    try await eventually {
      .seconds(Date().timeIntervalSince1970) > before + .milliseconds(50)
    }
    _ = try await holder.connection.post(.touch)
    try await eventually { recording.lastActivity > before }
    #expect(try await holder.connection.ask(.hello).kind == .welcome)
  }
}
