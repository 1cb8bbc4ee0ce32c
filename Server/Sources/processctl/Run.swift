import ArgumentParser
import UnixSignals

struct Run: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a command in the daemon, as if it ran here.",
    usage: "processctl run [options] [--] COMMAND [ARG ...]",
    discussion: """
      Writes the command's stdout to stdout, its stderr to stderr, and a line on stderr where \
      output was missed. When the command has ended and closed its output, its session is deleted. \
      Options end where COMMAND begins.

      SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM are passed on to \
      COMMAND's group. The third SIGINT, SIGTERM or SIGQUIT within 5 seconds kills it.

      If processctl is killed, or loses the daemon, the command goes on, until the daemon ends it \
      because it is silent and nobody asks about it.

      Exit status: COMMAND's own; 128 + N if signal N ended it; 124 if its time was up, but 137 if \
      it had to be killed; 74 if COMMAND succeeded but its output could not be written. processctl \
      --help has those of processctl itself.
      """)

  @OptionGroup var server: ServerOptions

  @Flag(help: "Write chunks and a summary as JSON, one object a line, to stdout.")
  var json = false

  @Flag(help: "Write output only if the command fails or its time is up.")
  var onFailure = false

  @Flag(help: "Write the session's id, and leave the command running.")
  var detach = false

  @Flag(help: "Keep the command however long it is silent and nobody asks about it.")
  var keepAlive = false

  @Flag(help: "Pass processctl's own stdin on to the command.")
  var stdin = false

  @Flag(
    help: """
      Run the command in a terminal, as large as processctl's own, or of 24 lines of 80. If stdin \
      and stdout are terminals, what is typed goes to the command, key by key.
      """)
  var tty = false

  @Option(
    help: ArgumentHelp(
      """
      End the command after this time: a number, and ms, s, m, h or d; seconds without a unit. 0 \
      is no limit.
      """, valueName: "time"),
    transform: Duration.parse)
  var timeout: Duration?

  @Option(
    help: ArgumentHelp(
      """
      Wait this long, after the command's end, for other processes that hold its output open \
      (default: 2s; with --detach as long as they do).
      """, valueName: "time"),
    transform: Duration.parse)
  var linger: Duration?

  @Option(
    help: ArgumentHelp(
      """
      How many bytes of the beginning to keep as well: a number, and K or M, up to 1M (default: \
      none).
      """, valueName: "size"),
    transform: parseHeadSize)
  var head: Int?

  @Option(
    help: ArgumentHelp(
      "Where the command starts (default: the daemon's directory).", valueName: "directory"))
  var cwd: String?

  @Option(
    help: ArgumentHelp(
      "Set a variable of the command's environment; may be repeated.", valueName: "name=value"),
    transform: parseVariable)
  var env: [Variable] = []

  @Argument(
    parsing: .captureForPassthrough,
    help: ArgumentHelp("The command to run, and its arguments.", valueName: "command"))
  var given: [String] = []

  /// The command's name and arguments, without what may stand before them.
  private var command: [String] { given.first == "--" ? Array(given.dropFirst()) : given }

  func validate() throws {
    // The parser takes an option that it does not know for the command's name.
    if let first = given.first, first.hasPrefix("-"), first != "--" {
      if first == "-h" || first == "--help" { throw CleanExit.helpRequest(self) }
      throw ValidationError("“\(first)” is no option; -- may stand before a command of that name")
    }
    if command.isEmpty {
      throw ValidationError(
        "no command was given; it stands last, as in: processctl run make all")
    }
    if detach, json || onFailure || stdin {
      throw ValidationError(
        "--detach writes the session's id alone: it excludes --json, --on-failure and --stdin")
    }
  }

  func run(_ client: Client) async throws {
    let environment = try await client.environment()
    // From now on signals are kept for the command.
    let signals = await UnixSignalsSequence(trapping: detach ? [] : SignalForwarder.signals)
    let session: RemoteSession
    do {
      session = try await RemoteSession.start(arguments, in: environment, of: client)
    } catch let failure as Failure where json {
      try Descriptor.stdout.write(#"{"error":"\#(jsonEscaped(failure.message))"}"# + "\n")
      throw failure
    }
    if detach {
      try Descriptor.stdout.write(session.id + "\n")
      return
    }
    let terminal = takesKeys ? OwnTerminal.take() : nil
    defer { terminal?.giveBack() }
    let status = try await follow(session, signals)
    terminal?.giveBack()
    // A client that has all of the output needs no session. It is no error if the session is gone.
    try? await session.delete()
    throw ExitCode(status)
  }

  private var takesKeys: Bool { tty && !onFailure && OwnTerminal.isThere }

  private var arguments: CommandArguments {
    let size = tty ? WindowSize.own ?? WindowSize() : WindowSize()
    var generator = SystemRandomNumberGenerator()
    return CommandArguments(
      command: command, cwd: cwd,
      env: Dictionary(env.map { ($0.name, $0.value) }) { _, last in last },
      tty: tty, rows: size.rows, cols: size.columns,
      pipeStdin: stdin || detach || takesKeys,
      timeoutMs: timeout.flatMap { $0 > .zero ? $0.milliseconds : nil },
      lingerMs: (linger ?? (detach ? nil : .seconds(2)))?.milliseconds, headBytes: head,
      keepAlive: keepAlive,
      idempotencyKey: "processctl-\(generator.next())-\(generator.next())")
  }

  /// Writes the command's output to its end, and passes on signals and input.
  ///
  /// - Returns: The exit status.
  private func follow(
    _ session: RemoteSession, _ signals: UnixSignalsSequence
  ) async throws -> Int32 {
    let forwardsInput = stdin || takesKeys
    let relay = OutputRelay(
      session: session, isJSON: json, waitsForFailure: onFailure, timeout: timeout)
    return try await withThrowingTaskGroup(of: Int32?.self) { group in
      group.addTask { try await relay.run() }
      group.addTask {
        try await SignalForwarder(session: session).forward(signals)
        return nil
      }
      if forwardsInput {
        group.addTask {
          let isWanted = try await StandardInput.forEachPiece { try await session.write($0) }
          if isWanted { _ = try await session.write([], isEnd: true) }
          return nil
        }
      }
      defer { group.cancelAll() }
      while let result = try await group.next() {
        if let status = result { return status }
      }
      return ExitStatus.refused.rawValue
    }
  }
}

/// The way of a command's output to processctl's own stdout and stderr.
private struct OutputRelay: Sendable {
  let session: RemoteSession
  let isJSON: Bool
  /// Whether nothing is written of a command that succeeds.
  let waitsForFailure: Bool
  let timeout: Duration?

  /// Writes the output, and returns the exit status.
  @MainActor func run() async throws -> Int32 {
    let start = ContinuousClock.now
    var writer = OutputWriter(isJSON: isJSON)
    let last: OutputAnswer
    if waitsForFailure {
      last = try await writeAfterwards(to: &writer)
    } else {
      last = try await writeLive(to: &writer)
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    if last.timedOut, let timeout {
      let kill = last.signal == "SIGKILL" ? ", and then SIGKILL" : ""
      complain(
        "the command had not ended after \(timeout) (--timeout): it got SIGTERM\(kill)")
    }
    writer.finish(last, of: session.id, seconds: seconds)
    return writer.hasFailed && last.status == 0 ? ExitStatus.output.rawValue : last.status
  }

  @MainActor
  private func writeLive(to writer: inout OutputWriter) async throws -> OutputAnswer {
    var follower = Follower(session, isKnown: true)
    var last: OutputAnswer?
    while let answer = try await follower.next() {
      writer.write(answer)
      last = answer
      guard !writer.isStopped else { break }
    }
    if writer.isStopped, !writer.hasFailed {
      // The command gets the signal that it would have got if it had written to the pipe itself,
      // and SIGTERM if it ignores that one.
      for signal in ["SIGPIPE", "SIGTERM", "SIGCONT"] {
        try await session.signal(unlessEnded: signal)
      }
    }
    if let last, last.isLast { return last }
    return try await end()
  }

  @MainActor
  private func writeAfterwards(to writer: inout OutputWriter) async throws -> OutputAnswer {
    let end = try await end()
    guard end.status != 0 else { return end }
    // One answer has all that is retained.
    let answer = try await session.client.persistently {
      try await session.output([("since", "0")])
    }
    writer.write(answer, isAll: true)
    return answer
  }

  /// Waits for the end of the command and its output.
  private func end() async throws -> OutputAnswer {
    guard let answer = try await session.wait(until: { $0.closed && !$0.sessionAlive }) else {
      throw Failure.forgotten
    }
    return answer
  }
}

/// A variable of the command's environment.
struct Variable: Sendable {
  let name: String
  let value: String
}

@Sendable private func parseVariable(_ text: String) throws -> Variable {
  let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
  guard parts.count == 2, !parts[0].isEmpty else {
    throw ValidationError("“\(text)” is no variable: give its name and value, as in CI=1")
  }
  return Variable(name: String(parts[0]), value: String(parts[1]))
}

/// A text as JSON has it between quotation marks.
private func jsonEscaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"", "\\": result += "\\\(scalar)"
    case "\u{0}"..<" ":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}
