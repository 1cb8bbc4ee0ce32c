import CSpawn
import Processes

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// One launch, from the search for the executable to the running process, or to an error after
/// which nothing is left of it.
///
/// It blocks a thread of ``Launchers``. It holds nothing for which another launch, or the close of
/// a host, would have to wait.
@safe
final class Launch: @unchecked Sendable {
  /// The parts of a process that runs.
  typealias Started = (
    processID: Int32, lifecycle: Lifecycle, outputs: ChildOutput, input: InputPipe?
  )
  typealias Answer = Result<Started, LaunchError>

  private struct State {
    var cancellation: LaunchError?
    /// Whether the attempt to start the child is over: the child runs, or the launch has failed.
    var isDecided = false
  }

  private let command: Command
  private let eventLoop: EventLoop
  private let lifecycle: Lifecycle
  private let cgroups: CommandHost.Cgroups
  /// Shared with `spawn_cancel` until the launch is decided; after that only the launching thread
  /// uses it.
  private let attempt: UnsafeMutablePointer<spawn_attempt>
  private let state = LockedState(State())

  /// Set when the launch has finished, or a host that is being closed has waited long enough.
  let settled = Latch<Void>()

  init(
    _ command: Command, on eventLoop: EventLoop, into sink: OutputSink,
    cgroups: CommandHost.Cgroups = .none
  ) throws(LaunchError) {
    guard let attempt = unsafe spawn_create(command.user == nil ? 0 : 1) else {
      throw .outOfResources(code: ENOMEM)
    }
    unsafe self.attempt = unsafe attempt
    self.command = command
    self.cgroups = cgroups
    self.eventLoop = eventLoop
    lifecycle = Lifecycle(sink, pipes: command.pipeCount, on: eventLoop)
  }

  deinit { unsafe spawn_destroy(attempt, command.user == nil ? 0 : 1) }

  /// The session that receives the output.
  var session: Session { lifecycle.sink.session }

  /// Why the launch was cancelled; nil if it was not.
  var cancellation: LaunchError? { state.withLock { $0.cancellation } }

  /// Cancels the launch with an error. The child is not started, or is killed even if the execution
  /// of its file hangs. If the child runs already, the caller of ``run(_:)`` ends it.
  func cancel(_ reason: LaunchError) {
    state.withLock { state in
      state.cancellation = state.cancellation ?? reason
      if !state.isDecided { unsafe spawn_cancel(attempt) }
    }
  }

  /// Starts the process, on a thread of ``Launchers``, and calls a closure with the result: with a
  /// failure only once nothing is left of the process.
  func run(_ answer: @escaping @Sendable (Answer) -> Void) {
    var cgroup: Cgroup?
    do throws(LaunchError) {
      let path = try ExecutableLookup.path(of: command)
      cgroup = try cgroups.make(with: command.cgroupLimits)
      let ends = try open()
      let outputs = ChildOutput(
        ends.pipes, of: lifecycle, on: eventLoop, quietGrace: command.quietGrace,
        lingerLimit: command.lingerLimit)
      spawn(path, ends, in: &cgroup)
      let (terminal, input) = (ends.terminalPath, ends.inputPipe)
      // From now on a pipe ends when all processes that hold the child's side have closed it.
      _ = consume ends
      let (attempt, cancellation) = state.withLock { state in
        state.isDecided = true
        return (unsafe self.attempt.pointee, state.cancellation)
      }
      let descriptor = attempt.descriptor < 0 ? nil : OwnedDescriptor(owning: attempt.descriptor)
      if cancellation != nil, attempt.process > 0 { killAndReap(group: attempt.process) }
      if let error = cancellation
        ?? LaunchError(attempt, command, path, terminal: terminal)
      {
        _ = consume descriptor
        cgroup?.kill()
        cgroup?.remove()
        // The event loop may watch the pipes, so only its thread may close them.
        eventLoop.execute {
          outputs.abandon()
          input?.abandon()
          answer(.failure(error))
        }
        return
      }
      lifecycle.launched(as: attempt.process, descriptor: descriptor, cgroup: cgroup, input: input)
      eventLoop.register(lifecycle, outputs)
      if let limit = command.timeLimit {
        lifecycle.limitTime(
          to: limit, signal: command.timeLimitSignal, grace: command.terminationGrace)
      }
      ExitWatch(process: attempt.process, descriptor: attempt.descriptor, outputs: outputs)
        .start(on: eventLoop)
      answer(.success((attempt.process, lifecycle, outputs, input)))
    } catch {
      cgroup?.remove()
      answer(.failure(error))
    }
  }

  /// Opens the pipes or the terminal, and adds them to the event loop. Steps that can fail should
  /// fail before there is a process.
  private func open() throws(LaunchError) -> ChildEnds {
    do throws(SystemError) {
      let ends = try ChildEnds.open(command, of: lifecycle, on: eventLoop)
      try eventLoop.add(ends.pipes)
      return ends
    } catch {
      throw error.launchError(
        "cannot open the command's \(command.terminal == nil ? "pipes" : "terminal")")
    }
  }

  /// Starts the child, in a cgroup if there is one.
  private func spawn(
    _ path: Command.Text, _ ends: borrowing ChildEnds, in cgroup: inout Cgroup?
  ) {
    let arguments = CStrings([command.executable] + command.arguments)
    let environment = CStrings(command.makeEnvironment())
    let places = CStrings([
      path, command.workingDirectory ?? "", Command.Text(ends.terminalPath ?? ""),
    ])
    let attributes = Attributes(command)
    func number(_ descriptor: borrowing OwnedDescriptor?) -> Int32 {
      switch descriptor {
      case .some(let descriptor): descriptor.number
      case nil: -1
      }
    }
    var plan = unsafe spawn_plan(
      path: places.pointers[0]!, arguments: arguments.pointers.baseAddress!,
      environment: environment.pointers.baseAddress!,
      directory: command.workingDirectory == nil ? nil : places.pointers[1],
      terminal: ends.terminalPath == nil ? nil : places.pointers[2],
      input: number(ends.input), output: number(ends.output),
      error: command.mergesStandardError ? number(ends.output) : number(ends.error),
      inherited: attributes.descriptors.baseAddress,
      inherited_count: Int32(attributes.descriptors.count),
      group: Int32(command.processGroup.plan.rawValue),
      limits: attributes.limits.baseAddress, limit_count: Int32(attributes.limits.count),
      mask: command.umask.map(Int32.init) ?? -1,
      niceness: command.niceness ?? 0, sets_niceness: command.niceness == nil ? 0 : 1,
      user: attributes.user, death_signal: command.parentDeathSignal?.rawValue ?? 0,
      cgroup: cgroup?.entrance.number ?? -1)
    unsafe spawn_start(attempt, &plan)
    if unsafe attempt.pointee.step == Int32(SPAWN_CGROUP.rawValue),
      cgroups.isOptional, command.cgroupLimits.isEmpty
    {
      cgroup?.remove()
      cgroup = nil
      unsafe plan.cgroup = -1
      state.withLock { _ in unsafe spawn_again(attempt) }
      unsafe spawn_start(attempt, &plan)
    }
    var pause: UInt32 = 500
    while unsafe attempt.pointee.step == Int32(SPAWN_EXECUTE.rawValue),
      unsafe attempt.pointee.code == ETXTBSY, pause < 500_000
    {
      // A program may have written the file, closed it, and then launched it. Another child may
      // still have a copy of the descriptor for as long as that child has not executed its own
      // file.
      usleep(pause)
      pause *= 2
      state.withLock { _ in unsafe spawn_again(attempt) }
      unsafe spawn_start(attempt, &plan)
    }
    // The plan points into these.
    extendLifetime(attributes)
    extendLifetime(arguments)
    extendLifetime(environment)
    extendLifetime(places)
  }
}

/// The child's ends of its stdin, stdout and stderr, and this program's ends.
private struct ChildEnds: ~Copyable {
  let pipes: [OutputPipe]
  let inputPipe: InputPipe?
  /// The path of the terminal that the child opens itself; nil if it gets pipes.
  let terminalPath: String?
  let input: OwnedDescriptor?
  let output: OwnedDescriptor?
  /// Nil if stderr goes to the same place as stdout.
  let error: OwnedDescriptor?

  static func open(
    _ command: Command, of lifecycle: Lifecycle, on eventLoop: EventLoop
  ) throws(SystemError) -> ChildEnds {
    if let size = command.terminal {
      let terminal = try PseudoTerminal.open(size)
      let input = InputPipe(try terminal.primary.duplicate(), isTerminal: true, on: eventLoop)
      let pipe = OutputPipe(terminal.primary, .stdout, of: lifecycle, on: eventLoop)
      return ChildEnds(
        pipes: [pipe], inputPipe: input, terminalPath: terminal.path, input: nil,
        output: terminal.secondary, error: nil)
    }
    let output = try PipeEnds.open(.fromChild)
    var pipes = [OutputPipe(output.read, .stdout, of: lifecycle, on: eventLoop)]
    let error: OwnedDescriptor?
    if command.mergesStandardError {
      error = nil
    } else {
      let ends = try PipeEnds.open(.fromChild)
      pipes.append(OutputPipe(ends.read, .stderr, of: lifecycle, on: eventLoop))
      error = .some(ends.write)
    }
    if command.input == .none {
      return ChildEnds(
        pipes: pipes, inputPipe: nil, terminalPath: nil, input: try .null(),
        output: output.write, error: error)
    }
    let input = try PipeEnds.open(.toChild)
    return ChildEnds(
      pipes: pipes, inputPipe: InputPipe(input.write, isTerminal: false, on: eventLoop),
      terminalPath: nil, input: input.read, output: output.write, error: error)
  }
}

extension LaunchError {
  /// Creates the error of a failed attempt, given that the executable and the directory existed
  /// before; nil if the attempt succeeded.
  fileprivate init?(
    _ attempt: spawn_attempt, _ command: Command, _ path: Command.Text, terminal: String?
  ) {
    let (path, error) = (path.description, SystemError(code: attempt.code))
    let step = spawn_step(rawValue: UInt32(attempt.step))
    // In its cgroup, what the child allocates counts from the first byte, before there is anything
    // to kill.
    if let limit = command.memoryLimit, attempt.code == ENOMEM, step != SPAWN_STARTED,
      step != SPAWN_CANCELLED, step != SPAWN_PROCESS
    {
      self = .other(
        reason: "\(path): cannot be executed within \(limit) bytes of memory", code: error.code)
      return
    }
    switch step {
    case SPAWN_STARTED:
      return nil
    case SPAWN_CANCELLED:
      self = .cancelled
    case SPAWN_CGROUP:
      self = error.launchError("\(path): cannot enter its cgroup")
    case SPAWN_GROUP:
      self = error.launchError("\(path): cannot get a process group of its own")
    case SPAWN_TERMINAL:
      self = error.launchError("\(path): cannot open its terminal \(terminal ?? "")")
    case SPAWN_DESCRIPTORS:
      self = error.launchError("\(path): cannot get its descriptors")
    case SPAWN_NICENESS:
      self = error.launchError(
        "\(path): cannot get the nice value \(command.niceness ?? 0)")
    case SPAWN_LIMIT:
      let (resource, limit) = command.orderedLimits[Int(attempt.index)]
      self = error.launchError(
        "\(path): cannot get the limit \(limit) on \(resource.words)")
    case SPAWN_SUPPLEMENTARY_GROUPS:
      self = error.launchError(
        "\(path): cannot get the groups \(command.user?.supplementaryGroups ?? [])")
    case SPAWN_GROUP_ID:
      self = error.launchError("\(path): cannot become group \(command.user?.groupID ?? 0)")
    case SPAWN_USER_ID:
      self = error.launchError("\(path): cannot become user \(command.user?.userID ?? 0)")
    case SPAWN_DEATH_SIGNAL:
      self = error.launchError("\(path): cannot ask for a signal at its parent's end")
    case SPAWN_DIRECTORY:
      self = .badWorkingDirectory(
        path: command.workingDirectory?.description ?? "", code: error.code)
    case SPAWN_EXECUTE:
      switch error.code {
      case ENOEXEC: self = .notExecutable(path: path, reason: .unknownFormat)
      case E2BIG: self = .notExecutable(path: path, reason: .argumentsTooLong)
      // The permission was checked for this program's user, not for the command's.
      case EACCES where command.user != nil:
        self = .notExecutable(path: path, reason: .noPermission)
      case ENOENT, ENOTDIR, EACCES: self = .notExecutable(path: path, reason: .badInterpreter)
      default: self = error.launchError("\(path): cannot be executed")
      }
    default:
      self = error.launchError("\(path): cannot be started")
    }
  }
}
