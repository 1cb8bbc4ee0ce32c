import Synchronization

/// One thread that moves the output of any number of processes into their sessions.
///
/// It sleeps until something is ready, and then gives each source that is one turn: one `readv` of at
/// most 64 KiB for a pipe. So a flood from one process holds another's line up by no more than one turn
/// of each source. There is one producer per session: this thread.
///
/// The thread runs until `stop()` was called and no source is left.
final class Pump: Sendable {
  private let poller: Poller
  /// Sources, visits to come and processes: whatever the thread must not end before.
  private let sourceCount = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  private let visits = Mutex<[@Sendable () -> Void]>([])
  private let timers = Mutex(Timers())
  private let groups = Mutex(ProcessGroups())
  private let population = Mutex(Population())

  /// The processes that are not over.
  private struct Population {
    var members: [ObjectIdentifier: (lifecycle: Lifecycle, outputs: Outputs)] = [:]
    /// The grace for those that enter when the pump has been told to end.
    var grace: Duration?
  }

  private init() throws(SystemError) { poller = try Poller() }

  /// Starts a pump without sources.
  static func start() throws(SystemError) -> Pump {
    let pump = try Pump()
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
    source.remove(from: poller)
    sourceCount.subtract(1, ordering: .relaxed)
    unsafe Unmanaged.passUnretained(source).release()
  }

  /// Keeps the thread from ending until a visit, as a source would.
  func expectVisit() { sourceCount.add(1, ordering: .relaxed) }

  /// Calls a closure on the thread, once, between two turns of the sources; `expectVisit()` came first.
  func visit(_ body: @escaping @Sendable () -> Void) {
    visits.withLock { $0.append(body) }
    poller.wake()
  }

  /// Calls a closure on the thread after some time, unless the thread has ended by then; between two
  /// turns of the sources, so that it may withdraw some.
  func schedule(after time: Duration, _ body: @escaping @Sendable () -> Void) {
    // A century is as good as any time beyond.
    let instant = ContinuousClock.Instant.now + min(max(time, .zero), .seconds(1 << 32))
    let isNext = timers.withLock { timers in
      timers.add(at: instant, body)
      return timers.next == instant
    }
    if isNext { poller.wake() }
  }

  /// Whether somebody in a process group has not ended.
  func isGroupAlive(_ group: Int32) -> Bool { groups.withLock { $0.isAlive(group) } }

  /// What is due now, in turn.
  private func runTimers() {
    while let body = timers.withLock({ $0.next == nil ? nil : $0.pop(at: .now) }) { body() }
  }

  private func receiveVisits() {
    let bodies = visits.withLock { visits in
      defer { visits = [] }
      return visits
    }
    for body in bodies {
      body()
      sourceCount.subtract(1, ordering: .relaxed)
    }
  }

  private func run() {
    let events = UnsafeMutableBufferPointer<Poller.Event>.allocate(capacity: 64)
    defer { unsafe events.deallocate() }
    while !(isStopping.load(ordering: .acquiring) && sourceCount.load(ordering: .relaxed) == 0) {
      let limit = timers.withLock(\.next).map { $0 - .now }
      unsafe poller.wait(events, upTo: limit) { token in
        guard let token = unsafe token else { return }
        let reference = unsafe Unmanaged<EventSource>.fromOpaque(token)
        let source = unsafe reference.takeUnretainedValue()
        if source.handleEvent() == .finish {
          source.remove(from: poller)
          source.didFinish()
          sourceCount.subtract(1, ordering: .relaxed)
          unsafe reference.release()
        }
      }
      // Between turns, since they may withdraw a source that has an event in this one.
      receiveVisits()
      runTimers()
    }
    // They hold what holds the pump.
    timers.withLock { $0 = Timers() }
  }
}

// MARK: Processes

extension Pump {
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
    population.withLock { _ = $0.members.removeValue(forKey: ObjectIdentifier(lifecycle)) }
    sourceCount.subtract(1, ordering: .relaxed)
    if isStopping.load(ordering: .acquiring) { poller.wake() }
  }

  /// Ends all processes, those as well that still enter, and then the thread.
  ///
  /// - Returns: The processes that were there.
  @discardableResult
  func stop(grace: Duration) -> [Lifecycle] {
    let members = population.withLock { population in
      population.grace = min(grace, population.grace ?? grace)
      return population.members.values.map { $0 }
    }
    isStopping.store(true, ordering: .releasing)
    for (lifecycle, outputs) in members { end(lifecycle, outputs, grace: grace) }
    poller.wake()
    return members.map(\.lifecycle)
  }

  /// What the killed have written may take this long to arrive.
  private static let lastWords: Duration = .milliseconds(100)

  private func end(_ lifecycle: Lifecycle, _ outputs: Outputs, grace: Duration) {
    lifecycle.terminate(grace: grace)
    // Whoever has left the group and holds the output open is not waited for.
    schedule(after: max(grace, .zero) + Self.lastWords) { outputs.abandon() }
  }
}
