import ArgumentParser
import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Runs a command, and keeps the last part of its output.
@main
struct Capture: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "capture",
    abstract: "Run a command and keep the last 1 MiB of what it writes.",
    usage: "capture [options] [--] COMMAND [ARG ...]",
    discussion: helpText,
    version: "capture 0.1.0")

  @Flag(
    inversion: .prefixedNo,
    help: """
      Write output as it comes, and what was missed because it came too fast (default: if stdout is a \
      terminal, unless --on-failure or --json is given).
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

  @Option(
    help: ArgumentHelp(
      "Write the complete output to a file as an asciicast as well, which asciinema can play.",
      valueName: "file"),
    completion: .file())
  var asciicast: String?

  @Flag(help: "Write before each line when it came, in seconds since the start.")
  var timestamps = false

  @Flag(
    help: """
      Run the command in a terminal, as large as capture's own, or of 24 lines of 80. If stdin and \
      stdout are terminals and output is written as it comes, what is typed goes to the command, key \
      by key.
      """)
  var tty = false

  @Flag(
    help: """
      Give the command one pipe for stdout and stderr, so that their order is kept. All of it is stdout.
      """)
  var merge = false

  @Flag(
    help: """
      Leave the command in capture's own process group, so that it can read from the terminal and \
      gets Ctrl-C from it. Signals from capture then reach it alone, and none of its children.
      """)
  var foreground = false

  @Flag(
    help:
      "Let the command live on if capture is killed (default: SIGKILL for the command, on Linux).")
  var outlive = false

  @Flag(help: "Pass capture's own stdin on to the command.")
  var stdin = false

  @Option(
    help: ArgumentHelp(
      """
      End the command after this time: a number, and ms, s, m, h or d; seconds without a unit. 0 is \
      no limit.
      """, valueName: "time"),
    transform: Duration.parse)
  var timeout: Duration?

  @Option(
    name: [.customShort("k"), .long],
    help: ArgumentHelp(
      "Kill it if it has not ended this long after --timeout (default: 2s). 0 is never.",
      valueName: "time"),
    transform: Duration.parse)
  var killAfter: Duration?

  @Option(
    name: .shortAndLong,
    help: ArgumentHelp(
      "What --timeout sends: a signal's name or number (default: TERM).", valueName: "signal"),
    transform: ProcessSignal.parse)
  var signal: ProcessSignal?

  @Flag(help: "Exit with the command's own status even if its time was up.")
  var preserveStatus = false

  @Option(
    help: ArgumentHelp(
      "Keep the output in a new file, which capture read can read at any time.", valueName: "file"),
    completion: .file())
  var ring: String?

  @Option(
    help: ArgumentHelp(
      "How many bytes to keep: a number, and K, M or G, up to 1G (default: 1M).",
      valueName: "size"),
    transform: parseCapacity)
  var capacity: Int?

  @Option(
    help: ArgumentHelp(
      """
      How many bytes of the beginning to keep as well: a number, and K, M or G, up to 1G (default: \
      none).
      """, valueName: "size"),
    transform: parseCapacity)
  var head: Int?

  @Option(
    help: ArgumentHelp(
      """
      Wait this long, after the command's end, for other processes that hold its output open \
      (default: 2s).
      """, valueName: "time"),
    transform: Duration.parse)
  var linger: Duration?

  @Argument(
    parsing: .remaining,
    help: ArgumentHelp("The command to run, and its arguments.", valueName: "command"))
  var command: [String] = []

  func validate() throws {
    if command.isEmpty {
      throw ValidationError("no command was given; it stands last, as in: capture make all")
    }
    if live == true && onFailure {
      throw ValidationError(
        "--live and --on-failure exclude each other: whether the command fails is known at its end")
    }
    if tty && foreground {
      throw ValidationError(
        "--tty and --foreground exclude each other: a command in a terminal of its own is in no"
          + " group of capture's")
    }
    if lossless, live == false || onFailure {
      throw ValidationError(
        "--lossless writes output as it comes: it excludes --no-live and --on-failure")
    }
    if lossless, live == false || onFailure {
      throw ValidationError(
        "--lossless writes output as it comes: it excludes --no-live and --on-failure")
    }
    if tail != nil, lossless || live == true {
      throw ValidationError(
        "--tail excludes --live and --lossless: which lines are the last is known at the end")
    }
    let readers = [
      ("--output", output != nil), ("--asciicast", asciicast != nil), ("--lossless", lossless),
    ]
    for (option, isGiven) in readers where isGiven {
      if let capacity, capacity < Session.maxBufferBytes {
        throw ValidationError(
          "\(option) needs a --capacity of 1M at least: all that it writes waits there for its"
            + " turn")
      }
    }
    if timeout == nil {
      let dependents = [
        "--kill-after": killAfter != nil, "--signal": signal != nil,
        "--preserve-status": preserveStatus,
      ]
      for option in dependents.keys.sorted() where dependents[option] == true {
        throw ValidationError("\(option) says more about --timeout, which is missing")
      }
    }
  }

  /// Whether output is written as it arrives.
  var isLive: Bool {
    live ?? (lossless || !onFailure && !json && tail == nil && isatty(1) == 1)
  }

  /// Whether stdin is forwarded to the command.
  var forwardsInput: Bool { stdin || (tty && isLive && isatty(0) == 1 && isatty(1) == 1) }

  var timeLimit: TimeLimit? {
    guard let timeout, timeout > .zero else { return nil }
    let killAfter = killAfter ?? CommandHost.defaultGrace
    return TimeLimit(
      time: timeout, signal: signal ?? .terminate, killAfter: killAfter > .zero ? killAfter : nil)
  }

  var lingerTime: Duration { linger ?? .seconds(2) }

  static func main() async {
    openStandardDescriptors()
    SignalSource.defaultQuit()
    // If SIGCHLD were inherited as ignored, capture could not learn how the command ends.
    defaultChildSignal()
    let arguments = rawArguments()
    if arguments.first == "read" {
      if let name = arguments.first(where: { String(validating: $0.bytes, as: UTF8.self) == nil }) {
        complain("\(name) is not UTF-8, and capture read takes no such name: rename the file")
        exit(withError: ExitCode(66))
      }
      return await CaptureRead.main(arguments.dropFirst().map(\.description))
    }
    let split = CommandLineSplit(arguments)
    do {
      var parsed = try parseAsRoot(split.parsed)
      guard let capture = parsed as? Capture else { return try parsed.run() }
      try await capture.run(split)
    } catch {
      exit(withError: error)
    }
  }
}
