import Foundation
import ReferenceModel
import Synchronization
import Testing

@testable import Processes

/// Sessions whose chunks say when they were appended.
@Suite struct TimestampTests {
  /// A clock that shows what a test sets.
  private final class Clock: Sendable {
    private let nanoseconds = Atomic<Int64>(1 << 50)
    private let reads = Atomic(0)

    var activity: ActivityClock {
      ActivityClock { [self] in
        reads.add(1, ordering: .relaxed)
        return nanoseconds.load(ordering: .relaxed)
      }
    }

    /// Shows a time since the beginning.
    func show(_ time: Int64) { nanoseconds.store(1 << 50 + time, ordering: .relaxed) }

    /// Returns how often a closure has the clock read.
    func reads(during body: () throws -> Void) rethrows -> Int {
      let before = reads.load(ordering: .relaxed)
      try body()
      return reads.load(ordering: .relaxed) - before
    }
  }

  private let clock = Clock()

  private func times(_ output: Output) -> [Duration?] { output.chunks.map(\.timestamp) }

  @Test("[timestamps] a chunk says when it was appended, since the session's start")
  func shared() {
    let session = Session(capacity: 100, timestamps: true, clock: clock.activity)
    #expect(session.hasTimestamps)
    session.append("a")
    clock.show(5)
    session.append("b", to: .stderr)
    clock.show(7_000_000_000)
    unsafe session.append(reserving: 1, to: .stdout) { first, _ in
      unsafe first[0] = 1
      return 1
    }
    #expect(times(session.output()) == [.zero, .nanoseconds(5), .seconds(7)])
  }

  @Test("[timestamps] likewise with a producer of its own, which may give the time")
  func exclusive() {
    var producer = Session.Producer(capacity: 100, timestamps: true, clock: clock.activity)
    let start = producer.session.lastActivity
    clock.show(5)
    producer.append("a")
    producer.append("b", at: start.advanced(by: .nanoseconds(8)))
    clock.show(9)
    producer.append(reserving: 1, to: .stdout) { span in span.append(1) }
    producer.append(reserving: 1, to: .stdout, at: start.advanced(by: .seconds(1))) { span in
      span.append(1)
    }
    #expect(
      times(producer.session.output()) == [5, 8, 9, 1_000_000_000].map { .nanoseconds($0) })
  }

  @Test("[timestamps] without them, a chunk has none")
  func none() {
    let session = Session(capacity: 100, clock: clock.activity)
    #expect(!session.hasTimestamps)
    session.append("a")
    #expect(times(session.output()) == [nil])
  }

  @Test("[timestamps] never less than that of the chunk before, nor than 0, whatever the clock")
  func neverBack() {
    let session = Session(capacity: 100, timestamps: true, clock: clock.activity)
    for time: Int64 in [-9, 5, 3, -1 << 60, 6] {
      clock.show(time)
      session.append("a")
    }
    #expect(times(session.output()) == [0, 5, 5, 5, 6].map { .nanoseconds($0) })
  }

  @Test("[timestamps] kept with the head, and read by limited and later reads")
  func head() {
    let session = Session(
      capacity: 4, headCapacity: 3, timestamps: true, clock: clock.activity)
    for time in 1...20 as ClosedRange<Int64> {
      clock.show(time)
      session.append("a")
    }
    #expect(times(session.output()) == [1, 2, 3, 17, 18, 19, 20].map { .nanoseconds($0) })
    #expect(times(session.output(maxBytes: 2)) == [1, 2].map { .nanoseconds($0) })
    #expect(times(session.output(since: 2)) == [3, 17, 18, 19, 20].map { .nanoseconds($0) })
    #expect(times(session.tail(bytes: 2)) == [19, 20].map { .nanoseconds($0) })
  }

  @Test("[timestamps] the clock is read once for each append, as it is without them")
  func oneRead() {
    for timestamps in [false, true] {
      let session = Session(capacity: 100, timestamps: timestamps, clock: clock.activity)
      #expect(clock.reads { session.append("a") } == 1)
      #expect(
        clock.reads {
          session.append(reserving: 1, to: .stdout) { span in span.append(1) }
        } == 1)
    }
  }

  @Test("[timestamps] the start is the wall clock's, and how sure that is depends on the clock")
  func start() {
    let before = RecordingInfo.wallClock
    let session = Session(capacity: 1, timestamps: true)
    let after = RecordingInfo.wallClock
    #expect(before <= session.start)
    #expect(session.start <= after)
    #expect(session.startUncertainty >= .nanoseconds(session.clock.resolution))
    #expect(session.startUncertainty > .zero)
    let exact = Session(capacity: 1, clock: clock.activity)
    #expect(exact.startUncertainty <= RecordingInfo.wallClock - before)
    #expect(exact.startUncertainty >= .zero)
  }

  @Test("[chunk-json] a chunk with a timestamp has no more fields than one without")
  func json() throws {
    let session = Session(capacity: 100, timestamps: true)
    session.append("a")
    let json = try JSONEncoder().encode(session.output().chunks[0])
    let fields = try JSONSerialization.jsonObject(with: json) as? [String: Any]
    #expect(fields?.keys.sorted() == ["seq", "stream"])
  }

  @Test("[recording-timestamps] another program reads the same timestamps, and the start")
  func recording() throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/a"
    let session = try Session(
      recordingTo: path, capacity: 4, headCapacity: 2, timestamps: true, clock: clock.activity)
    for time in 1...9 as ClosedRange<Int64> {
      clock.show(time)
      session.append("a")
    }
    let recorded = try RecordedSession(at: path)
    #expect(recorded.hasTimestamps)
    #expect(times(recorded.output()) == [1, 2, 6, 7, 8, 9].map { .nanoseconds($0) })
    #expect(recorded.start == session.start)
    #expect(recorded.startUncertainty == session.startUncertainty)
    #expect(recorded.info.start == session.start)
    #expect(recorded.info.startUncertainty == session.startUncertainty)
  }

  @Test("[recording-timestamps] a recording without them says so")
  func recordingWithout() throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/a"
    var producer = try Session.Producer(recordingTo: path, capacity: 4)
    producer.append("a")
    let recorded = try RecordedSession(at: path)
    #expect(!recorded.hasTimestamps)
    #expect(times(recorded.output()) == [nil])
    #expect(recorded.start == producer.session.start)
  }

  @Test("[recording-timestamps] a recording's producer keeps them as well")
  func recordingProducer() throws {
    let directory = TemporaryDirectory()
    let path = directory.path + "/a"
    var producer = try Session.Producer(
      recordingTo: path, capacity: 4, timestamps: true, clock: clock.activity)
    clock.show(3)
    producer.append("a")
    #expect(times(try RecordedSession(at: path).output()) == [.nanoseconds(3)])
  }

  @Test("A recording's words that are no number are an uncertainty of zero")
  func senseless() {
    #expect(RecordingInfo(decoding: Array("uncertainty=x\0".utf8)).startUncertainty == .zero)
    #expect(
      RecordingInfo(decoding: Array("uncertainty=7\0".utf8)).startUncertainty == .nanoseconds(7))
  }
}
