import ProcessHost
import Processes

/// The time that a command may run, and the signals that it gets then.
struct TimeLimit {
  let time: Duration
  /// The signal that the command's group gets when the time is up.
  let signal: ProcessSignal
  /// The time from that signal to `SIGKILL`; nil to send no `SIGKILL`.
  let killAfter: Duration?

  /// Starts to watch a process.
  func start(for process: HostedProcess) -> Timer {
    let timer = Timer()
    timer.task.withLock { task in
      task = Task.detached { [self] in
        guard (try? await Task.sleep(for: time)) != nil,
          process.isRunning, timer.expire(killTime: killAfter.map { .now + $0 })
        else { return }
        process.session.noteTimeOut()
        end(process)
      }
    }
    return timer
  }

  private func end(_ process: HostedProcess) {
    if let killAfter {
      // The host terminates the whole group, including processes that have closed their output.
      process.terminate(with: signal, grace: killAfter)
      return
    }
    try? process.signal(signal)
    // A stopped process handles the signal once it is continued.
    if signal != .kill, signal != .resume { try? process.signal(.resume) }
  }

  /// A running time limit.
  final class Timer: Sendable {
    typealias Instant = ContinuousClock.Instant

    private enum State {
      case running
      case stopped
      case expired(killTime: Instant?)
    }

    fileprivate let task = LockedState<Task<Void, Never>?>(nil)
    private let state = LockedState(State.running)

    /// Records that the time is up. Returns false if the limit was stopped before.
    fileprivate func expire(killTime: Instant?) -> Bool {
      state.withLock { state in
        guard case .running = state else { return false }
        state = .expired(killTime: killTime)
        return true
      }
    }

    /// Ends the limit of a command that has ended: from now on the time cannot be up.
    func stop() {
      let isStopped = state.withLock { state in
        guard case .running = state else { return false }
        state = .stopped
        return true
      }
      if isStopped { task.withLock { $0?.cancel() } }
    }

    /// Whether the time was up while the command ran.
    var isExpired: Bool {
      state.withLock { if case .expired = $0 { true } else { false } }
    }

    /// When the rest of the command's group gets `SIGKILL`; nil if it does not.
    var killTime: Instant? {
      state.withLock { if case .expired(let killTime) = $0 { killTime } else { nil } }
    }
  }
}
