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
  /// A name with a slash is a path, used as it is; if it is relative, then to ``workingDirectory``,
  /// as if a shell had changed to that directory first. A name without one is looked up in the
  /// directories of the `PATH` that the command will see, or of this program's own if it will see
  /// none. Entries of `PATH` that are not absolute are passed over: what a name means must not
  /// depend on a directory that the command is about to work in.
  public var executable: Text

  /// The arguments, without the executable's own name, which the command gets in front of them.
  public var arguments: [Text]

  /// The environment that the command sees.
  public var environment: Environment

  /// The directory in which the command starts; nil for this program's own.
  public var workingDirectory: Text?

  /// What the command finds on its stdin.
  public var input: Input = .none

  /// The size of the terminal that the command gets in place of pipes; nil for pipes.
  ///
  /// It is the controlling terminal of the command, which leads a session of its own. Everything
  /// that is written to it comes as stdout, as the terminal shows it: lines end in `\r\n`, and what
  /// is written to the command's stdin is echoed, unless the command sets it otherwise. Some of
  /// what a command writes last may come after its exit is known, and before the session is closed.
  ///
  /// `TERM` is set to `xterm-256color` if the environment has none.
  public var terminal: TerminalSize?

  /// How long nothing may come, once the command itself has ended, before its session is closed
  /// although another process, one that it started, still holds its output open; 2 seconds unless
  /// set, nil for as long as that process likes.
  ///
  /// What comes after that is read and dropped, and counted as ``HostedProcess/droppedBytes``: a
  /// process that writes it is not held up, and gets no `SIGPIPE`.
  public var quietGrace: Duration? = .seconds(2)

  /// How long anything may come, once the command itself has ended, before its session is closed
  /// although another process still holds its output open, be that quiet or not; 10 seconds unless
  /// set, nil for as long as ``quietGrace`` allows.
  ///
  /// What comes after that is dropped and counted likewise. With both nil the session is closed
  /// when the last process has closed the command's output.
  public var lingerLimit: Duration? = .seconds(10)

  /// Whether stderr goes to the same pipe as stdout, as with `2>&1` in a shell; false unless set.
  ///
  /// All output then comes as stdout, in the order in which it was written. Two pipes keep no order
  /// between them. A terminal is one stream in any case.
  public var mergesStandardError = false

  /// Descriptors of this program that the command inherits in addition to 0, 1 and 2, by the
  /// numbers that they get in the command: a lock, for example, or the pipe of a jobserver; none
  /// unless set.
  ///
  /// ```swift
  /// command.inheritedDescriptors = [3: lock, 4: jobserver]
  /// ```
  ///
  /// A descriptor may keep its number or get another one, above 2 and below the limit on open
  /// files, and may be one that other commands do not inherit (`FD_CLOEXEC`). The caller keeps it
  /// open until `launch` has returned, and may close it then. There may be 256 of them.
  public var inheritedDescriptors: [Int32: Int32] = [:]

  /// The process group that the command is in: one of its own unless set.
  ///
  /// A command with a ``terminal`` leads a session of its own in any case.
  public var processGroup: ProcessGroup = .own

  /// The signal that the command gets when this program ends, for whatever reason; nil, for none,
  /// unless set. On Linux alone.
  ///
  /// It reaches the command itself, and none of the processes that the command has started: a
  /// command that should take those along must end them, or be in a control group that is ended. A
  /// command that changes its user, or whose file is set-user-ID, set-group-ID or has capabilities,
  /// does not get it; neither does one that asks for another (`PR_SET_PDEATHSIG`).
  public var parentDeathSignal: ProcessSignal?

  /// Limits on what the command may use; those of this program for resources without an entry. On
  /// Linux alone.
  ///
  /// ```swift
  /// command.limits = [.openFiles: 256, .coreFileSize: 0]
  /// command.limits[.cpuTime] = Command.Limit(soft: 60, hard: 65)  // seconds
  /// ```
  ///
  /// Each process that the command starts has them too, and its own count; ``Resource/processes``
  /// alone is counted for the user. ``memoryLimit`` and ``processLimit`` count them together. A
  /// command that does not fit into the ``Resource/addressSpace`` is ended by `SIGKILL` or
  /// `SIGSEGV`.
  public var limits: [Resource: Limit] = [:]

  /// The most memory that the command and all that it starts may occupy together, in bytes, with
  /// their files' cache and what the kernel keeps for them; nil, for no limit, unless set. On Linux
  /// alone.
  ///
  /// They get no swap. When the kernel cannot keep them below the limit, it kills all of them at
  /// once, and ``HostedProcess/wasOOMKilled`` says so.
  ///
  /// Takes a cgroup with the memory controller; see ``CommandHost/Cgroups``. Where there is none,
  /// the launch fails with ``LaunchError/limitsUnavailable(reason:)``.
  public var memoryLimit: Int?

  /// The most processes and threads that the command and all that it starts may be together; nil,
  /// for no limit, unless set. On Linux alone.
  ///
  /// At the limit they get `EAGAIN` when they ask for more. Unlike ``Resource/processes`` it counts
  /// this command alone, and root is subject to it too. Takes a cgroup with the pids controller, as
  /// ``memoryLimit`` takes one with the memory controller.
  public var processLimit: Int?

  /// The permissions that files do not get when the command makes them, as with `umask(2)`; from 0
  /// to 0o777; this program's own unless set. On Linux alone.
  public var umask: UInt16?

  /// The command's nice value, from −20 for the most processor time to 19 for the least; this
  /// program's own unless set. Less than this program's takes a privilege. On Linux alone.
  public var niceness: Int32?

  /// The user that the command becomes before it starts; this program's own unless set. Takes the
  /// privileges of root. On Linux alone.
  ///
  /// The working directory is entered and the executable executed with that user's permissions, and
  /// the command's terminal belongs to that user. The environment stays as it is: `HOME` and `USER`
  /// are the caller's to set. The start takes longer, the more memory this program has.
  public var user: User?

  /// A command.
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

  /// A command whose texts are strings; see the form for ``Text``.
  public init(
    _ executable: String, arguments: [String] = [], environment: Environment = .inherited,
    workingDirectory: String? = nil
  ) {
    self.init(
      Text(executable), arguments: arguments.map { Text($0) }, environment: environment,
      workingDirectory: workingDirectory.map { Text($0) })
  }

  /// A command in this program's environment and working directory.
  public init(_ executable: String, _ first: String, _ others: String...) {
    self.init(executable, arguments: [first] + others)
  }

  /// A command line for `/bin/sh`.
  public static func shell(_ line: String) -> Command { Command("/bin/sh", "-c", line) }
}

extension Command {
  /// What a command finds on its stdin.
  public enum Input: Sendable, Hashable {
    /// Nothing: `/dev/null`.
    case none
    /// These bytes, then the end. They are written as the command reads them.
    case bytes([UInt8])
    /// A pipe, to write to with ``HostedProcess/input``.
    case pipe
  }
}

extension Command {
  /// The process group of a command, which decides what signals and this program's terminal mean to
  /// it.
  public enum ProcessGroup: Sendable, Hashable {
    /// A group of its own: signals reach the command and all that it starts. A command that reads
    /// from this program's terminal is stopped by the system.
    case own
    /// Likewise, and a session of its own, without a terminal: opening `/dev/tty` fails at once.
    case ownSession
    /// This program's. In the foreground of a terminal the command can read from it, and Ctrl-C
    /// reaches the command as it reaches this program. Signals that this program sends to it,
    /// ``HostedProcess/terminate(with:grace:)`` included, reach the command alone, and none of the
    /// processes that it starts.
    case inherited
  }
}

extension Command {
  /// A name, an argument, a path or a value, as the system knows them: bytes, usually of UTF-8, and
  /// none of them zero.
  ///
  /// ```swift
  /// var command = Command("ls", "-l")
  /// command.arguments.append(Command.Text(bytes: [0x61, 0xff]))
  /// ```
  public struct Text: Sendable, Hashable {
    /// What the command gets, byte for byte.
    public let bytes: [UInt8]

    /// These bytes.
    public init(bytes: some Sequence<UInt8>) { self.bytes = Array(bytes) }

    /// A string, in UTF-8.
    public init(_ string: String) { self.init(bytes: string.utf8) }
  }
}

extension Command.Text: ExpressibleByStringInterpolation, CustomStringConvertible {
  /// A string, in UTF-8.
  public init(stringLiteral string: String) { self.init(string) }

  /// The text, with U+FFFD in place of bytes that are not UTF-8.
  public var description: String { String(decoding: bytes, as: UTF8.self) }
}

extension Command {
  /// The environment variables that a command sees.
  ///
  /// What is inherited reaches the command byte for byte.
  public struct Environment: Sendable, Hashable {
    enum Base: Sendable, Hashable { case inherited, empty }

    let base: Base
    /// What differs from the base: a value to set, or nil to remove.
    let changes: [Text: Text?]

    /// This program's environment, as it is when the command is launched.
    public static let inherited = Environment(base: .inherited, changes: [:])

    /// This program's environment with changes.
    ///
    /// - Parameter changes: Values to add or replace; nil removes a variable.
    public static func inherited(changing changes: [Text: Text?]) -> Environment {
      Environment(base: .inherited, changes: changes)
    }

    /// This program's environment with changes; see the form for ``Text``.
    public static func inherited(changing changes: [String: String?]) -> Environment {
      inherited(changing: texts(changes) { value in value.map { Text($0) } })
    }

    /// These variables and no others.
    public static func only(_ variables: [Text: Text]) -> Environment {
      Environment(base: .empty, changes: variables.mapValues { $0 })
    }

    /// These variables and no others; see the form for ``Text``.
    public static func only(_ variables: [String: String]) -> Environment {
      only(texts(variables) { Text($0) })
    }

    /// Strings that are equal have one name, whatever their bytes are; so no two texts are equal.
    private static func texts<Old, New>(
      _ variables: [String: Old], _ value: (Old) -> New
    ) -> [Text: New] {
      Dictionary(uniqueKeysWithValues: variables.map { (Text($0), value($1)) })
    }
  }
}

extension Command.Environment: ExpressibleByDictionaryLiteral {
  /// These variables and no others; see ``only(_:)-([String:String])``.
  public init(dictionaryLiteral variables: (String, String)...) {
    self = .only(Dictionary(variables) { _, last in last })
  }
}
