public import OutputRing
public import Synchronization

/// What a session offers to its readers: reads, waits and state, of the output of one process.
///
/// A ``Session`` is one in the program that captures the output, a ``RecordedSession`` in any other
/// program. The class cannot be subclassed elsewhere.
public class SessionReader: @unchecked Sendable, Identifiable {
  /// The caller's name for the session; unique within a ``SessionManager``.
  public final let id: String
  /// The workspace that the session belongs to; the caller's to interpret.
  public final let workspaceID: String
  /// The most payload bytes this session retains behind its head.
  public final let capacity: Int

  /// The reader of the session's ring.
  public final let reader: RingReader

  /// Distinguishes this session's cursors from those of others.
  @usableFromInline final let epoch: UInt32
  /// Why there may be nothing to wait for, though the session is not closed.
  @usableFromInline final let endings = Atomic(ReadNotes())

  /// The bytes at the beginning of the output that are never evicted; 0 for none.
  ///
  /// The head holds the session's first chunks, as many as fit, and no part of a chunk. Output that
  /// is read from a process fills it to the last byte. Of many tiny chunks it holds one for each 16
  /// bytes, or 1,024 if it is small. A read from the start returns the head, then the gap
  /// (``Output/missedChunks`` and ``Output/missedBytes`` count it), then the newest output.
  public final var headCapacity: Int { reader.layout.headCapacity }

  /// Whether each chunk has a timestamp: ``Chunk/timestamp``.
  public final var hasTimestamps: Bool { reader.layout.hasTimestamps }

  /// When the session began by the wall clock, since the beginning of 1970 UTC.
  ///
  /// A chunk was appended at this time and its ``Chunk/timestamp``, unless the wall clock was set
  /// meanwhile, or the machine slept: the system's activity clock stands still then.
  public final let start: Duration
  /// How far ``start`` and a chunk's ``Chunk/timestamp`` together may be from when the chunk was
  /// appended, in either direction: the resolution of the session's ``ActivityClock``, and the time
  /// that reading the two clocks took.
  public final let startUncertainty: Duration

  /// The readers that wait. What producers load of it lies more than a cache line behind the
  /// object's reference count, which readers on other processors change.
  final let waiters = WaitList()

  init(
    id: String, workspaceID: String, reader: RingReader, epoch: UInt32, start: Duration,
    startUncertainty: Duration
  ) {
    self.id = id
    self.start = start
    self.startUncertainty = startUncertainty
    self.workspaceID = workspaceID
    self.reader = reader
    self.epoch = epoch
    capacity = reader.layout.capacity
  }

  /// Waits until there may be news past a cursor, the deadline has passed or the task is cancelled.
  ///
  /// This waits for what another program writes: unless something is to wake the task, it looks
  /// again and again.
  func wait(past cursor: Cursor, until deadline: ContinuousClock.Instant?) async {
    var interval = PollInterval()
    noteAbandonment()
    while !hasNews(past: cursor), !Task.isCancelled, let look = interval.next(until: deadline) {
      await sleepUntilWoken(past: cursor, until: deadline, unpromised: look)
      noteAbandonment()
    }
  }

  /// Waits as ``wait(past:until:)`` does, and blocks the calling thread.
  func block(past cursor: Cursor, until deadline: ContinuousClock.Instant?) {
    var interval = PollInterval()
    noteAbandonment()
    while !hasNews(past: cursor), let look = interval.next(until: deadline) {
      parkUntilWoken(past: cursor, until: deadline, unpromised: look)
      noteAbandonment()
    }
  }

  /// Asks for a waiter that is on the list to be woken when there may be news past its cursor.
  ///
  /// - Returns: Whether it will be. If not, the waiter must look again by itself, soon.
  func requestWakeup(past cursor: Cursor) -> Bool { false }

  /// Notes that the producer is gone, if it is and has not closed the session.
  func noteAbandonment() {}
}

/// What a session knows of a read that its ring does not, in a byte.
@usableFromInline
struct ReadNotes: OptionSet, Sendable, AtomicRepresentable {
  @usableFromInline let rawValue: UInt8

  @inlinable @inline(__always)
  init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The reader's cursor is of another session.
  @inlinable static var foreignCursor: ReadNotes { ReadNotes(rawValue: 1) }
  /// A manager dropped the session.
  @inlinable static var forgotten: ReadNotes { ReadNotes(rawValue: 2) }
  /// The program that recorded the session ended without closing it.
  @inlinable static var abandoned: ReadNotes { ReadNotes(rawValue: 4) }
}

/// How often to look for what another program writes: after a millisecond, then after twice as long
/// each time, up to 20 ms. A look costs nanoseconds, unlike a sleep.
struct PollInterval {
  private var length: Duration = .milliseconds(1)

  /// Returns when to look next; nil if the deadline has passed.
  mutating func next(until deadline: ContinuousClock.Instant?) -> ContinuousClock.Instant? {
    let now = ContinuousClock.now
    if let deadline, deadline <= now { return nil }
    let end = now + length
    length = min(length * 2, .milliseconds(20))
    return deadline.map { min($0, end) } ?? end
  }
}
