#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost
import Processes

/// Forwards the signals that capture gets to the command's group.
///
/// - While the command runs, capture forwards a signal, and sends `SIGCONT` after it: a stopped
///   process handles the signal only then. The third `SIGINT`, `SIGTERM` or `SIGQUIT` within
///   seconds kills the group.
/// - A signal that comes before the command runs is kept for it.
/// - After the command's end, while other processes still hold its output open, capture forwards a
///   signal as well, but they may ignore it: background processes of a shell ignore `SIGINT`. So
///   the signal also ends the wait for them.
/// - When capture has nothing more to wait for, the signal leaves it a second to write what it has,
///   and then ends it: it may be writing to a pipe that no process reads. A supervisor that signals
///   a whole group reaches capture just after the command's end.
/// - Another signal after that ends capture at once.
/// - `SIGTSTP` (Ctrl-Z) stops the group and then capture; `SIGCONT` continues both.
/// - A signal from the terminal has already reached a command in capture's own group, and is not
///   sent again. capture may learn of the command's end before it learns of the signal, which is
///   then the command's all the same.
final class SignalForwarder: Sendable {
  /// Signals that ask to end. After the command's end they end the wait for its output.
  private static let endings = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
  /// Signals of which the third kills the group. `SIGHUP` is not one: a terminal that hangs up may
  /// cause three at once.
  private static let impatience = [SIGINT, SIGTERM, SIGQUIT]
  /// Signals that end the processes of a terminal's foreground group, this program among them.
  private static let endingsByTerminal = [SIGINT, SIGQUIT, SIGHUP]
  private static let impatienceSpan: Duration = .seconds(5)
  /// How long capture may go on to write after a signal, if it has nothing more to wait for.
  private static let writingTime: Duration = .seconds(1)
  /// Signals that follow each other faster are one: timeout(1) signals capture, and then its group.
  private static let echoTime: Duration = .milliseconds(100)
  /// How long after a signal has ended the command the same signal of the terminal may reach
  /// capture.
  private static let arrivalTime: Duration = .seconds(1)

  private struct State {
    var process: HostedProcess?
    var pending: [Int32] = []
    /// The signals that have reached capture.
    var received: Set<Int32> = []
    /// When the command's end was noticed; nil before.
    var endTime: ContinuousClock.Instant?
    /// The times of the signals of which the third kills.
    var impatience: [ContinuousClock.Instant] = []
    /// The signal that was the third.
    var third: ProcessSignal?
    /// The time of the first signal that asked to end after the command's end.
    var firstAfterEnd: ContinuousClock.Instant?
  }

  private let state = LockedState(State())
  private let wait: OutputWait
  private let terminal: OwnTerminal
  /// Whether the command gets signals of capture's terminal from the terminal itself.
  private let sharesTerminal: Bool
  private let hasTerminal = SignalForwarder.opensTerminal()
  /// The sizes of the command's terminal; nil if it has none.
  private let sizes: TerminalSizes?

  private init(
    _ wait: OutputWait, _ terminal: OwnTerminal, _ sharesTerminal: Bool, _ sizes: TerminalSizes?
  ) {
    self.wait = wait
    self.terminal = terminal
    self.sharesTerminal = sharesTerminal
    self.sizes = sizes
  }

  /// Starts to handle signals.
  ///
  /// - Parameters:
  ///   - wait: The wait that a signal after the command's end ends.
  ///   - terminal: capture's own terminal, whose mode is restored when capture stops or ends.
  ///   - sizes: The sizes of the command's terminal, which follows that of capture's own; nil if it
  ///     has none.
  ///   - sharesTerminal: Whether the command is in capture's own process group.
  static func start(
    _ wait: OutputWait, _ terminal: OwnTerminal, sizes: TerminalSizes?, sharesTerminal: Bool
  ) throws(SystemError) -> SignalForwarder {
    let forwarder = SignalForwarder(wait, terminal, sharesTerminal, sizes)
    var signals = endings + [SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGCONT]
    if sizes != nil { signals.append(SIGWINCH) }
    if Orphans.areLeftToThis { signals.append(SIGCHLD) }
    try SignalSource.start(signals) { forwarder.received($0, fromSystem: $1) }
    return forwarder
  }

  /// Forwards signals to a process: the signals that have arrived already, and all later ones.
  func forward(to process: HostedProcess) {
    let pending = state.withLock { state in
      state.process = process
      return state.pending
    }
    for number in pending {
      if number == SIGTSTP {
        // Sent again, since capture stops on the thread that handles signals.
        kill(getpid(), SIGTSTP)
      } else {
        // A signal that the terminal sent before the command ran did not reach it.
        pass(ProcessSignal(rawValue: number), to: process, hasIt: false)
      }
    }
    if sharesTerminal {
      Task.detached { [self] in
        _ = try? await process.waitForExit()
        state.withLock { $0.endTime = .now }
      }
    }
    // The terminal's size may have changed, and orphans may have ended, during the launch.
    received(SIGWINCH, fromSystem: false)
    if Orphans.areLeftToThis { received(SIGCHLD, fromSystem: false) }
  }

  /// Returns the signal with which to end capture: a signal that has reached capture and ended the
  /// command, or the signal that ended the wait for the command's output.
  ///
  /// If the command has ended by a signal as their terminal sends it, waits up to a second until
  /// the signal reaches capture as well.
  func fatalSignal(after exit: ProcessExit) async -> ProcessSignal? {
    if case .signal(let signal) = wait.end { return signal }
    guard case .signaled(let number) = exit else { return nil }
    func hasReachedBoth() -> Bool { state.withLock { $0.received.contains(number) } }
    if sharesTerminal, hasTerminal, Self.endingsByTerminal.contains(number) {
      let deadline = ContinuousClock.now + Self.arrivalTime
      while !hasReachedBoth(), .now < deadline {
        try? await Task.sleep(for: .milliseconds(5))
      }
    }
    if hasReachedBoth() { return ProcessSignal(rawValue: number) }
    return number == SIGKILL ? thirdSignal : nil
  }

  /// The third signal within seconds, which killed the command; nil if there was none.
  var thirdSignal: ProcessSignal? { state.withLock { $0.third } }

  /// - Parameter fromSystem: Whether the terminal or another part of the system sent the signal,
  ///   rather than a process.
  private func received(_ number: Int32, fromSystem: Bool) {
    // The hangup of a terminal reaches the leader of its session alone.
    let isForLeader = number == SIGHUP && getsid(0) == getpid()
    let hasIt = fromSystem && sharesTerminal && !isForLeader
    let process = state.withLock { state in
      let isKept = state.process == nil && ![SIGCONT, SIGWINCH, SIGCHLD].contains(number)
      if isKept { state.pending.append(number) }
      state.received.insert(number)
      return state.process
    }
    switch number {
    case SIGTSTP:
      // During the launch capture does not stop: the command would run on, since capture cannot
      // signal it yet.
      if let process { stop(process, hasIt: hasIt) }
    case SIGCONT:
      resume(process)
    case SIGWINCH:
      guard let process, let sizes, let size = ownTerminalSize() else { break }
      // First, so that the change is known before what the command writes on account of it.
      sizes.note(size)
      try? process.resize(to: size)
    case SIGCHLD:
      // Before the launch has finished, capture cannot distinguish the command from an orphan.
      if let process { Orphans.reap(except: process.processID) }
    default:
      if let process { pass(ProcessSignal(rawValue: number), to: process, hasIt: hasIt) }
    }
  }

  private func stop(_ process: HostedProcess, hasIt: Bool) {
    // Not SIGTSTP, which an orphaned group ignores; the group of a session leader is orphaned.
    if !hasIt { try? process.signal(.stop) }
    terminal.leave()
    SignalSource.stopSelf()
    resume(process)
  }

  private func resume(_ process: HostedProcess?) {
    terminal.enter()
    try? process?.signal(.resume)
  }

  private func pass(_ signal: ProcessSignal, to process: HostedProcess, hasIt: Bool) {
    let (hadEnded, wasClosed) = (!process.isRunning, process.session.isClosed)
    let isThird = !hadEnded && note(signal)
    // All processes may have ended meanwhile; then capture has nothing to wait for either.
    if !hasIt { try? process.signal(signal) }
    try? process.signal(.resume)
    if isThird { try? process.signal(.kill) }
    guard hadEnded, Self.endings.contains(signal.rawValue) else { return }
    if hasIt, endedJustNow { return }
    let first = state.withLock { state in
      defer { state.firstAfterEnd = state.firstAfterEnd ?? .now }
      return state.firstAfterEnd
    }
    if let first {
      if ContinuousClock.now - first > Self.echoTime { end(by: signal) }
      return
    }
    wait.end(by: .signal(signal))
    guard wasClosed else { return }
    Task.detached { [self] in
      try? await Task.sleep(for: Self.writingTime)
      end(by: signal)
    }
  }

  /// Whether a signal that reaches capture now may have reached the command before its end.
  private var endedJustNow: Bool {
    state.withLock { state in
      state.endTime.map { ContinuousClock.now - $0 < Self.arrivalTime } ?? true
    }
  }

  /// Whether this program has a terminal that could send it signals.
  private static func opensTerminal() -> Bool {
    let terminal = unsafe open("/dev/tty", O_RDONLY | O_NOCTTY | O_CLOEXEC)
    if terminal >= 0 { close(terminal) }
    return terminal >= 0
  }

  private func end(by signal: ProcessSignal) {
    terminal.giveBack()
    SignalSource.end(by: signal.rawValue)
  }

  /// Records a signal to the running command. Returns whether it is the third within seconds.
  private func note(_ signal: ProcessSignal) -> Bool {
    state.withLock { state in
      guard Self.impatience.contains(signal.rawValue) else { return false }
      let now = ContinuousClock.now
      state.impatience.removeAll { now - $0 > Self.impatienceSpan }
      state.impatience.append(now)
      guard state.impatience.count >= 3 else { return false }
      state.third = signal
      return true
    }
  }
}
