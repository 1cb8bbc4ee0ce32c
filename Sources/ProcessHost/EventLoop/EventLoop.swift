import Processes
import Synchronization

/// One thread that moves the output of any number of processes into their sessions.
///
/// The thread sleeps until a source is ready, and then gives each ready source one turn. A pipe's
/// turn ends when the pipe is empty or its share is used up. All processes share 1 MiB: one process
/// alone gets all of it; with sixteen or more, each gets a single `readv` of 64 KiB. So a flood
/// from one process delays another's line by no more than one such turn. There is one producer per
/// session: this thread.
///
/// A pipe that is flooded with small writes rests between two turns (``Moderation``): the event
/// loop removes it from the poller, and a timer gives it its next turn. The thread itself never
/// sleeps while another source is ready.
///
/// The thread runs until `stop()` was called and no source is left.
final class EventLoop: Sendable {
  private let poller: Poller
  /// The number of sources, pending jobs, launches and processes. The thread does not end before it
  /// is zero.
  private let sourceCount = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  /// Nil once the thread has ended.
  private let jobs = LockedState<[@Sendable () -> Void]?>([])
  /// Nil once the thread has ended.
  private let timers = LockedState<Timers?>(Timers())
  private let processes = LockedState(ProcessTable())
  /// The clock reading of ``turnStart``; 0 until the first source of a round asks for it.
  private let turnNanoseconds = Atomic<Int64>(0)
  /// The budget from which pipes are widened.
  let pipeBudget: PipeBudget
  /// Scans the groups of processes that have ended.
  let groupWatch: GroupWatch
  /// How long a source rests.
  private let pause: Duration

  /// The processes that have not been released.
  private struct ProcessTable {
    var members: [ObjectIdentifier: (lifecycle: Lifecycle, outputs: ChildOutput)] = [:]
    /// The launches that have not finished.
    var launches: [ObjectIdentifier: Launch] = [:]
    /// The processes that the host could not terminate.
    var survivors: [Lifecycle] = []
    /// The grace for processes that register after the event loop has been told to end; nil before
    /// that.
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
  /// - Parameter pause: How long a source rests. Only tests pass another value.
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

  /// Releases a source that has been removed from the poller.
  private func release(_ registration: Registration) {
    // The source may be registered anew: its `didFinish()` may have added it again.
    if registration.source.registration === registration {
      registration.source.registration = nil
    }
    sourceCount.subtract(1, ordering: .relaxed)
    unsafe Unmanaged.passUnretained(registration).release()
  }

  /// Adds all of the sources, or none of them.
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

  /// Withdraws a source that has not finished. To be called before its first event, or between two
  /// turns.
  func withdraw(_ source: any EventSource) {
    guard let registration = source.registration else { return }
    if !registration.isResting { source.remove(from: poller) }
    // The timer that would end the rest does nothing if the source does not rest any more.
    registration.isResting = false
    release(registration)
  }

  /// Calls a closure on the thread once, between two turns of the sources. The thread does not end
  /// before that.
  ///
  /// Drops the closure if the thread has ended already.
  func execute(_ body: @escaping @Sendable () -> Void) {
    sourceCount.add(1, ordering: .relaxed)
    jobs.withLock { $0?.append(body) }
    poller.wake()
  }

  /// Calls a closure on the thread after some time, unless the thread has ended by then. Calls it
  /// between two turns of the sources, so that it may withdraw sources.
  func schedule(after time: Duration, _ body: @escaping @Sendable () -> Void) {
    let instant = ContinuousClock.Instant.now + max(time, .zero).upToACentury
    let isNext = timers.withLock { timers in
      // A closure that is kept after the thread's end would keep the event loop alive.
      timers?.add(at: instant, body)
      return timers?.next == instant
    }
    if isNext { poller.wake() }
  }

  /// The most timers, and the most jobs, that run between two polls of the sources. The number is
  /// large enough that few polls are needed, and small enough that sources do not wait when
  /// thousands of processes end at once.
  private static let batch = 64

  /// Runs the timers that are due, in order of time. Those beyond the batch run after the next
  /// poll, which does not wait.
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
  /// - Parameter isWatched: Whether the poller watches the source.
  private func giveTurn(to registration: Registration, isWatched: Bool) {
    let source = registration.source
    switch source.handleEvent() {
    case .wait:
      if isWatched { return }
      do throws(SystemError) {
        let reference = unsafe Unmanaged.passUnretained(registration)
        try unsafe source.add(to: poller, token: reference.toOpaque())
      } catch {
        // The system is short of memory. Until it has memory again, timers give the source its
        // turns.
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

  /// Whether the poller's waits are exact enough for the short rest of a source.
  var canRest: Bool { poller.isExact }

  /// Gives a source that the poller does not watch its next turn after a pause.
  private func rest(_ registration: Registration) {
    registration.isResting = true
    // Needs no wake-up: this runs on the thread, which checks its timers before it waits.
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

  /// The time at which the current round of turns began. All output of the round gets the same
  /// reading of the system's activity clock. On the thread.
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
    // Sequentially consistent here, in `removeSource()` and in `stop(grace:)`: either this thread
    // reads both final values, or the other thread wakes it.
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
      // Between turns, since jobs and timers may withdraw a source that has an event in this round.
      runJobs()
      runTimers()
    }
    // The closures hold references to the event loop. They are released outside of the locks,
    // because a release may run any code.
    let rest = (timers.withLock { $0.take() }, jobs.withLock { $0.take() })
    extendLifetime(rest)
  }

  /// The number of timers.
  var timerCount: Int { timers.withLock { $0?.count ?? 0 } }

  /// Whether the thread has ended.
  var hasEnded: Bool { jobs.withLock { $0 == nil } }
}

// MARK: Processes

extension EventLoop {
  /// Registers a launch. Its process's sources will be added to this event loop.
  ///
  /// - Returns: Whether the launch is registered; false if the event loop has been told to end.
  func begin(_ launch: Launch) -> Bool {
    processes.withLock { processes in
      guard processes.grace == nil else { return false }
      processes.launches[ObjectIdentifier(launch)] = launch
      sourceCount.add(1, ordering: .relaxed)
      return true
    }
  }

  /// Unregisters a launch that has finished. If it started a process, that has registered already.
  func finish(_ launch: Launch) {
    processes.withLock { _ = $0.launches.removeValue(forKey: ObjectIdentifier(launch)) }
    launch.settled.set(())
    removeSource()
  }

  /// Registers a process that has been started, and whose sources have been added.
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

  /// Records a process that the host could not terminate.
  func note(survivor: Lifecycle) { processes.withLock { $0.survivors.append(survivor) } }

  /// The processes that the host could not terminate, and the launches that have not finished.
  var survivors: (lifecycles: [Lifecycle], launches: [Launch]) {
    processes.withLock { ($0.survivors, Array($0.launches.values)) }
  }

  /// The processes that have not been released.
  var lifecycles: [Lifecycle] { processes.withLock { $0.members.values.map(\.lifecycle) } }

  /// The most bytes that a pipe may deliver in one turn, so that every pipe gets its turn: 1 MiB
  /// divided among all processes, and at least one read.
  var share: Int { Self.share(among: processes.withLock(\.members.count)) }

  static func share(among processes: Int) -> Int {
    max(OutputPipe.readSize, 1_048_576 / max(1, processes))
  }

  /// Terminates all launches and processes, including any that register during shutdown, then the
  /// thread.
  ///
  /// - Returns: The launches. A launch that hangs because of an unresponsive file system settles
  ///   late.
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

  /// How long to wait after the `SIGKILL` for a launch that hangs where no signal ends it, or for a
  /// process to which this program may not send signals.
  static let hang: Duration = .seconds(1)

  /// How long to wait after the `SIGKILL` for a process that has received it: the system may be
  /// busy.
  static let patience: Duration = .seconds(10)

  /// How long to wait after the `SIGKILL` for output that the processes wrote before it.
  private static let drainTimeout: Duration = .milliseconds(100)

  /// Terminates a process, unless it has been released. Gives it up if it cannot be terminated, and
  /// closes its output if other processes hold it open.
  func end(_ lifecycle: Lifecycle, grace: Duration) {
    let outputs = processes.withLock { $0.members[ObjectIdentifier(lifecycle)]?.outputs }
    if let outputs { end(lifecycle, outputs, grace: grace.upToACentury) }
  }

  private func end(_ lifecycle: Lifecycle, _ outputs: ChildOutput, grace: Duration) {
    lifecycle.terminate(grace: grace)
    // Does not wait for a process that has left the group and holds the output open.
    schedule(after: max(grace, .zero) + Self.drainTimeout) { [weak outputs] in outputs?.abandon() }
    lifecycle.giveUp(after: max(grace, .zero), on: self)
  }
}
