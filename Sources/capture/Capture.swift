import ArgumentParser
import ProcessHost
import Processes

/// Runs a command, and keeps the last of what it writes.
@main
struct Capture: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture",
    abstract: "Run a command and keep the last 1 MiB of what it writes.",
    usage: "capture [options] -- COMMAND [ARG ...]",
    discussion: """
      Runs COMMAND, captures its stdout and stderr in bounded memory, and counts exactly what is lost. \
      When the command has ended and closed its outputs, what is retained is written, in order: its \
      stdout to stdout, its stderr to stderr, after a line on stderr that tells the loss, if any.

      COMMAND reads its stdin from /dev/null, or with --stdin what comes on capture's own; inherits no descriptors but 0, 1 and 2; and leads a \
      process group of its own. With --tty all that it writes is stdout, and its lines end in CR LF. SIGINT (Ctrl-C), \
      SIGTERM, SIGHUP and SIGQUIT are passed on to that group; capture then still waits for the command \
      and writes what it has; a second signal, after the command itself has ended, ends the wait for \
      others that hold its outputs open; one after that ends capture itself at once, even if nobody \
      reads what it writes, with 128 + N. After --timeout the group gets SIGTERM, after --kill-after \
      SIGKILL as well, and capture does not wait for who else holds the outputs open. If nobody reads capture's own output any more, --live ends the command \
      with SIGPIPE and SIGTERM, as a pipeline would.

      Exit status: the command's own; 128 + N if signal N ended it; 124 if --timeout did; 127 if it was not found; 126 if it \
      cannot be executed; 125 if it could not be started for want of resources; 64 for a usage error; \
      74 if the command succeeded but its output could not be written.

      --json writes one object a line: for each chunk \
      {"seq":1,"stream":"stdout","offset":0,"data_b64":"..."}, where offset counts the bytes of both \
      streams before it, and last a summary: exit_code, alive, closed; chunks, the number of chunk \
      lines before it; retained_bytes and lost_bytes, which were retained in memory at the end or not, \
      and add up to total_bytes; missed_chunks and missed_bytes, which capture itself came too late to \
      write. Without --live what is missed is what is lost; with it, what was written while it was \
      still there is not missed, even if it is lost by now.
      """,
    version: "capture 0.1.0")

  @Flag(help: "Write output as it comes, and what was missed because it came too fast.")
  var live = false

  @Flag(help: "Write output only if the command fails.")
  var onFailure = false

  @Flag(help: "Write chunks and a summary as JSON, one object a line, to stdout.")
  var json = false

  @Flag(help: "Write a summary to stderr at the end.")
  var stats = false

  @Flag(help: "Run the command in a terminal, as large as capture's own, or of 24 lines of 80.")
  var tty = false

  @Flag(help: "Pass capture's own stdin on to the command.")
  var stdin = false

  @Option(
    help: "End the command after this time: a number, and ms, s, m or h; seconds without a unit.",
    transform: Duration.parse)
  var timeout: Duration?

  @Option(
    help: "Kill it if it has not ended this long after --timeout (default: 2s).",
    transform: Duration.parse)
  var killAfter: Duration?

  @Argument(
    parsing: .postTerminator,
    help: ArgumentHelp("The command to run, and its arguments.", valueName: "command"))
  var command: [String] = []

  func validate() throws {
    if command.isEmpty {
      throw ValidationError("no command was given; it stands after --, as in: capture -- make all")
    }
    if live && onFailure {
      throw ValidationError(
        "--live and --on-failure exclude each other: whether the command fails is known at its end")
    }
    if killAfter != nil && timeout == nil {
      throw ValidationError("--kill-after says what comes after --timeout, which is missing")
    }
  }

  private var timeLimit: TimeLimit? {
    timeout.map { TimeLimit(time: $0, grace: killAfter ?? CommandHost.defaultGrace) }
  }

  static func main() async {
    openStandardDescriptors()
    // Inherited as ignored, it would hide how the command ends.
    defaultChildSignal()
    await main(nil)
  }

  // On the main thread: writing blocks, and must not hold up the runtime's few threads.
  @MainActor
  func run() async throws {
    let signals = SignalForwarder.start()
    ignoreBrokenPipes()
    let session = Session(id: "capture", workspaceID: "")
    let clock = ContinuousClock()
    let start = clock.now
    // Many may run beside each other, and share with all else what the user's pipes may hold.
    let host = CommandHost(pipeBudget: PipeBudget(part: 256))
    let process: HostedProcess
    var command = Command(self.command[0], arguments: Array(self.command.dropFirst()))
    // As in a pipeline: whoever holds its output open may still have something to say.
    command.quietGrace = nil
    if tty { command.terminal = ownTerminalSize() ?? TerminalSize() }
    if stdin { command.input = .pipe }
    do throws(LaunchError) {
      process = try await host.launch(command, into: session)
    } catch {
      complain("\(error)")
      throw ExitCode(error.exitStatus)
    }
    signals.forward(to: process)
    if let input = process.input { InputForwarder.start(to: input) }
    let timer = timeLimit.map { $0.start(on: host) }

    let format: any OutputFormat = json ? JSONFormat() : PlainFormat()
    var writer = OutputWriter(session: session, format: format)
    if live {
      await writer.follow(until: { signals.isWaitOver }) {
        // What would have happened to the command if it had written there itself; SIGTERM is for
        // those who ignore SIGPIPE, and then look at the error of a write, which they do not get.
        try? process.signal(.brokenPipe)
        try? process.signal(.terminate)
      }
    }
    let exit = try await end(of: process, signals)
    let isTimeUp = timer?.stop() ?? false
    let elapsed = clock.now - start
    if !live { writer.writeRetained(chunks: !onFailure || !exit.isSuccess) }
    writer.finish()
    if stats { writeStatistics(of: session, elapsed) }
    if isTimeUp { throw ExitCode(124) }
    throw ExitCode(exit.isSuccess && writer.hasFailed ? 74 : exit.code)
  }

  /// Waits until the session is closed, or a signal ends the wait after the command has ended.
  @MainActor
  private func end(
    of process: HostedProcess, _ signals: SignalForwarder
  ) async throws -> ProcessExit {
    let waiting = Task.detached { _ = try? await process.waitUntilClosed() }
    signals.onWaitOver { waiting.cancel() }
    await waiting.value
    return try await process.waitForExit()
  }
}

extension LaunchError {
  /// What shells and their relatives return when they cannot start a command.
  fileprivate var exitStatus: Int32 {
    switch self {
    case .executableNotFound: 127
    case .notExecutable, .invalidCommand: 126
    case .badWorkingDirectory, .outOfResources, .hostClosed, .sessionInUse, .tooManySessions,
      .idTaken, .cancelled,
      .other:
      125
    }
  }
}
