import Processes
import Subprocess
import Synchronization

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

/// One launch: what it needs, and what has to be undone if it fails.
///
/// The descriptors belong to this and not to swift-subprocess, which stops the whole program if it has
/// been given some to close and then runs out of descriptors itself.
final class Launch: Sendable {
  /// What the child gets as its descriptors 0, 1 and 2.
  private struct ChildEnds: ~Copyable {
    let input: OwnedDescriptor
    let output: OwnedDescriptor?
    let error: OwnedDescriptor?

    let descriptors: Descriptors

    init(
      input: consuming OwnedDescriptor, output: consuming OwnedDescriptor,
      error: consuming OwnedDescriptor
    ) {
      descriptors = (
        FileDescriptor(rawValue: input.number), FileDescriptor(rawValue: output.number),
        FileDescriptor(rawValue: error.number)
      )
      self.input = consume input
      self.output = consume output
      self.error = consume error
    }

    /// `/dev/null` for all three, of a child that opens a terminal by itself.
    init(null: consuming OwnedDescriptor) {
      let descriptor = FileDescriptor(rawValue: null.number)
      descriptors = (descriptor, descriptor, descriptor)
      input = consume null
      output = nil
      error = nil
    }
  }

  private typealias Descriptors = (
    input: FileDescriptor, output: FileDescriptor, error: FileDescriptor
  )

  private let pump: Pump
  private let lifecycle: Lifecycle
  private let pipes: [OutputPipe]
  private let outputs: Outputs
  private let inputPipe: InputPipe?
  private let childEnds: Mutex<ChildEnds?>
  private let childDescriptors: Descriptors
  /// Where the child finds its terminal, if it is to have one.
  let terminalPath: String?

  /// Descriptors that swift-subprocess opens: for its monitor (3, once), for the working directory and
  /// for the process.
  private static let spareDescriptors = 5

  /// Opens the pipes, and lets the pump wait for them: whatever can fail should fail before there is a
  /// process.
  init(
    _ command: Command, on pump: Pump, into sink: OutputSink
  ) throws(LaunchError) {
    self.pump = pump
    lifecycle = Lifecycle(sink, pipes: command.terminal == nil ? 2 : 1, on: pump)
    do throws(SystemError) {
      let ends: ChildEnds
      if let size = command.terminal {
        let terminal = try PseudoTerminal.open(size)
        terminalPath = terminal.path
        inputPipe = InputPipe(try terminal.primary.duplicate(), isTerminal: true, on: pump)
        pipes = [OutputPipe(terminal.primary, .stdout, of: lifecycle, on: pump)]
        ends = ChildEnds(null: try .null())
      } else {
        terminalPath = nil
        let output = try PipeEnds.open(.fromChild)
        let error = try PipeEnds.open(.fromChild)
        pipes = [
          OutputPipe(output.read, .stdout, of: lifecycle, on: pump),
          OutputPipe(error.read, .stderr, of: lifecycle, on: pump),
        ]
        if command.input == .none {
          inputPipe = nil
          ends = ChildEnds(input: try .null(), output: output.write, error: error.write)
        } else {
          let input = try PipeEnds.open(.toChild)
          inputPipe = InputPipe(input.write, isTerminal: false, on: pump)
          ends = ChildEnds(input: input.read, output: output.write, error: error.write)
        }
      }
      try checkSpareDescriptors(Self.spareDescriptors, like: ends.input)
      outputs = Outputs(pipes, of: lifecycle, on: pump, quietGrace: command.quietGrace)
      childDescriptors = ends.descriptors
      childEnds = Mutex(ends)
      try pump.add(pipes)
    } catch {
      throw error.launchError("cannot prepare the command's pipes")
    }
  }

  /// What there is once a process runs.
  typealias Started = (processID: Int32, lifecycle: Lifecycle, input: InputPipe?)

  /// Starts the process, answers, and stays with the process until it has been reaped.
  func run(
    _ configuration: Configuration, path: String,
    answer: CheckedContinuation<Result<Started, LaunchError>, Never>
  ) async {
    let ends = childDescriptors
    var watch: ExitWatch?
    var isWatched = false
    func finish(_ exit: ProcessExit) {
      lifecycle.reaped()
      if let inputPipe {
        pump.expectVisit()
        pump.visit { inputPipe.abandon() }
      }
      pump.leave(lifecycle)
      if let watch, !isWatched { pump.visit { watch.finish(exit) } }
    }
    do {
      let result = try await Subprocess.run(
        configuration,
        input: .fileDescriptor(ends.input, closeAfterSpawningProcess: false),
        output: .fileDescriptor(ends.output, closeAfterSpawningProcess: false),
        error: .fileDescriptor(ends.error, closeAfterSpawningProcess: false)
      ) { execution in
        let identifier = execution.processIdentifier
        lifecycle.launched(as: identifier.value)
        closeChildEnds()
        pump.enter(lifecycle, outputs)
        (watch, isWatched) = watchExit(of: identifier)
        answer.resume(
          returning: .success((identifier.value, lifecycle, inputPipe)))
        // The child is reaped when this returns and it has ended, not before.
        if isWatched { await lifecycle.waitUntilReapable() }
      }
      finish(ProcessExit(result.terminationStatus))
    } catch {
      if watch != nil {
        // The child cannot be reaped: someone else did it, by ignoring SIGCHLD or with wait(2).
        finish(.unknown)
      } else {
        // Nothing was spawned, and this end of each pipe is still open at the other: the pump cannot
        // have seen anything of them.
        for pipe in pipes { pump.withdraw(pipe) }
        for pipe in pipes { pipe.close() }
        closeChildEnds()
        answer.resume(returning: .failure(LaunchError(error, path: path, configuration)))
      }
    }
  }

  /// From now on the pipes end when the child's side is closed by all who have it.
  private func closeChildEnds() { childEnds.withLock { $0 = nil } }

  /// Whether the pump will tell when the child ends. Otherwise swift-subprocess does, which then also
  /// decides when the child is reaped: as soon as it has ended; the pump expects to be told of it.
  private func watchExit(of identifier: ProcessIdentifier) -> (ExitWatch, isWatched: Bool) {
    #if os(Linux) || os(Android)
      // Missing before Linux 5.4.
      let descriptor = identifier.processDescriptor
      let canBeWatched = descriptor >= 0
    #else
      let descriptor: Int32 = -1
      let canBeWatched = true
    #endif
    let watch = ExitWatch(
      process: identifier.value, descriptor: descriptor, outputs: outputs)
    if canBeWatched {
      do throws(SystemError) {
        try pump.add(watch)
        return (watch, true)
      } catch {
        // Darwin does not watch a child that has ended already.
        if error.code == ESRCH, let exit = peekState(of: identifier.value).exit {
          pump.expectVisit()
          pump.visit { watch.finish(exit) }
          return (watch, true)
        }
      }
    }
    pump.expectVisit()
    return (watch, false)
  }
}

extension ProcessExit {
  fileprivate init(_ status: TerminationStatus) {
    switch status {
    case .exited(let code): self = .exited(code)
    case .signaled(let signal): self = .signaled(signal)
    }
  }
}

extension LaunchError {
  /// What swift-subprocess says, given that the executable and the directory were there before.
  fileprivate init(_ error: any Error, path: String, _ configuration: Configuration) {
    guard let error = error as? SubprocessError else {
      self = .other(reason: "\(path): \(error)", code: nil)
      return
    }
    let code = error.underlyingError?.rawValue
    switch error.code {
    case .failedToChangeWorkingDirectory:
      self = .badWorkingDirectory(
        path: configuration.workingDirectory?.string ?? "", code: code ?? ENOENT)
    case .executableNotFound:
      self = .notExecutable(path: path, reason: .badInterpreter)
    default:
      switch code {
      case ENOEXEC: self = .notExecutable(path: path, reason: .unknownFormat)
      case E2BIG: self = .notExecutable(path: path, reason: .argumentsTooLong)
      case .some(let code): self = SystemError(code: code).launchError("\(path): cannot be started")
      case nil: self = .other(reason: "\(path): \(error)", code: nil)
      }
    }
  }
}
