public import Processes
import Subprocess

#if canImport(System)
  import System
#else
  import SystemPackage
#endif
#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension CommandHost {
  /// Starts a command, and captures its stdout and stderr into a session from now on.
  ///
  /// The command leads a process group of its own, and starts with all signals at their defaults and none
  /// blocked, whatever this program's own are. It inherits descriptors 0, 1 and 2 and no others.
  ///
  /// When it has ended, the session gets its exit code (128 + n if signal n ended it) at once. It is closed
  /// when the last process that holds the command's stdout or stderr has closed them, or when that has
  /// been quiet for ``Command/quietGrace``.
  ///
  /// If the task is cancelled, the launch fails with ``LaunchError/cancelled``, and a process that was
  /// started already has been killed.
  ///
  /// - Parameters:
  ///   - command: What to run.
  ///   - session: Where its output goes. The process becomes its only producer, for good: from now on
  ///     ``Session/append(_:to:)-(RawSpan,_)``, ``Session/setExit(_:closing:)`` and ``Session/close()``
  ///     of the session itself end the program.
  /// - Returns: The process, which is running or has just ended.
  /// - Throws: ``LaunchError`` if it could not be started; nothing is left of it then, and the session
  ///   is as it was.
  /// - Complexity: one thread for all processes of this host; three descriptors a process, two of
  ///   which are closed when its outputs end, and a few more for a moment.
  @discardableResult
  public func launch(
    _ command: Command, into session: Session
  ) async throws(LaunchError) -> HostedProcess {
    let path = try ExecutableLookup.path(of: command)
    try command.validate()
    return try await LaunchGate.shared.pass { () async throws(LaunchError) -> HostedProcess in
      if Task.isCancelled { throw .cancelled }
      guard let sink = OutputSink(session) else { throw .sessionInUse(id: session.id) }
      var hasStarted = false
      defer { if !hasStarted { sink.giveBack() } }
      let launch = try Launch(command, on: runningPump(), into: sink)
      let configuration = Configuration(command, path: path, terminalPath: launch.terminalPath)
      let answer: Result<Launch.Started, LaunchError> = await withCheckedContinuation { answer in
        // Not a child task: it accompanies the process to its end, and does not hold the host.
        Task.detached { await launch.run(configuration, path: path, answer: answer) }
      }
      let started = try answer.get()
      hasStarted = true
      let process = HostedProcess(
        processID: started.processID, lifecycle: started.lifecycle,
        input: input(of: started, command),
        terminal: command.terminal == nil ? nil : started.input, host: self)
      guard Task.isCancelled else { return process }
      process.terminate(grace: .zero)
      await process.waitUntilOver()
      throw .cancelled
    }
  }

  /// What the process's owner writes to; bytes that the command came with are on their way instead.
  private func input(of started: Launch.Started, _ command: Command) -> ProcessInput? {
    guard let pipe = started.input else { return nil }
    switch command.input {
    case .none:
      return nil
    case .bytes(let bytes):
      pipe.write(bytes, as: pipe.makeTicket(), nil)
      pipe.close()
      return nil
    case .pipe:
      return ProcessInput(pipe)
    }
  }
}

extension Configuration {
  fileprivate init(_ command: Command, path: String, terminalPath: String?) {
    var options = PlatformOptions()
    let executable: String
    let arguments: Arguments
    if let terminalPath {
      // The leader of a session that opens a terminal by its path gets it as controlling terminal. The
      // shell does so, and becomes the command. (What begins with "-" might be an option of `exec`.)
      options.createSession = true
      let line = "exec \"$@\" <>\"$0\" >&0 2>&0"
      let path = path.hasPrefix("-") ? "./\(path)" : path
      executable = "/bin/sh"
      arguments = Arguments(["-c", line, terminalPath, path] + command.arguments)
    } else {
      options.processGroupID = 0
      executable = path
      arguments = Arguments(
        executablePathOverride: command.executable, remainingValues: command.arguments)
    }
    self.init(
      executable: .path(FilePath(executable)), arguments: arguments,
      environment: Subprocess.Environment(command.environment, inTerminal: terminalPath != nil),
      workingDirectory: command.workingDirectory.map { FilePath($0) },
      platformOptions: options)
  }
}

extension Subprocess.Environment {
  fileprivate init(_ environment: Command.Environment, inTerminal: Bool) {
    var changes: [Key: String?] = [:]
    let isInherited = environment.base == .inherited && environmentVariable("TERM") != nil
    if inTerminal, !isInherited { changes["TERM"] = "xterm-256color" }
    for (name, value) in environment.changes {
      changes.updateValue(value, forKey: Key(stringLiteral: name))
    }
    switch environment.base {
    case .inherited: self = .inherit.updating(changes)
    case .empty: self = .custom(changes.compactMapValues { $0 })
    }
  }
}

extension Command {
  /// What a C string or an environment cannot hold.
  fileprivate func validate() throws(LaunchError) {
    func check(_ text: String, _ what: String) throws(LaunchError) {
      if text.utf8.contains(0) { throw .invalidCommand(reason: "\(what) contains a zero byte") }
    }
    try check(executable, "the command's name")
    for argument in arguments { try check(argument, "an argument") }
    if let workingDirectory { try check(workingDirectory, "the working directory") }
    for (name, value) in environment.changes {
      if name.isEmpty || name.utf8.contains(UInt8(ascii: "=")) {
        throw .invalidCommand(reason: "an environment variable cannot be named “\(name)”")
      }
      try check(name, "an environment variable's name")
      if let value { try check(value, "the environment variable \(name)") }
    }
  }
}
