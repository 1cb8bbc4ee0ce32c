package import Processes
import Synchronization

/// What a script runs on: a session, or a bare ring that is used like one.
///
/// One thread at a time may call what writes; any number may read.
package protocol Subject: AnyObject, Sendable {
  func append(_ bytes: UnsafeRawBufferPointer, isError: Bool)
  func append(contentsOf chunks: [[UInt8]], isError: Bool)
  @discardableResult
  func append(
    reserving count: Int, isError: Bool,
    filling fill: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> Int
  func setExit(_ code: Int32, closing: Bool)
  func close()
  func read(_ start: ReadStart, maxBytes: Int?, into memory: inout ReadMemory) -> Observed
  /// The session, with whose waits one can wait; nil of a bare ring.
  var session: Session? { get }
  var lostBytes: Int { get }
  var lastSeq: Int { get }
  var slotCount: Int { get }
}

/// A reader's own memory, which its reads fill again and again.
package struct ReadMemory {
  fileprivate var batch = RingBatch()
  fileprivate var output = Output()

  package init() {}
}

extension Geometry {
  package func makeSubject() -> any Subject {
    switch kind {
    case .ring: RingSubject(layout, isAttached: false)
    case .attached: RingSubject(layout, isAttached: true)
    case .session: SessionSubject(capacity, headCapacity, timestamps, SubjectClock())
    case .producer: ProducerSubject(capacity, headCapacity, timestamps, SubjectClock())
    }
  }

  /// The timestamp that a chunk must have.
  package func timestamp(_ seq: Int) -> Int64? { timestamps ? Stamp.timestamp(seq) : nil }
}

/// A clock that shows ``Stamp/time(_:)`` of the chunk that is appended.
package final class SubjectClock: Sendable {
  private let time = Atomic<Int64>(0)

  package init() {}

  package var activity: ActivityClock { ActivityClock { [self] in time.load(ordering: .relaxed) } }

  fileprivate func show(_ value: Int64) { time.store(value, ordering: .relaxed) }
}

// MARK: A session

package class SessionSubject: Subject, @unchecked Sendable {
  private let itself: Session
  private let clock: SubjectClock?

  package init(_ session: Session) {
    itself = session
    clock = nil
  }

  /// - Parameter clock: The session's clock.
  package init(_ session: Session, _ clock: SubjectClock) {
    itself = session
    self.clock = clock
  }

  fileprivate convenience init(
    _ capacity: Int, _ headCapacity: Int, _ timestamps: Bool, _ clock: SubjectClock
  ) {
    self.init(
      Session(
        id: "model", workspaceID: "tests", capacity: capacity, headCapacity: headCapacity,
        timestamps: timestamps, clock: clock.activity), clock)
  }

  /// Sets the clock, if it is ours, to what it shows when the next chunk is appended.
  fileprivate func setClock() { clock?.show(Stamp.time(itself.lastSeq + 1)) }

  package var session: Session? { itself }

  package func append(_ bytes: UnsafeRawBufferPointer, isError: Bool) {
    setClock()
    unsafe itself.append(bytes, to: isError ? .stderr : .stdout)
  }

  package func append(contentsOf chunks: [[UInt8]], isError: Bool) {
    setClock()
    itself.append(contentsOf: chunks, to: isError ? .stderr : .stdout)
  }

  package func append(
    reserving count: Int, isError: Bool,
    filling fill: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> Int {
    setClock()
    return try unsafe itself.append(
      reserving: count, to: isError ? .stderr : .stdout, initializingWith: fill)
  }

  package func setExit(_ code: Int32, closing: Bool) { itself.setExit(code, closing: closing) }
  package func close() { itself.close() }
  package var lostBytes: Int { itself.lostBytes }
  package var lastSeq: Int { itself.lastSeq }

  /// A session does not tell its ring's geometry; the same numbers give the same slots.
  package var slotCount: Int { Geometry.session(capacity: itself.capacity).layout.slotCount }

  package func read(
    _ start: ReadStart, maxBytes: Int?, into memory: inout ReadMemory
  ) -> Observed {
    itself.read(since: Cursor(start), maxBytes: maxBytes, into: &memory.output)
    return Observed(memory.output)
  }
}

extension Cursor {
  /// The cursor of no session, or of one that no test reads from, which knows of no exit.
  package init(_ start: ReadStart) {
    let place = Cursor(seq: start.seq, offset: start.offset)
    self = start.isForeign ? place.with(Self.foreign) : place
  }

  /// The same place with what another cursor knows besides.
  package func with(_ other: Cursor) -> Cursor {
    let parts = other.description.split(separator: ".", omittingEmptySubsequences: false)
    return Cursor("\(seq).\(offset ?? -1).\(parts[2]).\(parts[3])")!
  }

  private static let foreign = Session(id: "foreign", workspaceID: "tests", capacity: 1)
    .output().cursor
}

/// A session whose producer is exclusive.
package final class ProducerSubject: SessionSubject, @unchecked Sendable {
  // Only the one producer touches it.
  private var producer: Session.Producer

  package init(capacity: Int) {
    let producer = Session.Producer(id: "model", workspaceID: "tests", capacity: capacity)
    let session = producer.session
    self.producer = producer
    super.init(session)
  }

  fileprivate init(
    _ capacity: Int, _ headCapacity: Int, _ timestamps: Bool, _ clock: SubjectClock
  ) {
    let producer = Session.Producer(
      id: "model", workspaceID: "tests", capacity: capacity, headCapacity: headCapacity,
      timestamps: timestamps, clock: clock.activity)
    let session = producer.session
    self.producer = producer
    super.init(session, clock)
  }

  /// - Precondition: no producer of the session is exclusive yet, and the clock is the session's.
  package init(takingProducerOf session: Session, _ clock: SubjectClock) {
    producer = session.takeProducer()!
    super.init(session, clock)
  }

  package override func append(_ bytes: UnsafeRawBufferPointer, isError: Bool) {
    setClock()
    unsafe producer.append(bytes, to: isError ? .stderr : .stdout)
  }

  package override func append(contentsOf chunks: [[UInt8]], isError: Bool) {
    setClock()
    producer.append(contentsOf: chunks, to: isError ? .stderr : .stdout)
  }

  package override func append(
    reserving count: Int, isError: Bool,
    filling fill: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> Int {
    setClock()
    return try unsafe producer.append(
      reserving: count, to: isError ? .stderr : .stdout, initializingWith: fill)
  }

  package override func setExit(_ code: Int32, closing: Bool) {
    producer.setExit(code, closing: closing)
  }

  package override func close() { producer.close() }
}

// MARK: A ring

/// A ring, with exit and close kept in its status word.
package final class RingSubject: Subject, @unchecked Sendable {
  // Only the one producer touches it.
  private var writer: RingWriter
  private let reader: RingReader

  package init(_ layout: RingLayout, isAttached: Bool) {
    var attached: RingReader?
    writer = isAttached ? ScratchFile.makeRing(layout, attaching: &attached) : RingWriter(layout)
    reader = attached ?? writer.reader
  }

  package func append(_ bytes: UnsafeRawBufferPointer, isError: Bool) {
    writer.timestamp = Stamp.time(writer.lastSeq + 1)
    unsafe writer.append(bytes, tag: isError)
  }

  package func append(contentsOf chunks: [[UInt8]], isError: Bool) {
    writer.timestamp = Stamp.time(writer.lastSeq + 1)
    writer.append(contentsOf: chunks, tag: isError)
  }

  package func append(
    reserving count: Int, isError: Bool,
    filling fill: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) throws -> Int
  ) throws -> Int {
    writer.timestamp = Stamp.time(writer.lastSeq + 1)
    return try unsafe writer.append(reserving: count, tag: isError, initializingWith: fill)
  }

  package func setExit(_ code: Int32, closing: Bool) {
    writer.status = writer.status.exited(code, closing: closing)
  }

  package func close() { writer.status = writer.status.closed }
  package var lostBytes: Int { reader.lostBytes }
  package var lastSeq: Int { reader.lastSeq }
  package var slotCount: Int { reader.layout.slotCount }
  package var session: Session? { nil }

  package func read(
    _ start: ReadStart, maxBytes: Int?, into memory: inout ReadMemory
  ) -> Observed {
    reader.read(
      since: RingCursor(seq: start.seq, offset: start.offset), maxBytes: maxBytes,
      into: &memory.batch)
    return Observed(memory.batch)
  }
}
