import Synchronization

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Wakes the main thread, which waits for sockets: a pipe to which other threads and signal
/// handlers write a byte.
final class Loop: Sendable {
  fileprivate let reading: Descriptor
  fileprivate let writing: Descriptor
  private let isAwake = Atomic(false)

  /// Makes the pipe; returns nil if the system has no descriptors.
  init?() {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else { return nil }
    (reading, writing) = (Descriptor(ends[0]), Descriptor(ends[1]))
  }

  /// Wakes the main thread. On any thread.
  func wake() {
    if !isAwake.exchange(true, ordering: .acquiringAndReleasing) { wakeByByte(writing.number) }
  }

  /// Notes that the main thread is awake, and will look at all that could have changed.
  fileprivate func rest() {
    var bytes = (UInt64(0), UInt64(0))
    while unsafe read(reading.number, &bytes, 16) > 0 {}
    // Last: a wake-up before this is seen by what the thread looks at next, and a later one writes
    // another byte.
    _ = isAwake.exchange(false, ordering: .acquiringAndReleasing)
  }

  /// Runs a task, and waits for its result.
  ///
  /// - Parameter look: What to do each time that the main thread wakes meanwhile.
  func wait<Value: Sendable>(
    for work: @escaping @Sendable () async -> Value, look: (Task<Void, Never>) -> Void
  ) -> Value {
    let result = Box<Value>()
    let task = Task {
      let value = await work()
      result.value.withLock { $0 = value }
      wake()
    }
    while true {
      if let value = result.value.withLock({ $0 }) { return value }
      look(task)
      var poll = Poll(self)
      poll.wait(upTo: nil)
    }
  }
}

/// A value that another thread will set.
private final class Box<Value: Sendable>: Sendable {
  let value = Mutex<Value?>(nil)
}

/// Writes a byte. In a signal handler, too.
private func wakeByByte(_ number: Int32) {
  var byte: UInt8 = 0
  // A full pipe wakes as well.
  _ = unsafe write(number, &byte, 1)
}

// MARK: Waiting

/// The descriptors for which the main thread waits.
struct Poll {
  private var requests: [pollfd]
  private let loop: Loop

  init(_ loop: Loop) {
    self.loop = loop
    requests = [pollfd(fd: loop.reading.number, events: Int16(POLLIN), revents: 0)]
  }

  /// Adds a descriptor to read, and to write as well if asked to. Returns its place.
  mutating func add(_ descriptor: Descriptor, writes: Bool = false) -> Int {
    let events = Int16(POLLIN) | (writes ? Int16(POLLOUT) : 0)
    requests.append(pollfd(fd: descriptor.number, events: events, revents: 0))
    return requests.count - 1
  }

  /// Waits until any of them is ready, the loop is woken, or the time is up.
  ///
  /// - Parameter limit: The longest time to wait; nil for as long as it takes.
  mutating func wait(upTo limit: Duration?) {
    var milliseconds: Int32 = -1
    if let limit {
      let (seconds, attoseconds) = min(max(limit, .zero), .seconds(86_400)).components
      // Up, or else the thread would wake for nothing.
      let rest = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
      milliseconds = Int32(seconds * 1_000 + rest)
    }
    for index in requests.indices { requests[index].revents = 0 }
    let number = nfds_t(requests.count)
    let count = unsafe poll(&requests, number, milliseconds)
    if count < 0 {
      for index in requests.indices { requests[index].revents = 0 }
    }
    if requests[0].revents != 0 || count < 0 { loop.rest() }
  }

  /// Whether a descriptor can be read or written, or has failed, so that a call tells.
  func isReady(_ place: Int) -> Bool { requests[place].revents != 0 }
}

// MARK: Signals

/// Whether the system, or its operator, has asked the holder to end: by SIGTERM or SIGINT.
enum Shutdown {
  private static let requested = Atomic(false)
  private static let descriptor = Atomic<Int32>(-1)

  static var isRequested: Bool { requested.load(ordering: .acquiring) }

  /// Takes SIGTERM and SIGINT as requests from now on, and wakes a loop at each.
  ///
  /// - Parameter loop: A loop that is never released.
  static func notice(waking loop: Loop) {
    // Before the handler runs, which must not be the first to use the two.
    requested.store(false, ordering: .releasing)
    descriptor.store(loop.writing.number, ordering: .releasing)
    for number in [SIGTERM, SIGINT] {
      _ = signal(number) { _ in
        let code = errno
        Shutdown.requested.store(true, ordering: .releasing)
        wakeByByte(Shutdown.descriptor.load(ordering: .acquiring))
        errno = code
      }
    }
  }
}

/// Ignores the signals of connections and terminals that are gone.
func ignoreSignals() {
  for number in [SIGPIPE, SIGHUP] { _ = signal(number, SIG_IGN) }
}
