import Processes
import Synchronization

/// One thread that moves the output of any number of processes into their sessions.
///
/// It sleeps until something is ready, and then gives each source that is ready one turn. A pipe's
/// turn ends when the pipe is empty, or with its share of what all processes get: 1 MiB for one
/// alone, a single `readv` of 64 KiB for each of sixteen or more. So a flood from one process holds
/// another's line up by no more than one such turn. There is one producer per session: this thread.
///
/// A pipe that is flooded with small writes rests between two turns (``Moderation``): the poller
/// forgets it, and a timer gives it its next turn. The thread itself never sleeps while something
/// else is ready.
///
/// The thread runs until `stop()` was called and no source is left.
final class EventLoop: Sendable {
  private let poller: Poller
  /// Counts sources, jobs to come and processes: whatever the thread must not end before.
  private let sourceCount = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  /// Nil once the thread has ended.
  private let jobs = LockedState<[@Sendable () -> Void]?>([])
  /// Nil likewise.
  private let timers = LockedState<Timers?>(Timers())
  private let processes = LockedState(ProcessTable())
  /// What ``turnStart`` has read; 0 before the first source of a round asks.
  private let turnNanoseconds = Atomic<Int64>(0)
  /// What its pipes may be widened from.
  let pipeBudget: PipeBudget
  /// Looks at what processes have left in their groups.
  let groupWatch: GroupWatch
  /// How long a source rests.
  private let pause: Duration

  /// The processes that have not been released.
  private struct ProcessTable {
    var members: [ObjectIdentifier: (lifecycle: Lifecycle, outputs: ChildOutput)] = [:]
    /// Those that are being started.
    var launches: [ObjectIdentifier: Launch] = [:]
    /// The processes that could not be ended.
    var survivors: [Lifecycle] = []
    /// The grace for processes that register after the event loop has been told to end.
    var grace: Duration?
  }

  private init(
    _ pipeBudget: PipeBudget, _ groupWatch: GroupWatch, _ pause: Duration
  ) throws(SystemError) {
    self.pipeBudget = pipeBudget
    self.groupWatch = groupWatch
    self.pause = pause
    poller = try Poller()
  }

  /// Starts an event loop without sources.
  ///
  /// - Parameter pause: How long a source rests; another for tests alone.
  static func start(
    pipeBudget: PipeBudget = .shared, groupWatch: GroupWatch = GroupWatch(),
    pause: Duration = Moderation.pause
  ) throws(SystemError) -> EventLoop {
    let eventLoop = try EventLoop(pipeBudget, groupWatch, pause)
    try startThread { eventLoop.run() }
    return eventLoop
  }

  /// Adds a source, and keeps it until it finishes.
  func add(_ source: any EventSource) throws(SystemError) {
    let registration = Registration(source)
    source.registration = registration
    let reference = unsafe Unmanaged.passRetained(registration)
    sourceCount.add(1, ordering: .relaxed)
    do throws(SystemError) {
      try unsafe source.add(to: poller, token: reference.toOpaque())
    } catch {
      release(registration)
      throw error
    }
  }

  /// Forgets a source that the poller does not know any more.
  private func release(_ registration: Registration) {
    // The source may be registered anew: its `didFinish()` may have added it again.
    if registration.source.registration === registration {
      registration.source.registration = nil
    }
    sourceCount.subtract(1, ordering: .relaxed)
    unsafe Unmanaged.passUnretained(registration).release()
  }

  /// Adds all of several sources or none.
  func add(_ sources: [any EventSource]) throws(SystemError) {
    for index in sources.indices {
      do throws(SystemError) {
        try add(sources[index])
      } catch {
        for source in sources[..<index] { withdraw(source) }
        throw error
      }
    }
  }

  /// Withdraws a source that has not finished: before its first event, or between two turns.
  func withdraw(_ source: any EventSource) {
    guard let registration = source.registration else { return }
    if !registration.isResting { source.remove(from: poller) }
    // A timer that was to end its rest finds that it does not rest any more.
    registration.isResting = false
    release(registration)
  }

  /// Calls a closure on the thread, once, between two turns of the sources. The thread does not end
  /// before that.
  ///
  /// Drops the closure if the thread has ended already.
  func execute(_ body: @escaping @Sendable () -> Void) {
    sourceCount.add(1, ordering: .relaxed)
    jobs.withLock { $0?.append(body) }
    poller.wake()
  }

  /// Calls a closure on the thread after some time, unless the thread has ended by then; between
  /// two turns of the sources, so that it may withdraw some.
  func schedule(after time: Duration, _ body: @escaping @Sendable () -> Void) {
    let instant = ContinuousClock.Instant.now + max(time, .zero).upToACentury
    let isNext = timers.withLock { timers in
      // Kept after the thread's end, it would keep the event loop.
      timers?.add(at: instant, body)
      return timers?.next == instant
    }
    if isNext { poller.wake() }
  }

  /// How many timers, and how many jobs, come between two looks at the sources: so many that few
  /// looks are needed, and so few that a source does not wait when thousands of processes end at
  /// once.
  private static let batch = 64

  /// Calls what is due, in turn; the rest at the next look, which comes at once.
  private func runTimers() {
    guard timers.withLock({ $0?.next }) != nil else { return }
    let now = ContinuousClock.Instant.now
    for _ in 0..<Self.batch {
      guard let body = timers.withLock({ $0?.pop(at: now) }) else { return }
      body()
    }
  }

  private func runJobs() {
    let bodies = jobs.withLock { jobs in
      let bodies = (jobs ?? []).prefix(Self.batch)
      jobs?.removeFirst(bodies.count)
      return bodies
    }
    for body in bodies {
      body()
      sourceCount.subtract(1, ordering: .relaxed)
    }
  }

  /// Gives a source one turn.
  ///
  /// - Parameter isWatched: Whether the poller knows it.
  private func giveTurn(to registration: Registration, isWatched: Bool) {
    let source = registration.source
    switch source.handleEvent() {
    case .wait:
      if isWatched { return }
      do throws(SystemError) {
        let reference = unsafe Unmanaged.passUnretained(registration)
        try unsafe source.add(to: poller, token: reference.toOpaque())
      } catch {
        // The system is short of memory. Until it is not, the source is asked again and again.
        rest(registration)
      }
    case .rest:
      if isWatched { source.remove(from: poller) }
      rest(registration)
    case .hold:
      if isWatched { source.remove(from: poller) }
      registration.isResting = true
    case .finish:
      if isWatched { source.remove(from: poller) }
      source.didFinish()
      release(registration)
    }
  }

  /// Whether a source can rest for so short a time.
  var canRest: Bool { poller.isExact }

  /// Gives a source that the poller does not know its next turn after a pause.
  private func rest(_ registration: Registration) {
    registration.isResting = true
    // Needs no wake-up: this is the thread, which looks at its timers before it waits.
    timers.withLock { timers in
      timers?.add(at: .now + pause) { [self] in resume(registration) }
    }
  }

  /// Gives a source that rests or is held its next turn, unless it was withdrawn. On the thread,
  /// between two turns.
  func resume(_ registration: Registration) {
    guard registration.isResting else { return }
    registration.isResting = false
    giveTurn(to: registration, isWatched: false)
  }

  /// When the sources that were ready began to get their turns: one reading of the system's
  /// activity clock for all that they bring. On the thread.
  var turnStart: ActivityClock.Instant {
    let known = turnNanoseconds.load(ordering: .relaxed)
    if known != 0 { return ActivityClock.Instant(nanoseconds: known) }
    let now = ActivityClock.system.now
    turnNanoseconds.store(now.nanoseconds, ordering: .relaxed)
    return now
  }

  private func run() {
    poller.prepareThread()
    let events = UnsafeMutableBufferPointer<Poller.Event>.allocate(capacity: 64)
    defer { unsafe events.deallocate() }
    // Sequentially consistent, here, in `removeSource()` and in `stop(grace:)`: either this thread
    // finds both, or the other one wakes it.
    while !(isStopping.load(ordering: .sequentiallyConsistent)
      && sourceCount.load(ordering: .sequentiallyConsistent) == 0)
    {
      let limit =
        jobs.withLock { $0?.isEmpty ?? true }
        ? timers.withLock { $0?.next }.map { $0 - .now } : .zero
      turnNanoseconds.store(0, ordering: .relaxed)
      unsafe poller.wait(events, upTo: limit) { token in
        guard let token = unsafe token else { return }
        let registration = unsafe Unmanaged<Registration>.fromOpaque(token).takeUnretainedValue()
        giveTurn(to: registration, isWatched: true)
      }
      // Between turns, since they may withdraw a source that has an event in this one.
      runJobs()
      runTimers()
    }
    // They hold what holds the event loop. Released outside of the locks: that may run any code.
    let rest = (timers.withLock { $0.take() }, jobs.withLock { $0.take() })
    extendLifetime(rest)
  }

  /// How many timers there are.
  var timerCount: Int { timers.withLock { $0?.count ?? 0 } }

  /// Whether the thread has come to its end.
  var hasEnded: Bool { jobs.withLock { $0 == nil } }
}

// MARK: Processes

extension EventLoop {
  /// Registers a launch, whose process's sources will be here.
  ///
  /// - Returns: Whether it may; not if the event loop has been told to end.
  func begin(_ launch: Launch) -> Bool {
    processes.withLock { processes in
      guard processes.grace == nil else { return false }
      processes.launches[ObjectIdentifier(launch)] = launch
      sourceCount.add(1, ordering: .relaxed)
      return true
    }
  }

  /// Unregisters a launch that has come to its end; its process, if there is one, has registered.
  func finish(_ launch: Launch) {
    processes.withLock { _ = $0.launches.removeValue(forKey: ObjectIdentifier(launch)) }
    launch.settled.set(())
    removeSource()
  }

  /// Registers a process that has been started, whose sources are here.
  func register(_ lifecycle: Lifecycle, _ outputs: ChildOutput) {
    sourceCount.add(1, ordering: .relaxed)
    let grace = processes.withLock { processes in
      processes.members[ObjectIdentifier(lifecycle)] = (lifecycle, outputs)
      return processes.grace
    }
    if let grace { end(lifecycle, outputs, grace: grace) }
  }

  /// Unregisters a process that has been released.
  func unregister(_ lifecycle: Lifecycle) {
    let wasRegistered = processes.withLock { processes in
      processes.members.removeValue(forKey: ObjectIdentifier(lifecycle)) != nil
    }
    if wasRegistered { removeSource() }
  }

  private func removeSource() {
    sourceCount.subtract(1, ordering: .sequentiallyConsistent)
    if isStopping.load(ordering: .sequentiallyConsistent) { poller.wake() }
  }

  /// Notes a process that could not be ended.
  func note(survivor: Lifecycle) { processes.withLock { $0.survivors.append(survivor) } }

  /// The processes that could not be ended, and those that are being started still.
  var survivors: (lifecycles: [Lifecycle], launches: [Launch]) {
    processes.withLock { ($0.survivors, Array($0.launches.values)) }
  }

  /// The processes that have not been released.
  var lifecycles: [Lifecycle] { processes.withLock { $0.members.values.map(\.lifecycle) } }

  /// How many bytes a pipe may bring in one turn, so that all get theirs: 1 MiB among all
  /// processes, and at least one read.
  var share: Int { Self.share(among: processes.withLock(\.members.count)) }

  static func share(among processes: Int) -> Int {
    max(OutputPipe.readSize, 1_048_576 / max(1, processes))
  }

  /// Terminates all launches and processes, including any that register during shutdown, then the
  /// thread.
  ///
  /// - Returns: The launches, of which those settle late that hang for want of a file system.
  @discardableResult
  func stop(grace: Duration) -> [Launch] {
    let grace = grace.upToACentury
    let (members, launches) = processes.withLock { processes in
      processes.grace = min(grace, processes.grace ?? grace)
      return (processes.members.values.map { $0 }, Array(processes.launches.values))
    }
    isStopping.store(true, ordering: .sequentiallyConsistent)
    for launch in launches {
      launch.cancel(.hostClosed)
      schedule(after: max(grace, .zero) + Self.hang) { launch.settled.set(()) }
    }
    for (lifecycle, outputs) in members { end(lifecycle, outputs, grace: grace) }
    poller.wake()
    return launches
  }

  /// How long after its `SIGKILL` to wait for a launch, which hangs where no signal ends it, or for
  /// a process that this program may not send signals.
  static let hang: Duration = .seconds(1)

  /// How long after its `SIGKILL` to wait for a process that has got it: the system may be busy.
  static let patience: Duration = .seconds(10)

  /// How long after the `SIGKILL` to wait for what the processes had written before it.
  private static let drainTimeout: Duration = .milliseconds(100)

  private func end(_ lifecycle: Lifecycle, _ outputs: ChildOutput, grace: Duration) {
    lifecycle.terminate(grace: grace)
    // A process that has left the group and holds the output open is not waited for.
    schedule(after: max(grace, .zero) + Self.drainTimeout) { [weak outputs] in outputs?.abandon() }
    lifecycle.giveUp(after: max(grace, .zero), on: self)
  }
}
