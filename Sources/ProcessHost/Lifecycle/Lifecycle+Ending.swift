import CSpawn
import Processes
import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

// MARK: Signals

extension Lifecycle {
  /// Sends a signal to the child's group. If the signal terminates processes by default, continues
  /// stopped processes, which would not handle it otherwise. Processes of the child's cgroup get
  /// the signal whatever their groups are.
  func send(_ signal: ProcessSignal) throws(SignalError) {
    // Otherwise an invalid number would continue stopped processes.
    guard signal.isSignal else { throw .refused(code: EINVAL) }
    let signals = signal.endsByDefault ? [signal.rawValue, SIGCONT] : [signal.rawValue]
    let (cgroup, group, result) = state.withLock { state in
      let result = state.send(signals)
      // Read under the lock: the group ID is the child's as long as there is an event loop.
      return (state.eventLoop == nil ? nil : state.cgroup, state.process, result)
    }
    // Not under the lock: the system may be busy with other cgroups.
    if let cgroup, cgroup.send(signals, except: group) { return }
    if let error = result { throw error }
  }
}

extension Lifecycle.State {
  /// Sends signals to the child's group. Returns the error of the first signal; nil if it was sent.
  fileprivate func send(_ signals: [Int32]) -> SignalError? {
    let result = send(signals[0])
    for signal in signals.dropFirst() { _ = send(signal) }
    return switch result {
    case 0: nil
    case ESRCH: .processEnded
    case EPERM: .notPermitted
    default: .refused(code: result)
    }
  }

  /// Sends a signal to the child's group; returns 0, or the error.
  private func send(_ signal: Int32) -> Int32 {
    if isReaped { return eventLoop == nil ? ESRCH : signalRest(signal) }
    // Another part of the program may have reaped the child. Its PID is then free, and another
    // process may have it.
    if case .gone = peekState(of: process) { return ESRCH }
    let code = kill(-process, signal) == 0 ? 0 : errno
    // The child may be in another group: it may be in this program's group, or may have moved and
    // left other processes behind.
    if code != ESRCH, getpgid(process) == process { return code }
    if kill(process, signal) == 0 { return 0 }
    return code == ESRCH ? errno : code
  }

  /// Sends a signal to the remaining members of the group of a child that was reaped. Returns 0, or
  /// the error.
  ///
  /// The child's descriptor identifies that group and no other. Before Linux 6.9 it does not, and
  /// the group ID identifies the group: the system gives the ID to no other process while the group
  /// has members, and ``GroupWatch`` checks often enough whether it has.
  private func signalRest(_ signal: Int32) -> Int32 {
    switch descriptor {
    case .some(let descriptor):
      if spawn_signal_group(descriptor.number, signal) == 0 { return 0 }
      if errno != EINVAL { return errno }
    case nil: break
    }
    guard ownsPID else { return ESRCH }
    return kill(-process, signal) == 0 ? 0 : errno
  }

  /// Whether the group has members, including members that have ended and were not reaped.
  var groupExists: Bool { send(0) != ESRCH }

  /// Whether the group has members and this program may not send signals to any of them.
  fileprivate var isOutOfReach: Bool { send(0) == EPERM }
}

// MARK: Ending

extension Lifecycle {
  /// Sends the group a signal, and kills the group after a grace period.
  ///
  /// The child may end at once and leave other members of its group behind, which need time to end.
  /// So the event loop reaps the child only when they are gone or have been killed.
  func terminate(with signal: ProcessSignal = .terminate, grace: Duration) {
    let (eventLoop, isReaped): (EventLoop?, Bool) = state.withLock { state in
      if !state.isReapable { state.isEnding = state.eventLoop != nil }
      return (state.eventLoop, state.isReapable)
    }
    guard let eventLoop else { return }
    if grace > .zero, signal != .kill {
      try? send(signal)
      killGroup(after: grace, on: eventLoop)
      if isReaped {
        eventLoop.groupWatch.add(self, on: eventLoop)
      } else {
        // The child may have ended before.
        advance { _ in }
      }
    } else {
      killGroup()
    }
  }

  /// Kills the group and abandons its output. Waits until nothing is left of the child, or until
  /// the host gives up the child, whether the task is cancelled or not.
  func end(_ outputs: ChildOutput) async {
    terminate(grace: .zero)
    if let eventLoop = state.withLock({ $0.eventLoop }) {
      eventLoop.execute { outputs.abandon() }
      giveUp(after: .zero, on: eventLoop)
    }
    await Task.detached { try? await self.settled.wait() }.value
  }

  /// Terminates the child as a host that is being closed does, and waits until nothing is left of
  /// it, or until the host gives it up, whether the task is cancelled or not.
  func end(grace: Duration) async {
    if let eventLoop = state.withLock({ $0.eventLoop }) { eventLoop.end(self, grace: grace) }
    await Task.detached { try? await self.settled.wait() }.value
  }

  /// Terminates the child when it has run for a time.
  ///
  /// Checks from time to time whether the timer is still needed: a caller may set any limit, and a
  /// timer outlives the process that it waits for.
  func limitTime(
    to limit: Duration, signal: ProcessSignal, grace: Duration, after elapsed: Duration = .zero
  ) {
    guard let eventLoop = state.withLock({ $0.eventLoop }) else { return }
    let step = SteppedSleep.step(after: elapsed, of: limit)
    eventLoop.schedule(after: step) { [weak self] in
      guard let self, exited.value == nil else { return }
      let elapsed = elapsed + step
      if elapsed < limit {
        return limitTime(to: limit, signal: signal, grace: grace, after: elapsed)
      }
      let isTimedOut = state.withLock { state in
        // The child may have ended although the event loop has not noticed it yet.
        state.isTimedOut = peekState(of: state.process).isRunning
        return state.isTimedOut
      }
      if isTimedOut {
        sink.session.noteTimeOut()
        terminate(with: signal, grace: grace)
      }
    }
  }

  /// Whether the child still ran when its time limit was over.
  var isTimedOut: Bool { state.withLock { $0.isTimedOut } }

  /// Schedules to give up the child if it has not ended some time after it was killed.
  ///
  /// - Parameter grace: The time until the child is killed.
  func giveUp(after grace: Duration, on eventLoop: EventLoop) {
    eventLoop.schedule(after: grace + EventLoop.hang) { [weak self] in
      guard let self, self.state.withLock({ $0.isOutOfReach }) else { return }
      self.giveUp()
    }
    eventLoop.schedule(after: grace + EventLoop.patience) { [weak self] in self?.giveUp() }
  }

  /// Kills the remaining members of the group and the cgroup after a time.
  ///
  /// Checks from time to time whether the child is still there, as ``limitTime`` does: a caller may
  /// give any time.
  private func killGroup(
    after grace: Duration, on eventLoop: EventLoop, elapsed: Duration = .zero
  ) {
    let step = SteppedSleep.step(after: elapsed, of: grace)
    eventLoop.schedule(after: step) { [weak self, weak eventLoop] in
      guard let self, let eventLoop, state.withLock({ $0.eventLoop != nil }) else { return }
      let elapsed = elapsed + step
      if elapsed < grace { return killGroup(after: grace, on: eventLoop, elapsed: elapsed) }
      killGroup()
    }
  }

  /// Kills the remaining members of the group and the cgroup.
  private func killGroup() {
    guard let cgroup else { return killGroup(and: nil) }
    // As in `send(_:)`.
    Launchers.shared.runAnyway { self.killGroup(and: cgroup) }
  }

  private func killGroup(and cgroup: Cgroup?) {
    try? send(.kill)
    cgroup?.kill()
    advance { $0.isEnding = false }
    if let eventLoop = state.withLock({ $0.isReaped ? $0.eventLoop : nil }) {
      eventLoop.groupWatch.add(self, on: eventLoop)
    }
  }
}

extension Launchers {
  /// Runs a job on one of the threads, or on the calling thread if no thread can be started.
  func runAnyway(_ job: @escaping Job) {
    do throws(SystemError) { try run(job) } catch { job() }
  }
}

// MARK: Scanning the group

extension Lifecycle {
  /// Whether the child can be reaped as soon as its group has ended.
  var isAskingForEnd: Bool {
    state.withLock { $0.eventLoop != nil && !$0.isReaped && $0.isEnding && $0.hasEnded }
  }

  /// Whether the child needs scans of its group: to be reaped, or to be released.
  var isAskingForGroup: Bool {
    state.withLock { state in
      guard state.eventLoop != nil else { return false }
      return state.isReaped ? state.hasRest : state.isEnding && state.hasEnded
    }
  }

  /// The group to scan; nil if it is known without a scan of all processes whether the group is
  /// empty.
  var groupToScan: Int32? {
    if let cgroup, cgroup.isPopulated { return nil }
    return state.withLock { state in
      // A child that has not been reaped counts as a member.
      return state.isReaped && !state.groupExists ? nil : state.process
    }
  }

  /// Advances the child if its group is empty. On any thread.
  ///
  /// - Parameter members: The remaining members of each group that has any; nil if they are
  ///   unknown.
  func looked(in members: ProcessGroups.Members?) {
    if let cgroup, cgroup.isPopulated { return }
    let (isEmpty, isReaped): (Bool, Bool) = state.withLock { state in
      if state.isReaped, !state.groupExists { return (true, true) }
      guard let members, members[state.process] == nil else {
        state.emptyLooks = 0
        return (false, false)
      }
      // A scan may miss a process if a process that ends has just forked it, so it takes two scans.
      // The group of an unreaped child is scanned again anyway.
      state.emptyLooks += 1
      return (!state.isReaped || state.emptyLooks > 1, state.isReaped)
    }
    guard isEmpty else { return }
    if isReaped { finish() } else { advance { $0.isEnding = false } }
  }

  /// The remaining processes of a child that the host could not terminate; nil if there are none.
  ///
  /// - Parameter members: The remaining members of each group that has any; nil if they are
  ///   unknown.
  func survivor(in members: ProcessGroups.Members?) -> Survivor? {
    // The child itself may be in another group.
    let (process, isRunning) = state.withLock { state in
      (state.process, !state.isReaped && peekState(of: state.process).isRunning)
    }
    var processes = members?[process] ?? []
    if isRunning, !processes.contains(process) { processes.append(process) }
    processes += (cgroup?.members() ?? []).filter { !processes.contains($0) }
    if processes.isEmpty { return nil }
    let isPermitted = processes.allSatisfy { kill($0, 0) == 0 || errno != EPERM }
    return Survivor(
      session: sink.session, processIDs: processes.sorted(),
      reason: isPermitted ? .unresponsive : .notPermitted)
  }

  /// The ID of the group that the child led.
  var group: Int32 { state.withLock { $0.process } }
}
