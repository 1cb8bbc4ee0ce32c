import ArgumentParser
import UnixSignals

struct Run: ClientCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a command in the daemon, and write its output here.",
    usage: "processctl run [options] [--] COMMAND [ARG ...]",
    discussion: """
      Writes the command's stdout to stdout, its stderr to stderr, and a line on stderr where \
      output was missed, because it came faster than the connection or stdout took it. The exit \
      status tells that only with --lossless and --output. When the command has ended and closed \
      its output, its session is deleted. Options end where COMMAND begins.

      SIGINT (Ctrl-C), SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 and SIGALRM are passed on to \
      COMMAND's group. The third SIGINT, SIGTERM or SIGQUIT within 5 seconds kills it. While no \
      daemon answers, they are kept for it, and the second ends processctl.

      Options of capture that processctl does not have: --foreground and --outlive, since COMMAND \
      is no child of processctl; --ring, --capacity and --asciicast, since the daemon keeps the \
      output.

      --lossless has COMMAND wait for stdout, and --output for the file and stdout: the daemon \
      holds it up while more than 256 KiB of its output wait for processctl. COMMAND goes on, and \
      output may be missed, when the daemon has heard nothing of processctl for 30 seconds.

      --tail writes the last lines of what is kept, and no line about the loss. --timestamps \
      writes [ SECONDS] before each line: when its first byte came, since the start. What --output \
      writes has none.

      After --timeout the group gets SIGTERM or what --signal says, and after --kill-after SIGKILL.

      If processctl is killed, or loses the daemon, the command goes on, until the daemon ends it \
      because it is silent and nobody asks about it.

      Exit status: COMMAND's own; 128 + N if signal N ended it; 124 if its time was up, but 137 if \
      it had to be killed; 127 if it was not found; 126 if it cannot be executed; 125 if it could \
      not be started, or the file of --output not opened; 74 if COMMAND succeeded but its output \
      could not be written, or some was missed in spite of --lossless or --output. processctl \
      --help has those of processctl itself.
      """)

  @OptionGroup var server: ServerOptions

  @Flag(
    inversion: .prefixedNo,
    help: """
      Write output as it comes, and what was missed because it came too fast (default, unless \
      --on-failure or --tail is given).
      """)
  var live: Bool?

  @Flag(
    help: """
      Write output as it comes, and have the command wait while stdout takes less than the command \
      writes, so that nothing is missed.
      """)
  var lossless = false

  @Flag(help: "Write output only if the command fails or its time is up.")
  var onFailure = false

  @Option(
    help: ArgumentHelp(
      "Write the last lines only, so many, of both streams (with --json: from their first chunk).",
      valueName: "lines"),
    transform: parseLineCount)
  var tail: Int?

  @Flag(help: "Write chunks and a summary as JSON, one object a line, to stdout.")
  var json = false

  @Flag(help: "Write a summary to stderr at the end.")
  var stats = false

  @Option(
    help: ArgumentHelp("Write the complete output to a file as well.", valueName: "file"),
    completion: .file())
  var output: String?

  @Flag(help: "Write before each line when it came, in seconds since the start.")
  var timestamps = false

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

  @Flag(
    help: """
      Give the command one pipe for stdout and stderr, so that their order is kept. All of it is \
      stdout.
      """)
  var merge = false

  @Option(
    help: ArgumentHelp(
      """
      End the command after this time: a number, and ms, s, m, h or d; seconds without a unit. 0 \
      is no limit.
      """, valueName: "time"),
    transform: Duration.parse)
  var timeout: Duration?

  @Option(
    name: [.customShort("k", allowingJoined: true), .long],
    help: ArgumentHelp(
      """
      Kill it if it has not ended this long after --timeout (default: the daemon's 2s). 0 is \
      never.
      """,
      valueName: "time"),
    transform: Duration.parse)
  var killAfter: Duration?

  @Option(
    name: [.customShort("s", allowingJoined: true), .long],
    help: ArgumentHelp(
      "What --timeout sends: a signal's name or number (default: TERM).", valueName: "signal"))
  var signal: String?

  @Flag(help: "Exit with the command's own status even if its time was up.")
  var preserveStatus = false

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
    let others = [
      "--json": json, "--on-failure": onFailure, "--stdin": stdin, "--live": live == true,
      "--no-live": live == false, "--lossless": lossless, "--tail": tail != nil,
      "--output": output != nil, "--stats": stats, "--timestamps": timestamps,
      "--preserve-status": preserveStatus,
    ]
    for option in others.keys.sorted() where detach && others[option] == true {
      throw ValidationError("--detach writes the session's id alone: it excludes \(option)")
    }
    try validateLiveness()
    let dependents = [
      "--kill-after": killAfter != nil, "--signal": signal != nil,
      "--preserve-status": preserveStatus,
    ]
    for option in dependents.keys.sorted() where timeout == nil && dependents[option] == true {
      throw ValidationError("\(option) says more about --timeout, which is missing")
    }
  }

  private func validateLiveness() throws {
    if live == true && onFailure {
      throw ValidationError(
        "--live and --on-failure exclude each other: whether the command fails is known at its end")
    }
    if lossless, live == false || onFailure {
      throw ValidationError(
        "--lossless writes output as it comes: it excludes --no-live and --on-failure")
    }
    if tail != nil, lossless || live == true {
      throw ValidationError(
        "--tail excludes --live and --lossless: which lines are the last is known at the end")
    }
  }

  /// Whether output is written as it comes.
  private var isLive: Bool { live ?? (!onFailure && tail == nil) }

  private var limit: Duration? { timeout.flatMap { $0 > .zero ? $0 : nil } }

  func run(_ client: Client) async throws {
    let file = try await reporting { try openFile() }
    let environment = try await client.environment()
    // From now on signals are kept for the command.
    let signals = await UnixSignalsSequence(trapping: detach ? [] : SignalForwarder.signals)
    let session = try await reporting { try await start(in: environment, of: client) }
    if detach {
      try Descriptor.stdout.write(session.id + "\n")
      return
    }
    let terminal = takesKeys ? OwnTerminal.take() : nil
    defer { terminal?.giveBack() }
    let status = try await follow(session, signals, file)
    terminal?.giveBack()
    // A client that has all of the output needs no session. It is no error if the session is gone.
    try? await session.delete()
    throw ExitCode(status)
  }

  /// Does what comes before the command runs. With `--json`, writes why it cannot be started.
  @MainActor
  private func reporting<Value>(_ body: () async throws -> Value) async throws -> Value {
    do {
      return try await body()
    } catch let failure as Failure where json {
      try Descriptor.stdout.write(#"{"error":"\#(jsonEscaped(failure.message))"}"# + "\n")
      throw failure
    }
  }

  /// Opens the file of `--output`, while signals still have their default effect: opening a FIFO
  /// may take forever.
  private func openFile() throws -> OutputFile? {
    do throws(WriteError) {
      return try output.map { path throws(WriteError) in try OutputFile(path: path) }
    } catch {
      throw Failure(
        status: .launch, message: "cannot open \(output ?? "") for --output: \(error.message)")
    }
  }

  /// Starts the command. A signal before the daemon's answer ends that, unless it is to be
  /// detached: then signals end processctl anyway.
  private func start(in environment: String, of client: Client) async throws -> RemoteSession {
    if detach { return try await RemoteSession.start(arguments, in: environment, of: client) }
    let ending: [UnixSignal] = [.sigint, .sigterm, .sighup, .sigquit]
    let signals = await UnixSignalsSequence(
      trapping: SignalForwarder.signals.filter(ending.contains))
    return try await withThrowingTaskGroup(of: RemoteSession?.self) { [arguments] group in
      group.addTask { try await RemoteSession.start(arguments, in: environment, of: client) }
      group.addTask {
        for await signal in signals {
          complain("\(signal) before the daemon has answered: it may have started the command")
          throw ExitCode(128 + signal.rawValue)
        }
        return nil
      }
      defer { group.cancelAll() }
      while let result = try await group.next() {
        if let session = result { return session }
      }
      throw CancellationError()
    }
  }

  private var takesKeys: Bool { tty && isLive && OwnTerminal.isThere }

  private var arguments: CommandArguments {
    let size = tty ? WindowSize.own ?? WindowSize() : WindowSize()
    var generator = SystemRandomNumberGenerator()
    return CommandArguments(
      command: command, cwd: cwd,
      env: Dictionary(env.map { ($0.name, $0.value) }) { _, last in last },
      tty: tty, rows: size.rows, cols: size.columns,
      pipeStdin: stdin || detach || takesKeys, mergeStderr: merge,
      timeoutMs: limit?.milliseconds,
      timeoutSignal: limit.flatMap { _ in signal.map(SignalWord.init) },
      graceMs: killAfter.map { $0 > .zero ? $0.milliseconds : Self.longestGrace },
      lingerMs: (linger ?? (detach ? nil : .seconds(2)))?.milliseconds, headBytes: head,
      timestamps: timestamps,
      losslessMs: lossless || output != nil ? RemoteSession.losslessTime.milliseconds : nil,
      keepAlive: keepAlive,
      idempotencyKey: "processctl-\(generator.next())-\(generator.next())")
  }

  /// The longest time to SIGKILL that the daemon takes, in milliseconds: more than 30 years.
  private static let longestGrace = 1 << 40

  /// Writes the command's output to its end, and passes on signals and input.
  ///
  /// - Returns: The exit status.
  private func follow(
    _ session: RemoteSession, _ signals: UnixSignalsSequence, _ file: OutputFile?
  ) async throws -> Int32 {
    let forwardsInput = stdin || takesKeys
    let relay = OutputRelay(
      session: session, format: json ? .json : timestamps ? .timestamped : .plain, isLive: isLive,
      isLossless: lossless, waitsForFailure: onFailure, tail: tail, file: file,
      timeLimit: limit.map {
        OutputRelay.TimeLimit(
          time: $0, signal: SignalWord(signal ?? "TERM"), preservesStatus: preserveStatus)
      }, writesStatistics: stats)
    return try await withThrowingTaskGroup(of: Int32?.self) { group in
      group.addTask { try await relay.run() }
      let forwarder = SignalForwarder(session: session)
      group.addTask {
        try await forwarder.forward(signals)
        return nil
      }
      group.addTask {
        await forwarder.forwardSizes()
        return nil
      }
      if forwardsInput {
        group.addTask {
          func write(_ bytes: [UInt8], isEnd: Bool = false) async throws -> Bool {
            try await session.client.persistently(isRepeatable: false) {
              try await session.write(bytes, isEnd: isEnd)
            }
          }
          var isWanted = true
          do {
            isWanted = try await StandardInput.forEachPiece { try await write($0) }
          } catch let error as StandardInput.ReadError {
            complain("cannot read stdin: \(error.message); it ends here for the command")
          }
          if isWanted { _ = try await write([], isEnd: true) }
          return nil
        }
      }
      defer { group.cancelAll() }
      do {
        while let result = try await group.next() {
          if let status = result { return status }
        }
      } catch let failure as Failure where failure.isTransient {
        throw failure.losing(session)
      }
      return ExitStatus.refused.rawValue
    }
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
