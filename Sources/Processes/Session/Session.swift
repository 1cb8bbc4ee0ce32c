public import OutputRing
import Synchronization

/// The output of one process: appended by its producers, read by any number of readers, in bounded
/// memory and with exact accounting of what was lost.
///
/// Readers take no lock, and no producer waits for a reader. A reader that falls behind is told
/// exactly what it missed. A producer pays for waiting readers, which it wakes (see
/// ``append(_:to:)-(RawSpan,_)``), and for the transfer of cache lines to readers on other
/// processors. Several threads may append: they take turns, by a lock that no read ever takes.
/// Where one thread alone appends, an exclusive ``Producer`` does so without a lock.
///
/// ```swift
/// let session = Session(id: "build-7")
/// session.append("compiling…\n")
/// session.setExit(0)
///
/// let output = session.output()
/// for chunk in output.chunks { print(chunk.seq, chunk.stream, chunk.data) }
/// let later = session.output(since: output.cursor)
/// ```
public final class Session: SessionReader, @unchecked Sendable {
  /// The cap: a session retains at most 1 MiB of payload, unless it is made with another capacity.
  public static let maxBufferBytes = 1 << 20

  /// The most chunks that a session retains, whatever their size, so that many tiny ones are
  /// bounded in memory as well. The oldest beyond it are evicted and counted exactly like those
  /// beyond the cap. A session of more than 4 MiB retains more of them
  /// (`RingLayout.defaultChunkLimit(capacity:)`).
  public static let maxBufferedChunks = RingLayout.defaultChunkLimit(capacity: maxBufferBytes)

  // What producers write lies at least a cache line away from what readers read.
  private let padding: (UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64, UInt64)
  let producers: LockedState<SharedProducer>
  // Of most sessions, a sweep reads these two and nothing else.
  let activity: Atomic<Int64>
  /// The clock by which this session measures its activity.
  public let clock: ActivityClock
  /// When the session began by its clock, in nanoseconds: where timestamps count from.
  let startTime: Int64

  /// Creates a session without output.
  ///
  /// - Parameters:
  ///   - id: The caller's name for it; by default one that no other session has, of 32 random
  ///     hexadecimal digits.
  ///   - workspaceID: The workspace that it belongs to.
  ///   - capacity: The most payload bytes to retain.
  ///   - headCapacity: The bytes at the beginning of the output that are never evicted, besides
  ///     `capacity`; see ``SessionReader/headCapacity``.
  ///   - timestamps: Whether to keep when each chunk was appended: ``Chunk/timestamp``.
  ///   - clock: The clock for ``lastActivity`` and timestamps.
  /// - Precondition: `capacity` is from 1 to `RingLayout.maxCapacity` (1 GiB), `headCapacity` from
  ///   0 to that, and the system has memory for both; see
  ///   ``init(allocating:workspaceID:capacity:headCapacity:timestamps:clock:)``.
  /// - Complexity: O(1). An empty session occupies about one page of memory. A full one occupies at
  ///   most 1.7 MiB if it has the default capacity; a larger one at most 1.25 times its capacity
  ///   and 0.6 MiB. To that comes at most 1.5 times `headCapacity`, or 8 KiB more than that for a
  ///   small head. Timestamps occupy 8 bytes for each chunk retained, up to 512 KiB in a session of
  ///   the default capacity, and up to half of `headCapacity` more, or 8 KiB for a small head.
  public convenience init(
    id: String = uniqueID(), workspaceID: String = "", capacity: Int = Session.maxBufferBytes,
    headCapacity: Int = 0, timestamps: Bool = false, clock: ActivityClock = .system
  ) {
    let writer = RingWriter(
      Self.layout(capacity: capacity, headCapacity: headCapacity, timestamps: timestamps))
    let reader = writer.reader
    self.init(
      id: id, workspaceID: workspaceID, clock: clock, reader: reader,
      SharedProducer(writer: writer))
  }

  /// Creates a session without output, if the system has memory for it.
  ///
  /// - Parameters:
  ///   - id: The caller's name for it.
  ///   - workspaceID: The workspace that it belongs to.
  ///   - capacity: The most payload bytes to retain.
  ///   - headCapacity: The bytes at the beginning of the output that are never evicted, besides
  ///     `capacity`; see ``SessionReader/headCapacity``.
  ///   - timestamps: Whether to keep when each chunk was appended: ``Chunk/timestamp``.
  ///   - clock: The clock for ``lastActivity`` and timestamps.
  /// - Throws: `RingAllocationError` if there is no memory or no room for another mapping.
  /// - Precondition: `capacity` is from 1 to `RingLayout.maxCapacity` (1 GiB), `headCapacity` from
  ///   0 to that.
  /// - Complexity: O(1).
  public convenience init(
    allocating id: String, workspaceID: String = "", capacity: Int = Session.maxBufferBytes,
    headCapacity: Int = 0, timestamps: Bool = false, clock: ActivityClock = .system
  ) throws(RingAllocationError) {
    let writer = try RingWriter(
      allocating: Self.layout(
        capacity: capacity, headCapacity: headCapacity, timestamps: timestamps))
    let reader = writer.reader
    self.init(
      id: id, workspaceID: workspaceID, clock: clock, reader: reader,
      SharedProducer(writer: writer))
  }

  init(
    id: String, workspaceID: String, clock: ActivityClock, reader: RingReader,
    epoch: UInt32 = SessionEpoch.next(), start: SessionStart? = nil,
    _ producer: consuming SharedProducer
  ) {
    let start = start ?? SessionStart(by: clock)
    self.clock = clock
    startTime = start.time
    padding = (0, 0, 0, 0, 0, 0, 0, 0)
    producers = LockedState(producer)
    activity = Atomic(start.time)
    super.init(
      id: id, workspaceID: workspaceID, reader: reader, epoch: epoch, start: start.wallTime,
      startUncertainty: start.uncertainty)
  }

  override func wait(past cursor: Cursor, until deadline: ContinuousClock.Instant?) async {
    await sleepUntilWoken(
      past: cursor, until: deadline, unpromised: .now + .milliseconds(1))
  }

  override func block(past cursor: Cursor, until deadline: ContinuousClock.Instant?) {
    parkUntilWoken(past: cursor, until: deadline, unpromised: .now + .milliseconds(1))
  }

  override func requestWakeup(past cursor: Cursor) -> Bool { waiters.requestWakeup() }

  /// Returns 32 random hexadecimal digits, which no other session has as its id.
  @usableFromInline
  static func uniqueID() -> String {
    let digits = String(UInt128.random(in: 0 ... .max), radix: 16)
    return String(repeating: "0", count: 32 - digits.utf8.count) + digits
  }

  /// Returns the geometry of a session's ring.
  static func layout(capacity: Int, headCapacity: Int, timestamps: Bool) -> RingLayout {
    RingLayout(
      capacity: capacity, reservationLimit: reservationLimit(capacity: capacity),
      headCapacity: headCapacity, timestamps: timestamps)
  }

  /// Returns the most bytes that one direct read fills: what a pipe holds, or less for a session
  /// with a smaller capacity.
  static func reservationLimit(capacity: Int) -> Int { min(max(capacity, 4_096), 65_536) }
}

// MARK: Activity

extension Session {
  /// When the session was last active: created, appended to, given an exit status, registered with
  /// a manager, or told so by ``noteActivity()``.
  public var lastActivity: ActivityClock.Instant {
    ActivityClock.Instant(nanoseconds: activity.load(ordering: .relaxed))
  }

  /// How long ago ``lastActivity`` was.
  public var idleTime: Duration { lastActivity.duration(to: clock.now) }

  /// Returns whether the session has been idle for longer than a time, given the present by its own
  /// clock.
  ///
  /// A coarse clock may be behind by up to its resolution. The session counts as idle only if it is
  /// so in any case.
  @inline(__always)
  func isIdle(forMoreThan nanoseconds: Int64, at now: Int64) -> Bool {
    let idle = now &- activity.load(ordering: .relaxed)
    return idle.subtractingReportingOverflow(clock.resolution).partialValue > nanoseconds
  }

  /// Counts as activity without output, such as a request of a client that still watches.
  ///
  /// - Complexity: O(1).
  public func noteActivity() { noteActivity(at: now) }

  /// The present, as the session's clock has it.
  @usableFromInline
  var now: ActivityClock.Instant { clock.now }

  /// Returns the timestamp of what is appended at a moment of the session's clock: 0 or less if it
  /// is not after the start.
  @inline(__always)
  package func timestamp(at time: ActivityClock.Instant) -> Int64 { time.nanoseconds &- startTime }

  /// Raises ``lastActivity``, which never moves back, to a moment.
  ///
  /// The system's coarse clock stands still for milliseconds, so most calls only load.
  @inline(__always)
  func noteActivity(at time: ActivityClock.Instant) {
    if activity.load(ordering: .relaxed) < time.nanoseconds { raiseActivity(to: time) }
  }

  @inline(never)
  private func raiseActivity(to time: ActivityClock.Instant) {
    activity.max(time.nanoseconds, ordering: .relaxed)
    if isRecorded { noteActivityInFile() }
  }
}
