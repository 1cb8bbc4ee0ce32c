import BenchmarkContenders
import BenchmarkHarness
import CBenchmarkShims
import CRingShims
import Foundation
import Histogram
import OutputRing
import Processes
import Synchronization

/// One producer and readers on another processor.
func togetherCases() -> [Case] {
  var cases: [Case] = []
  for habit in [Habit.spinning, .polling] {
    for size in [64, 4_096] {
      for readers in [1, 2, 4] {
        cases.append(
          .measuring(
            "together", "\(habit.rawValue)-\(size)B", size: readers, bytes: size,
            // Throughput of at least 0.85 of the limit's.
            targets: habit == .spinning && readers == 1 ? ["ring": .timesLimit(1.18)] : [:]
          ) { measureTogether(habit, size: size, readers: readers, $0) })
      }
    }
  }
  for readers in [0, 1] {
    cases.append(
      .measuring("together", "append-latency-64B", size: readers) { plan in
        [appendLatency(readers: readers, plan)]
      })
  }
  return cases
}

/// What readers do when they have read what there is.
private enum Habit: String {
  case spinning, polling

  func wait() { if self == .polling { usleep(1_000) } }
}

/// What readers found, all together.
struct ReaderSums {
  var bytes = 0
  var missed = 0
  var torn = 0
  var unaccounted = 0

  static func + (left: ReaderSums, right: ReaderSums) -> ReaderSums {
    ReaderSums(
      bytes: left.bytes + right.bytes, missed: left.missed + right.missed,
      torn: left.torn + right.torn, unaccounted: left.unaccounted + right.unaccounted)
  }
}

/// Runs a body on threads of their own, on the second processor, and adds up what they return.
final class Readers: Sendable {
  private let sums = Mutex(ReaderSums())
  private let running: DispatchGroup
  let stop = Atomic<Bool>(false)

  init() { running = DispatchGroup() }

  func start(_ count: Int, _ body: @escaping @Sendable (Readers) -> ReaderSums) {
    for _ in 0..<count {
      running.enter()
      Thread.detachNewThread {
        _ = benchmark_pin(1)
        let found = body(self)
        self.sums.withLock { $0 = $0 + found }
        self.running.leave()
      }
    }
  }

  func finish() -> ReaderSums {
    stop.store(true, ordering: .releasing)
    running.wait()
    return sums.withLock { $0 }
  }
}

/// The limit and the ring in turn: what the producer takes for an append while readers read.
private func measureTogether(
  _ habit: Habit, size: Int, readers: Int, _ plan: Plan
) -> [ContenderResult] {
  Machine.pin(to: 0)
  let sample = min(30_000_000, max(4_000_000, plan.available / plan.rounds / 2))
  // The memory lives through all rounds, so that none of them pays for its first touch.
  let limit = SharedBuffer(capacity: Session.maxBufferBytes)
  let producer = RingProducer()
  let rounds: [() -> Round] = [
    { limitRound(limit, habit, size, readers, sample) },
    { ringRound(producer, habit, size, readers, sample) },
  ]
  for round in rounds { _ = round() }
  var times: [[Double]] = [[], []]
  var sums = [ReaderSums(), ReaderSums()]
  var elapsed = [0, 0]
  for _ in 0..<plan.rounds {
    for (index, round) in rounds.enumerated() {
      let result = round()
      times[index].append(Double(result.elapsed) / Double(result.appends))
      sums[index] = sums[index] + result.sums
      elapsed[index] += result.elapsed
    }
  }
  return [limitName, "ring"].enumerated().map { index, name in
    let found = sums[index]
    var metrics = [
      Metric("read", Double(found.bytes) * 1e9 / Double(elapsed[index]), .bytesPerSecond)
    ]
    if index == 1 {
      metrics += [
        Metric("missed", Double(found.missed) / Double(max(1, found.missed + found.bytes)), .share),
        Metric("torn", Double(found.torn), .count),
        Metric("unaccounted", Double(found.unaccounted), .count),
      ]
    }
    return ContenderResult(name: name, nanoseconds: times[index], metrics: metrics)
  }
}

private typealias Round = (elapsed: Int, appends: Int, sums: ReaderSums)

/// Appends stamped payloads of a size until the time is over; the body stores one.
private func produce(
  for sample: Int, size: Int, after lastSeq: Int, _ append: (UnsafeRawBufferPointer) -> Void
) -> (elapsed: Int, appends: Int) {
  let source = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 4_096)
  defer { unsafe source.deallocate() }
  unsafe source.initializeMemory(as: UInt8.self, repeating: 1)
  let start = Machine.nanoseconds()
  var seq = lastSeq
  while true {
    for _ in 0..<256 {
      seq += 1
      // Both ends carry the seq, so that a reader can tell a chunk that is half of another.
      unsafe source.storeBytes(of: seq, as: Int.self)
      unsafe source.storeBytes(of: seq, toByteOffset: size - 8, as: Int.self)
      unsafe append(UnsafeRawBufferPointer(source))
    }
    let elapsed = Machine.nanoseconds() - start
    if elapsed >= sample { return (elapsed, seq - lastSeq) }
  }
}

private func ringRound(
  _ producer: RingProducer, _ habit: Habit, _ size: Int, _ readers: Int,
  _ sample: Int
) -> Round {
  let writer = unsafe producer.writer
  let reader = unsafe writer.pointee.reader
  let start = reader.read(since: RingCursor(seq: .max)).cursor
  let crew = Readers()
  crew.start(readers) { crew in
    var sums = ReaderSums()
    var batch = RingBatch(
      reservingBytes: Session.maxBufferBytes, chunks: reader.layout.chunkLimit)
    var cursor = start
    while true {
      let isLast = crew.stop.load(ordering: .acquiring)
      reader.read(since: cursor, into: &batch)
      cursor = batch.cursor
      sums.bytes += batch.payload.count
      sums.missed += batch.missedBytes!
      // First and last chunk of each batch: looking at all would be most of what a reader does.
      for chunk in [batch.first, batch.last] {
        if let chunk, !hasStamp(chunk) { sums.torn += 1 }
      }
      if isLast, !batch.hasMore { break }
      habit.wait()
    }
    sums.unaccounted = reader.totalBytes - start.offset! - sums.bytes - sums.missed
    return sums
  }
  let produced = unsafe produce(for: sample, size: size, after: start.seq) { bytes in
    unsafe writer.pointee.append(bytes)
  }
  return (produced.elapsed, produced.appends, crew.finish())
}

private func hasStamp(_ chunk: RingChunk) -> Bool {
  unsafe chunk.data.withUnsafeBytes { bytes in
    unsafe bytes.loadUnaligned(as: Int.self) == chunk.seq
      && bytes.loadUnaligned(fromByteOffset: bytes.count - 8, as: Int.self) == chunk.seq
  }
}

/// The limit: the same copies with `memcpy`, and one shared counter, which says how much was
/// written but not whether what was read is still whole.
private func limitRound(
  _ ring: SharedBuffer, _ habit: Habit, _ size: Int, _ readers: Int, _ sample: Int
) -> Round {
  let capacity = Session.maxBufferBytes
  let start = ring.written
  let crew = Readers()
  crew.start(readers) { crew in
    var sums = ReaderSums()
    let destination = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 4_096)
    defer { unsafe destination.deallocate() }
    unsafe memset(destination, 0, capacity)
    var position = start
    while true {
      let isLast = crew.stop.load(ordering: .acquiring)
      let written = ring.written
      let from = max(position, written - capacity)
      unsafe ring.copy(from..<written, to: destination)
      sums.bytes += written - from
      if isLast { break }
      habit.wait()
      position = written
    }
    return sums
  }
  var end = start
  let produced = unsafe produce(for: sample, size: size, after: 0) { bytes in
    unsafe ring.store(bytes, at: end)
    end += bytes.count
    ring.publish(end)
  }
  return (produced.elapsed, produced.appends, crew.finish())
}

/// 1 MiB and a counter.
@safe
private final class SharedBuffer: @unchecked Sendable {
  private let bytes: UnsafeMutableRawPointer
  private let counter: UnsafeMutablePointer<UInt64>
  private let capacity: Int

  init(capacity: Int) {
    self.capacity = capacity
    unsafe bytes = .allocate(byteCount: capacity, alignment: 4_096)
    unsafe memset(bytes, 0, capacity)
    unsafe counter = .allocate(capacity: 32)
    unsafe counter.initialize(repeating: 0, count: 32)
  }

  deinit {
    unsafe bytes.deallocate()
    unsafe counter.deallocate()
  }

  var written: Int { unsafe Int(ring_load_acquire(counter)) }

  @inline(__always)
  func publish(_ end: Int) { unsafe ring_store_release(counter, UInt64(end)) }

  @inline(__always)
  func store(_ source: UnsafeRawBufferPointer, at offset: Int) {
    let place = offset % capacity
    let first = min(source.count, capacity - place)
    unsafe memcpy(bytes + place, source.baseAddress!, first)
    if first < source.count {
      unsafe memcpy(bytes, source.baseAddress! + first, source.count - first)
    }
  }

  func copy(_ range: Range<Int>, to destination: UnsafeMutableRawPointer) {
    let place = range.lowerBound % capacity
    let first = min(range.count, capacity - place)
    unsafe memcpy(destination, bytes + place, first)
    unsafe memcpy(destination + first, bytes, range.count - first)
  }
}

/// How long single appends take, clock included.
private func appendLatency(readers: Int, _ plan: Plan) -> ContenderResult {
  Machine.pin(to: 0)
  let session = Session(id: "s", workspaceID: "w")
  let crew = Readers()
  crew.start(readers) { crew in
    var output = Output(
      reservingBytes: Session.maxBufferBytes, chunks: Session.maxBufferedChunks)
    var cursor = Cursor.start
    while !crew.stop.load(ordering: .acquiring) {
      session.read(since: cursor, into: &output)
      cursor = output.cursor
    }
    return ReaderSums()
  }
  var histogram = Histogram<UInt64>(
    highestTrackableValue: 10_000_000_000, numberOfSignificantValueDigits: .three)
  let bytes = [UInt8](repeating: 1, count: 64)
  let start = Machine.nanoseconds()
  let end = start + min(plan.available, plan.sample * plan.rounds * 4)
  var before = start
  unsafe bytes.withUnsafeBytes { bytes in
    while before < end {
      unsafe session.append(bytes, to: .stdout)
      let after = Machine.nanoseconds()
      histogram.record(UInt64(max(1, after - before)))
      before = Machine.nanoseconds()
    }
  }
  _ = crew.finish()
  return ContenderResult(
    name: "session",
    metrics: [50, 99, 99.9].map { percentile in
      let name = percentile == 99.9 ? "p99.9" : "p\(Int(percentile))"
      return Metric(name, Double(histogram.valueAtPercentile(percentile)), .nanoseconds)
    } + [Metric("max", Double(histogram.maxRecorded), .nanoseconds)])
}
