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
  /// Sends a signal to the child's group, and lets those continue that are stopped, if the signal
  /// may end them: they would not notice it otherwise. Processes of its cgroup get it whatever
  /// their groups are.
  func send(_ signal: ProcessSignal) throws(SignalError) {
    // Else what is stopped would be continued.
    guard signal.isSignal else { throw .refused(code: EINVAL) }
    let signals = signal.endsByDefault ? [signal.rawValue, SIGCONT] : [signal.rawValue]
    let (cgroup, group, result) = state.withLock { state in
      let result = state.send(signals)
      // Read now: it is the child's as long as there is a event loop.
      return (state.eventLoop == nil ? nil : state.cgroup, state.process, result)
    }
    // Not under the lock: the system may be busy with other cgroups.
    if let cgroup, cgroup.send(signals, except: group) { return }
    if let error = result { throw error }
  }
}

extension Lifecycle.State {
  /// Sends signals to the child's group; returns why the first could not be sent, nil if it was.
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
    // Another part of the program may have reaped the child; then its number is free, and may be a
    // stranger's.
    if case .gone = peekState(of: process) { return ESRCH }
    let code = kill(-process, signal) == 0 ? 0 : errno
    // It may be in another group: it is in this program's, or has moved and left others behind.
    if code != ESRCH, getpgid(process) == process { return code }
    if kill(process, signal) == 0 { return 0 }
    return code == ESRCH ? errno : code
  }

  /// Sends a signal to what is left of the group of a child that was reaped; returns 0, or the
  /// error.
  ///
  /// The child's descriptor stands for that group and no other. Where it does not, before Linux
  /// 6.9, the group's number does: the system gives it to no other process while the group has
  /// members, and ``GroupWatch`` looks often enough whether it has.
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

  /// Whether the group has members, be it such as have ended and were not reaped.
  var groupExists: Bool { send(0) != ESRCH }

  /// Whether this program may send signals to none of those that are left.
  fileprivate var isOutOfReach: Bool { send(0) == EPERM }
}

// MARK: Ending

extension Lifecycle {
  /// Asks the group to end by a signal, and kills it after a grace.
  ///
  /// The child may end at once and leave others of its group behind, which are busy ending; so it
  /// is reaped only when they are gone, or have been killed.
  func terminate(with signal: ProcessSignal = .terminate, grace: Duration) {
    let (eventLoop, isReaped): (EventLoop?, Bool) = state.withLock { state in
      if !state.isReapable { state.isEnding = state.eventLoop != nil }
      return (state.eventLoop, state.isReapable)
    }
    guard let eventLoop else { return }
    if grace > .zero, signal != .kill {
      try? send(signal)
      eventLoop.schedule(after: grace) { [weak self] in self?.killGroup() }
      if isReaped {
        eventLoop.groupWatch.add(self, on: eventLoop)
      } else {
        // It may have ended before.
        advance { _ in }
      }
    } else {
      killGroup()
    }
  }

  /// Kills the group, lets go of its output, and waits, whether the task is cancelled or not, until
  /// nothing is left of it, or it turns out that it cannot be ended.
  func end(_ outputs: ChildOutput) async {
    terminate(grace: .zero)
    if let eventLoop = state.withLock({ $0.eventLoop }) {
      eventLoop.execute { outputs.abandon() }
      giveUp(after: .zero, on: eventLoop)
    }
    await Task.detached { try? await self.settled.wait() }.value
  }

  /// Gives up the child if it has not ended some time after it was killed.
  ///
  /// - Parameter grace: The time until it is killed.
  func giveUp(after grace: Duration, on eventLoop: EventLoop) {
    eventLoop.schedule(after: grace + EventLoop.hang) { [weak self] in
      guard let self, self.state.withLock({ $0.isOutOfReach }) else { return }
      self.giveUp()
    }
    eventLoop.schedule(after: grace + EventLoop.patience) { [weak self] in self?.giveUp() }
  }

  /// Kills all that is left of the group.
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
  /// Runs a job on one of the threads, or on the calling one if there is none.
  func runAnyway(_ job: @escaping Job) {
    do throws(SystemError) { try run(job) } catch { job() }
  }
}

// MARK: Looking at the group

extension Lifecycle {
  /// Whether the child waits for the end of its group, to be reaped.
  var isAskingForEnd: Bool {
    state.withLock { $0.eventLoop != nil && !$0.isReaped && $0.isEnding && $0.hasEnded }
  }

  /// Whether anything depends on whether the group is empty.
  var isAskingForGroup: Bool {
    state.withLock { state in
      guard state.eventLoop != nil else { return false }
      return state.isReaped ? state.hasRest : state.isEnding && state.hasEnded
    }
  }

  /// The group, unless it is known without a look at all processes whether anything is left.
  var groupToScan: Int32? {
    if let cgroup, cgroup.isPopulated { return nil }
    return state.withLock { state in
      // A child that has not been reaped is a member as well.
      return state.isReaped && !state.groupExists ? nil : state.process
    }
  }

  /// Goes on if nothing is left of the group. On any thread.
  ///
  /// - Parameter members: What is left of each group that has any; nil if that is not known.
  func looked(in members: ProcessGroups.Members?) {
    if let cgroup, cgroup.isPopulated { return }
    let (isEmpty, isReaped): (Bool, Bool) = state.withLock { state in
      if state.isReaped, !state.groupExists { return (true, true) }
      guard let members, members[state.process] == nil else {
        state.emptyLooks = 0
        return (false, false)
      }
      // A look may overlook a process that is forked meanwhile by one that ends. An unreaped
      // child's group is looked at again anyway.
      state.emptyLooks += 1
      return (!state.isReaped || state.emptyLooks > 1, state.isReaped)
    }
    guard isEmpty else { return }
    if isReaped { finish() } else { advance { $0.isEnding = false } }
  }

  /// What is left of the child, as a host tells that could not end it; nil if nothing is.
  ///
  /// - Parameter members: What is left of each group that has any; nil if that is not known.
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

  /// The group that the child led.
  var group: Int32 { state.withLock { $0.process } }
}
