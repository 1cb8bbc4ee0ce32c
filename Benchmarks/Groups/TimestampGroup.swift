import BenchmarkContenders
import BenchmarkHarness
import OutputRing
import Processes

/// Rings and sessions with timestamps beside the same without.
func timestampCases() -> [Case] {
  let appends = Case(
    "timestamps", "append", size: 64, bytes: 64,
    targets: [
      "ring, timestamps": .over(["ring"], nanoseconds: 1.5),
      "producer, timestamps": .over(["producer"], nanoseconds: 1.5),
    ]
  ) {
    [false, true].flatMap { timestamps in
      let ring = RingProducer(timestamps: timestamps)
      let producer = SessionProducer(timestamps: timestamps)
      let suffix = timestamps ? ", timestamps" : ""
      return [
        filled("ring" + suffix, Payload(size: 64)) { payload, count in
          let writer = unsafe ring.writer
          unsafe payload.forEach(count) { unsafe writer.pointee.append($0) }
        },
        // Told the time, as an event loop tells it once a turn.
        filled("producer" + suffix, Payload(size: 64)) { payload, count in
          let producer = unsafe producer.producer
          let now = ActivityClock.system.now
          unsafe payload.forEach(count) {
            unsafe producer.pointee.append($0, to: .stdout, at: now)
          }
        },
      ]
    }
  }
  let everything = Case("timestamps", "everything", size: 64, bytes: Session.maxBufferBytes) {
    [false, true].map { timestamps in
      let ring = RingProducer(timestamps: timestamps)
      let chunk = [UInt8](repeating: 1, count: 64)
      for _ in 0..<Session.maxBufferBytes / chunk.count {
        unsafe ring.writer.pointee.append(chunk)
      }
      let reader = unsafe ring.writer.pointee.reader
      var batch = RingBatch(
        reservingBytes: Session.maxBufferBytes, chunks: Session.maxBufferedChunks,
        timestamps: timestamps)
      return Contender(timestamps ? "timestamps" : "none") { count in
        for _ in 0..<count {
          reader.read(into: &batch)
          consume(batch.count)
        }
      }
    }
  }
  return [appends, everything]
}

/// A contender that appends chunks to what is full already.
func filled(
  _ name: String, _ payload: Payload, _ append: @escaping (_ payload: Payload, _ count: Int) -> Void
) -> Contender {
  // Every page is touched before anything is measured.
  append(payload, 2 * Session.maxBufferBytes / payload.size)
  return Contender(name) { count in append(payload, count) }
}
