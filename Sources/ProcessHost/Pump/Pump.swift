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
  private let sourceCount = Atomic<Int>(0)
  private let isStopping = Atomic<Bool>(false)
  private let visits = Mutex<[@Sendable () -> Void]>([])

  private init() throws(SystemError) { poller = try Poller() }

  /// Starts a pump without sources.
  static func start() throws(SystemError) -> Pump {
    let pump = try Pump()
    try startThread { pump.run() }
    return pump
  }

  /// Ends the thread once there are no more sources; none can be added after this.
  func stop() {
    isStopping.store(true, ordering: .releasing)
    poller.wake()
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

  /// Takes a source back that cannot have had an event yet.
  func takeBack(_ source: EventSource) {
    source.remove(from: poller)
    sourceCount.subtract(1, ordering: .relaxed)
    unsafe Unmanaged.passUnretained(source).release()
  }

  /// Keeps the thread from ending until a visit, as a source would.
  func expectVisit() { sourceCount.add(1, ordering: .relaxed) }

  /// Calls a closure on the thread, once; `expectVisit()` came first.
  func visit(_ body: @escaping @Sendable () -> Void) {
    visits.withLock { $0.append(body) }
    poller.wake()
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
      unsafe poller.wait(events) { token in
        guard let token = unsafe token else { return receiveVisits() }
        let reference = unsafe Unmanaged<EventSource>.fromOpaque(token)
        let source = unsafe reference.takeUnretainedValue()
        if source.handleEvent() == .finish {
          source.remove(from: poller)
          source.didFinish()
          sourceCount.subtract(1, ordering: .relaxed)
          unsafe reference.release()
        }
      }
    }
  }
}
