/// What to run: an executable with arguments, an environment and a working directory.
///
/// ```swift
/// var command = Command("swift", "build")
/// command.workingDirectory = "/src/app"
/// command.environment = .inherited(changing: ["CI": "1", "TERM": nil])
/// ```
public struct Command: Sendable, Hashable {
  /// The executable's name or path.
  ///
  /// A name with a slash is a path and is used as it is. A relative path is relative to
  /// ``workingDirectory``, as if a shell had changed to that directory first. A name without a
  /// slash is looked up in the directories of the `PATH` that the command will see, or of this
  /// program's own `PATH` if the command will see none. Entries of `PATH` that are not absolute are
  /// skipped: the meaning of a name must not depend on the directory in which the command is about
  /// to work.
  public var executable: Text

  /// The arguments, without the executable's own name, which is passed as the first argument
  /// automatically.
  public var arguments: [Text]

  /// The environment that the command sees.
  public var environment: Environment

  /// The directory in which the command starts; nil for this program's own.
  public var workingDirectory: Text?

  /// The command's stdin.
  public var input: Input = .none

  /// The size of the terminal that the command gets in place of pipes; nil for pipes.
  ///
  /// The terminal is the controlling terminal of the command, which leads a session of its own. All
  /// output arrives as stdout, in the form that the terminal shows: lines end in `\r\n`, and the
  /// bytes that are written to the command's stdin are echoed, unless the command sets the terminal
  /// otherwise. Some of a command's last output may arrive after its exit is known, and before the
  /// session is closed.
  ///
  /// `TERM` is set to `xterm-256color` if the environment has none.
  public var terminal: TerminalSize?

  /// How long the output may stay quiet after the command itself has ended, before its session is
  /// closed although another process, started by the command, still holds its output open; 2
  /// seconds by default, nil for no limit.
  ///
  /// Later output is read and dropped, and counted as ``HostedProcess/droppedBytes``: a process
  /// that writes it neither blocks nor gets `SIGPIPE`.
  public var quietGrace: Duration? = .seconds(2)

  /// How long output may arrive after the command itself has ended, before its session is closed
  /// although another process still holds its output open, quiet or not; 10 seconds by default, nil
  /// for no limit beyond ``quietGrace``.
  ///
  /// Later output is dropped and counted in the same way. If both are nil, the session is closed
  /// when the last process has closed the command's output.
  public var lingerLimit: Duration? = .seconds(10)

  /// How long the command may run; nil, the default, for no limit. Zero or less ends it as soon as
  /// it runs.
  ///
  /// The time begins when the command has been executed. If the command still runs when it is over,
  /// its host terminates it as by ``HostedProcess/terminate(with:grace:)`` with
  /// ``timeLimitSignal`` and ``terminationGrace``, and ``HostedProcess/isTimedOut`` is true. A
  /// command that ends in time is left alone, and so are the processes that it leaves behind.
  public var timeLimit: Duration?

  /// The first signal that the command's group gets when ``timeLimit`` is over; `SIGTERM` by
  /// default.
  public var timeLimitSignal: ProcessSignal = .terminate

  /// The time between the first signal and `SIGKILL` when the command is terminated because its
  /// ``timeLimit`` is over, or because the task that runs it is cancelled
  /// (``CommandHost/run(_:timeLimit:capacity:)``); 2 seconds by default. Zero or less sends
  /// `SIGKILL` at once.
  public var terminationGrace: Duration = CommandHost.defaultGrace

  /// Whether stderr goes to the same pipe as stdout, as with `2>&1` in a shell; false by default.
  ///
  /// All output then arrives as stdout, in the order in which it was written. The order between two
  /// separate pipes is not kept. A terminal is one stream in any case.
  public var mergesStandardError = false

  /// Descriptors of this program that the command inherits in addition to 0, 1 and 2, by their
  /// numbers in the command; none by default. Examples are a lock or the pipe of a jobserver.
  ///
  /// ```swift
  /// command.inheritedDescriptors = [3: lock, 4: jobserver]
  /// ```
  ///
  /// A descriptor may keep its number or get another one, above 2 and below the limit on open
  /// files. It may be one that other commands do not inherit (`FD_CLOEXEC`). The caller must keep
  /// it open until `launch` has returned, and may close it then. At most 256 descriptors can be
  /// inherited.
  public var inheritedDescriptors: [Int32: Int32] = [:]

  /// The process group that the command is in; one of its own by default.
  ///
  /// A command with a ``terminal`` leads a session of its own in any case.
  public var processGroup: ProcessGroup = .own

  /// The signal that the command gets when this program ends, for whatever reason; nil, the
  /// default, for none. On Linux alone.
  ///
  /// The signal reaches only the command itself, not the processes that the command has started. A
  /// command that should end those as well must do so itself, or run in a cgroup that is killed.
  /// The command does not get the signal if it changes its user, if its file is set-user-ID,
  /// set-group-ID or has capabilities, or if it asks for another signal (`PR_SET_PDEATHSIG`).
  public var parentDeathSignal: ProcessSignal?

  /// Limits on what the command may use. Resources without an entry keep this program's limits. On
  /// Linux alone.
  ///
  /// ```swift
  /// command.limits = [.openFiles: 256, .coreFileSize: 0]
  /// command.limits[.cpuTime] = Command.Limit(soft: 60, hard: 65)  // seconds
  /// ```
  ///
  /// Each process that the command starts has the same limits, and its own usage; only
  /// ``Resource/processes`` is counted per user. ``memoryLimit`` and ``processLimit`` count all of
  /// the command's processes together. A command that does not fit into the
  /// ``Resource/addressSpace`` is ended by `SIGKILL` or `SIGSEGV`.
  public var limits: [Resource: Limit] = [:]

  /// The most memory, in bytes, that the command and its descendants may occupy together, including
  /// their page cache and the memory that the kernel uses for them; nil, the default, for no limit.
  /// On Linux alone.
  ///
  /// They get no swap. If the kernel cannot keep them below the limit, it kills all of them at
  /// once, and ``HostedProcess/wasOOMKilled`` is true.
  ///
  /// Needs a cgroup with the memory controller; see ``CommandHost/Cgroups``. Without one, the
  /// launch fails with ``LaunchError/limitsUnavailable(reason:)``.
  public var memoryLimit: Int?

  /// The most processes and threads of the command and its descendants together; nil, the default,
  /// for no limit. On Linux alone.
  ///
  /// At the limit they get `EAGAIN` when they create another. Unlike ``Resource/processes`` this
  /// limit counts this command alone, and applies to root too. Needs a cgroup with the pids
  /// controller, as ``memoryLimit`` needs one with the memory controller.
  public var processLimit: Int?

  /// The permissions that files do not get when the command creates them, as with `umask(2)`; from
  /// 0 to 0o777; by default this program's own. On Linux alone.
  public var umask: UInt16?

  /// The command's nice value, from −20 for the most processor time to 19 for the least; by default
  /// this program's own. A lower value than this program's needs a privilege. On Linux alone.
  public var niceness: Int32?

  /// The user as which the command runs; by default this program's own. Needs the privileges of
  /// root. On Linux alone.
  ///
  /// The working directory is entered and the executable executed with that user's permissions, and
  /// the command's terminal belongs to that user. The environment does not change: the caller sets
  /// `HOME` and `USER`. The more memory this program has, the longer the start takes.
  public var user: User?

  /// Creates a command.
  ///
  /// - Parameters:
  ///   - executable: Its name or path; see ``executable``.
  ///   - arguments: Its arguments, without the executable's name.
  ///   - environment: The environment it sees.
  ///   - workingDirectory: Where it starts; nil for this program's own working directory.
  public init(
    _ executable: Text, arguments: [Text] = [], environment: Environment = .inherited,
    workingDirectory: Text? = nil
  ) {
    self.executable = executable
    self.arguments = arguments
    self.environment = environment
    self.workingDirectory = workingDirectory
  }

  /// Creates a command from strings; see the form for ``Text``.
  public init(
    _ executable: String, arguments: [String] = [], environment: Environment = .inherited,
    workingDirectory: String? = nil
  ) {
    self.init(
      Text(executable), arguments: arguments.map { Text($0) }, environment: environment,
      workingDirectory: workingDirectory.map { Text($0) })
  }

  /// Creates a command with this program's environment and working directory.
  public init(_ executable: String, _ first: String, _ others: String...) {
    self.init(executable, arguments: [first] + others)
  }

  /// Creates a command that runs a command line with `/bin/sh`.
  public static func shell(_ line: String) -> Command { Command("/bin/sh", "-c", line) }
}

extension Command {
  /// The stdin of a command.
  public enum Input: Sendable, Hashable {
    /// Nothing: `/dev/null`.
    case none
    /// These bytes, and then the end of input. They are written as the command reads them.
    case bytes([UInt8])
    /// A pipe, to which ``HostedProcess/input`` writes.
    case pipe
  }
}

extension Command {
  /// The process group of a command, which decides which processes signals reach, and how the
  /// command may use this program's terminal.
  public enum ProcessGroup: Sendable, Hashable {
    /// A group of its own: signals reach the command and all processes that it starts. If the
    /// command reads from this program's terminal, the system stops it.
    case own
    /// As ``own``, in a session of its own, without a terminal: opening `/dev/tty` fails at once.
    case ownSession
    /// This program's group. In the foreground of a terminal the command can read from it, and
    /// Ctrl-C reaches the command as it reaches this program. Signals that this program sends to
    /// the command, including those of ``HostedProcess/terminate(with:grace:)``, reach only the
    /// command, not the processes that it starts.
    case inherited
  }
}

extension Command {
  /// A name, an argument, a path or a value, as the system represents it: bytes, usually UTF-8,
  /// none of which is zero.
  ///
  /// ```swift
  /// var command = Command("ls", "-l")
  /// command.arguments.append(Command.Text(bytes: [0x61, 0xff]))
  /// ```
  public struct Text: Sendable, Hashable {
    /// The bytes that the command gets.
    public let bytes: [UInt8]

    /// Creates a text from bytes.
    public init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// Creates a text from a string, in UTF-8.
    public init(_ string: String) { self.init(bytes: string.utf8) }
  }
}

extension Command.Text: ExpressibleByStringInterpolation, CustomStringConvertible {
  /// Creates a text from a string, in UTF-8.
  public init(stringLiteral string: String) { self.init(string) }

  /// The text, with U+FFFD in place of bytes that are not UTF-8.
  public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension Command {
  /// The environment variables that a command sees.
  ///
  /// Inherited variables reach the command byte for byte.
  public struct Environment: Sendable, Hashable {
    enum Base: Sendable, Hashable { case inherited, empty }

    let base: Base
    /// The changes to the base: a value to set, or nil to remove the variable.
    let changes: [Text: Text?]

    /// This program's environment at the time of the launch.
    public static let inherited = Environment(base: .inherited, changes: [:])

    /// Creates this program's environment with changes.
    ///
    /// - Parameter changes: Values to add or replace; nil removes a variable.
    public static func inherited(changing changes: [Text: Text?]) -> Environment {
      Environment(base: .inherited, changes: changes)
    }

    /// Creates this program's environment with changes; see the form for ``Text``.
    public static func inherited(changing changes: [String: String?]) -> Environment {
      inherited(changing: texts(changes) { value in value.map { Text($0) } })
    }

    /// Creates an environment of these variables only.
    public static func only(_ variables: [Text: Text]) -> Environment {
      Environment(base: .empty, changes: variables.mapValues { $0 })
    }

    /// Creates an environment of these variables only; see the form for ``Text``.
    public static func only(_ variables: [String: String]) -> Environment {
      only(texts(variables) { Text($0) })
    }

    /// Unequal strings never have equal bytes, so no two of the texts are equal.
    private static func texts<Old, New>(
      _ variables: [String: Old], _ value: (Old) -> New
    ) -> [Text: New] {
      Dictionary(uniqueKeysWithValues: variables.map { (Text($0), value($1)) })
    }
  }
}

extension Command.Environment: ExpressibleByDictionaryLiteral {
  /// Creates an environment of these variables only; see ``only(_:)-([String:String])``.
  public init(dictionaryLiteral variables: (String, String)...) {
    self = .only(Dictionary(variables) { _, last in last })
  }
}
