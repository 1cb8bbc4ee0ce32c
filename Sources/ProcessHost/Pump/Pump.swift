import Processes
import Synchronization

/// One thread that moves the output of any number of processes into their sessions.
///
/// It sleeps until something is ready, and then gives each source that is one turn. A pipe's turn
/// ends when the pipe is empty, or with its share of what all processes get: 1 MiB for one alone, a
/// single `readv` of 64 KiB for each of sixteen or more. So a flood from one process holds
/// another's line up by no more than one such turn. There is one producer per session: this thread.
///
/// A pipe that is flooded with small writes rests between two turns (``Moderation``): the poller
/// forgets it, and a timer gives it its next turn. The thread itself never sleeps while something
/// else is ready.
///
/// The thread runs until `stop()` was called and no source is left.
final class Pump: Sendable {
  private let poller: Poller
  /// Sources, visits to come and processes: whatever the thread must not end before.
  private let sourceCount = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  /// Nil once the thread has ended.
  private let visits = LockedState<[@Sendable () -> Void]?>([])
  /// Nil likewise.
  private let timers = LockedState<Timers?>(Timers())
  private let population = LockedState(Population())
  /// What ``turnStart`` has read; 0 before the first source of a round asks.
  private let turnNanoseconds = Atomic<Int64>(0)
  /// What its pipes may be widened from.
  let pipeBudget: PipeBudget
  /// Looks at what processes have left in their groups.
  let groupWatch: GroupWatch
  /// How long a source rests.
  private let pause: Duration

  /// The processes that are not over.
  private struct Population {
    var members: [ObjectIdentifier: (lifecycle: Lifecycle, outputs: Outputs)] = [:]
    /// Those that are being started.
    var launches: [ObjectIdentifier: Launch] = [:]
    /// The processes that could not be ended.
    var survivors: [Lifecycle] = []
    /// The grace for those that enter when the pump has been told to end.
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

  /// Starts a pump without sources.
  ///
  /// - Parameter pause: How long a source rests; another for tests alone.
  static func start(
    pipeBudget: PipeBudget = .shared, groupWatch: GroupWatch = GroupWatch(),
    pause: Duration = Moderation.pause
  ) throws(SystemError) -> Pump {
    let pump = try Pump(pipeBudget, groupWatch, pause)
    try startThread { pump.run() }
    return pump
  }

  /// Adds a source, and keeps it until it finishes.
  func add(_ source: EventSource) throws(SystemError) {
    let reference = unsafe Unmanaged.passRetained(source)
    sourceCount.add(1, ordering: .relaxed)
    do throws(SystemError) {
      try unsafe source.add(to: poller, token: reference.toOpaque())
    } catch {
      sourceCount.subtract(1, ordering: .relaxed)
      unsafe reference.release()
      throw error
    }
  }

  /// Adds all of several sources or none.
  func add(_ sources: [EventSource]) throws(SystemError) {
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
  func withdraw(_ source: EventSource) {
    if source.isResting {
      source.isResting = false
    } else {
      source.remove(from: poller)
    }
    sourceCount.subtract(1, ordering: .relaxed)
    unsafe Unmanaged.passUnretained(source).release()
  }

  /// Keeps the thread from ending until a visit, as a source would.
  func expectVisit() { sourceCount.add(1, ordering: .relaxed) }

  /// Calls a closure on the thread, once, between two turns of the sources; `expectVisit()` came
  /// first.
  ///
  /// Drops the closure if the thread had ended before that.
  func visit(_ body: @escaping @Sendable () -> Void) {
    visits.withLock { $0?.append(body) }
    poller.wake()
  }

  /// Calls a closure on the thread after some time, unless the thread has ended by then; between
  /// two turns of the sources, so that it may withdraw some.
  func schedule(after time: Duration, _ body: @escaping @Sendable () -> Void) {
    let instant = ContinuousClock.Instant.now + max(time, .zero).upToACentury
    let isNext = timers.withLock { timers in
      // Kept after the thread's end, it would keep the pump.
      timers?.add(at: instant, body)
      return timers?.next == instant
    }
    if isNext { poller.wake() }
  }

  /// How many timers, and how many visits, come between two looks at the sources: so many that few
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

  private func receiveVisits() {
    let bodies = visits.withLock { visits in
      let bodies = (visits ?? []).prefix(Self.batch)
      visits?.removeFirst(bodies.count)
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
  private func giveTurn(to source: EventSource, isWatched: Bool) {
    let reference = unsafe Unmanaged.passUnretained(source)
    switch source.handleEvent() {
    case .wait:
      if isWatched { return }
      do throws(SystemError) {
        try unsafe source.add(to: poller, token: reference.toOpaque())
      } catch {
        // The system is short of memory. Until it is not, the source is asked again and again.
        rest(source)
      }
    case .rest:
      if isWatched { source.remove(from: poller) }
      rest(source)
    case .hold:
      if isWatched { source.remove(from: poller) }
      source.isResting = true
    case .finish:
      if isWatched { source.remove(from: poller) }
      source.didFinish()
      sourceCount.subtract(1, ordering: .relaxed)
      unsafe reference.release()
    }
  }

  /// Whether a source can rest for so short a time.
  var canRest: Bool { poller.isExact }

  /// Gives a source that the poller does not know its next turn after a pause.
  private func rest(_ source: EventSource) {
    source.isResting = true
    // Nobody has to be woken: this is the thread, which looks at its timers before it waits.
    timers.withLock { timers in
      timers?.add(at: .now + pause) { [self] in resume(source) }
    }
  }

  /// Gives a source that rests or is held its next turn, unless it was withdrawn. On the thread,
  /// between two turns.
  func resume(_ source: EventSource) {
    guard source.isResting else { return }
    source.isResting = false
    giveTurn(to: source, isWatched: false)
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
        visits.withLock { $0?.isEmpty ?? true }
        ? timers.withLock { $0?.next }.map { $0 - .now } : .zero
      turnNanoseconds.store(0, ordering: .relaxed)
      unsafe poller.wait(events, upTo: limit) { token in
        guard let token = unsafe token else { return }
        let source = unsafe Unmanaged<EventSource>.fromOpaque(token).takeUnretainedValue()
        giveTurn(to: source, isWatched: true)
      }
      // Between turns, since they may withdraw a source that has an event in this one.
      receiveVisits()
      runTimers()
    }
    // They hold what holds the pump. Released outside of the locks: that may run any code.
    let rest = (timers.withLock { $0.take() }, visits.withLock { $0.take() })
    extendLifetime(rest)
  }

  /// Whether the thread has come to its end.
  var hasEnded: Bool { visits.withLock { $0 == nil } }
}

// MARK: Processes

extension Pump {
  /// A process is being started, whose sources will be here.
  ///
  /// - Returns: Whether it may; not if the pump has been told to end.
  func begin(_ launch: Launch) -> Bool {
    population.withLock { population in
      guard population.grace == nil else { return false }
      population.launches[ObjectIdentifier(launch)] = launch
      sourceCount.add(1, ordering: .relaxed)
      return true
    }
  }

  /// A launch has come to its end; its process, if there is one, has entered.
  func finish(_ launch: Launch) {
    population.withLock { _ = $0.launches.removeValue(forKey: ObjectIdentifier(launch)) }
    launch.settled.set(())
    removeSource()
  }

  /// A process has been started, whose sources are here.
  func enter(_ lifecycle: Lifecycle, _ outputs: Outputs) {
    sourceCount.add(1, ordering: .relaxed)
    let grace = population.withLock { population in
      population.members[ObjectIdentifier(lifecycle)] = (lifecycle, outputs)
      return population.grace
    }
    if let grace { end(lifecycle, outputs, grace: grace) }
  }

  /// A process has been reaped.
  func leave(_ lifecycle: Lifecycle) {
    let hadEntered = population.withLock { population in
      population.members.removeValue(forKey: ObjectIdentifier(lifecycle)) != nil
    }
    if hadEntered { removeSource() }
  }

  private func removeSource() {
    sourceCount.subtract(1, ordering: .sequentiallyConsistent)
    if isStopping.load(ordering: .sequentiallyConsistent) { poller.wake() }
  }

  /// A process could not be ended.
  func note(survivor: Lifecycle) { population.withLock { $0.survivors.append(survivor) } }

  /// The processes that could not be ended, and those that are being started still.
  var survivors: (lifecycles: [Lifecycle], launches: [Launch]) {
    population.withLock { ($0.survivors, Array($0.launches.values)) }
  }

  /// The processes that are not over.
  var lifecycles: [Lifecycle] { population.withLock { $0.members.values.map(\.lifecycle) } }

  /// How many bytes a pipe may bring in one turn, so that all get theirs: 1 MiB among all
  /// processes, and at least one read.
  var share: Int { Self.share(among: population.withLock(\.members.count)) }

  static func share(among processes: Int) -> Int {
    max(OutputPipe.readSize, 1_048_576 / max(1, processes))
  }

  /// Ends all launches and processes, those as well that still enter, and then the thread.
  ///
  /// - Returns: The launches, of which those settle late that hang for want of a file system.
  @discardableResult
  func stop(grace: Duration) -> [Launch] {
    let grace = grace.upToACentury
    let (members, launches) = population.withLock { population in
      population.grace = min(grace, population.grace ?? grace)
      return (population.members.values.map { $0 }, Array(population.launches.values))
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

  /// What the killed have written may take this long to arrive.
  private static let lastWords: Duration = .milliseconds(100)

  private func end(_ lifecycle: Lifecycle, _ outputs: Outputs, grace: Duration) {
    lifecycle.terminate(grace: grace)
    // A process that has left the group and holds the output open is not waited for.
    schedule(after: max(grace, .zero) + Self.lastWords) { [weak outputs] in outputs?.abandon() }
    lifecycle.giveUp(after: max(grace, .zero), on: self)
  }
}
