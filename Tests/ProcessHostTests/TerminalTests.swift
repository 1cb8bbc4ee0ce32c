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

/// Commands in a terminal.
@Suite struct TerminalTests {
  private func start(
    _ line: String, rows: UInt16 = 30, columns: UInt16 = 100, input: Command.Input = .none
  ) async throws -> HostedProcess {
    var command = Command.shell(line)
    command.terminal = TerminalSize(rows: rows, columns: columns)
    command.input = input
    return try await CommandHost.shared.launch(command, into: freshSession())
  }

  /// All that a command in a terminal writes.
  private func output(_ line: String, input: Command.Input = .none) async throws -> String {
    let process = try await start(line, input: input)
    try await process.waitUntilClosed()
    return text(process.session)
  }

  /// Waits until the session's output contains something.
  private func wait(for part: String, of session: Session) async {
    while !text(session).contains(part), !session.isClosed {
      _ = await session.output(since: Cursor(seq: session.lastSeq), waitingUpTo: .seconds(1))
    }
  }

  @Test(
    "[terminal] A command in a terminal has its three streams there, of the given size"
  )
  func itIsATerminalOfThatSize() async throws {
    #expect(try await output("stty size") == "30 100\r\n")
    #expect(try await output("tput cols; tput lines") == "100\r\n30\r\n")
    #expect(
      try await output("test -t 0 && test -t 1 && test -t 2 && echo all; echo error >&2")
        == "all\r\nerror\r\n")
  }

  /// It is the controlling one: of a session that the command leads, which can be opened by its
  /// name.
  @Test("[terminal] The command leads the session whose controlling terminal it has")
  func itIsTheControllingTerminal() async throws {
    // Process, session, its group, the terminal's foreground group: see proc(5).
    let process = try await start(
      "echo hello >/dev/tty; read p x x x g s x t x </proc/$$/stat; echo $p $s $g $t")
    try await process.waitUntilClosed()
    let lines = text(process.session).split(separator: "\r\n")
    try #require(lines.count == 2)
    #expect(lines[0] == "hello")
    #expect(
      lines[1].split(separator: " ").map { Int32($0) }
        == Array(repeating: process.processID, count: 4))
  }

  @Test("The exits and signals of commands in a terminal are reported")
  func exitsAndSignalsAreReported() async throws {
    #expect(try await start("exit 7").waitUntilClosed() == .exited(7))
    let process = try await start("echo ready; exec sleep 1000")
    await wait(for: "ready", of: process.session)
    process.terminate()
    #expect(try await process.waitUntilClosed() == .signaled(SIGTERM))
    #expect(process.session.isClosed)
  }

  @Test("A long output through a terminal is complete")
  func nothingOfALongOutputIsMissing() async throws {
    let process = try await start("stty -onlcr; seq 100000")
    try await process.waitUntilClosed()
    #expect(text(process.session) == (1...100_000).map { "\($0)\n" }.joined())
  }

  @Test("A command in a terminal reads lines that the caller writes, and the end at its close")
  func typing() async throws {
    let process = try await start("stty -echo; echo ready; exec cat", input: .pipe)
    let input = try #require(process.input)
    await wait(for: "ready", of: process.session)
    try await input.write("hello\n".utf8)
    await wait(for: "hello", of: process.session)
    // In the middle of a line, too, it is the end.
    try await input.write("world".utf8)
    input.close()
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(text(process.session) == "ready\r\nhello\r\nworld")
  }

  @Test(
    "[terminal] A command in a terminal reads the bytes that it was launched with, and then the end"
  )
  func bytesAndTheEnd() async throws {
    #expect(
      try await output("stty -echo; wc -l", input: .bytes(Array("a\nb\n".utf8))).hasSuffix("2\r\n"))
  }

  /// Ctrl-C, as a user types it.
  @Test("Ctrl-C that the caller writes interrupts the command")
  func keysThatSignal() async throws {
    let process = try await start("echo ready; exec sleep 1000", input: .pipe)
    await wait(for: "ready", of: process.session)
    try await process.input?.write([3])
    #expect(try await process.waitUntilClosed() == .signaled(SIGINT))
  }

  @Test("Resizing the terminal signals the command, and is an error without a running terminal")
  func resizing() async throws {
    let process = try await start(
      "trap 'stty size; exit 0' WINCH; stty size; echo ready; while :; do sleep 0.1; done")
    await wait(for: "ready", of: process.session)
    try process.resize(to: TerminalSize(rows: 50, columns: 132))
    #expect(try await process.waitUntilClosed() == .exited(0))
    #expect(text(process.session) == "30 100\r\nready\r\n50 132\r\n")
    await process.waitUntilOver()
    #expect(await eventually { (try? process.resize(to: TerminalSize())) == nil })
    #expect(throws: TerminalError.processEnded) { try process.resize(to: TerminalSize()) }
    let piped = try await CommandHost.shared.launch(Command("true"), into: freshSession())
    #expect(throws: TerminalError.noTerminal) { try piped.resize(to: TerminalSize()) }
    try await piped.waitUntilClosed()
  }

  @Test("TERM is set in a terminal where the environment has none")
  func termIsSetIfItIsNot() async throws {
    var command = Command("sh", "-c", "echo $TERM")
    command.terminal = TerminalSize()
    for (environment, term) in [
      (.only(["PATH": "/bin:/usr/bin"]), "xterm-256color"),
      (.only(["PATH": "/bin:/usr/bin", "TERM": "vt100"]), "vt100"),
      (.inherited(changing: ["TERM": "dumb"]), "dumb"),
    ] as [(Command.Environment, String)] {
      command.environment = environment
      let session = try await capture(command)
      #expect(text(session) == term + "\r\n")
    }
  }

  @Test("A command in a terminal receives its arguments unchanged")
  func argumentsArriveAsTheyAre() async throws {
    var command = Command("printf", arguments: ["%s|", "", "a b", "$HOME", "'", "\"", "-n", "*"])
    command.terminal = TerminalSize()
    #expect(text(try await capture(command)) == "|a b|$HOME|'|\"|-n|*|")
    let directory = TemporaryDirectory()
    _ = directory.file("-x", "#!/bin/sh\npwd\n", mode: 0o755)
    var script = Command("./-x")
    script.workingDirectory = Command.Text(directory.path)
    script.terminal = TerminalSize()
    #expect(text(try await capture(script)) == directory.path + "\r\n")
  }

  @Test("Launches in a terminal fail with the same errors as launches with pipes")
  func errorsAreThoseOfPipes() async throws {
    var command = Command("no-such-command")
    command.terminal = TerminalSize()
    await #expect(throws: LaunchError.self) { try await capture(command) }
    command.executable = "/etc/passwd"
    await #expect(throws: LaunchError.notExecutable(path: "/etc/passwd", reason: .noPermission)) {
      try await capture(command)
    }
  }

  @Test("Commands in terminals leave no descriptors and no children behind")
  func terminalsLeaveNothing() async {
    await #expect(processExitsWith: .success) {
      let host = CommandHost()
      try await capture(Command("true"), on: host)
      let descriptors = try await settledDescriptorCount()
      for round in 0..<40 {
        var command = Command.shell(
          ["cat", "exit 3", "kill -9 $$", "sleep 1000 & exit"][round % 4])
        command.terminal = TerminalSize()
        command.input = .pipe
        command.quietGrace = .milliseconds(10)
        let process = try await host.launch(command, into: freshSession())
        try? await process.input?.write("hello\n".utf8)
        process.input?.close()
        try await process.waitUntilClosed()
        process.terminate(grace: .zero)
        await process.waitUntilOver()
      }
      #expect(await eventually { descriptorCount() == descriptors })
      #expect(children() == [])
    }
  }
}
