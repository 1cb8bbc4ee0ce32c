import BenchmarkContenders
import BenchmarkHarness
import Foundation
import OutputRing
import ProcessHost
import Processes

/// Rings in files beside rings in memory, and readers of other programs.
func recordCases() -> [Case] {
  let appends = [64, 4_096, 65_536].map { size in
    Case(
      "record", "append", size: size, bytes: size,
      targets: Dictionary(uniqueKeysWithValues: Directory.all.map { ($0.name, .timesLimit(1.02)) })
    ) {
      let rings = [(limitName, RingProducer())] + Directory.all.map { ($0.name, $0.ring()) }
      return rings.map { name, ring in
        let payload = Payload(size: size)
        func append(_ count: Int) {
          let writer = unsafe ring.writer
          unsafe payload.forEach(count) { unsafe writer.pointee.append($0) }
        }
        // Every page is touched before anything is measured.
        append(2 * Session.maxBufferBytes / size)
        return Contender(name) { count in append(count) }
      }
    }
  }
  let polls = Case("record", "nothing-new", size: 64, targets: ["attached": .nanoseconds(20)]) {
    let (own, attached) = full(64)
    let cursor = own.read().cursor
    return [("own", own), ("attached", attached)].map { name, reader in
      Contender(name) { count in
        for _ in 0..<count { consume(reader.read(since: cursor).lastSeq) }
      }
    }
  }
  let everything = [64, 4_096].map { size in
    Case("record", "everything", size: size, bytes: Session.maxBufferBytes) {
      let memory = RingProducer()
      fill(memory, size)
      let (own, attached) = full(size)
      let readers = unsafe [
        (limitName, memory.writer.pointee.reader), ("own", own), ("attached", attached),
      ]
      return readers.map { name, reader in
        var batch = RingBatch(
          reservingBytes: Session.maxBufferBytes, chunks: Session.maxBufferedChunks)
        return Contender(name) { count in
          for _ in 0..<count {
            reader.read(into: &batch)
            consume(batch.count)
          }
        }
      }
    }
  }
  let creations = [0, 1 << 20].map { bytes in
    Case("record", bytes == 0 ? "create" : "first-mib", size: 1) {
      let chunk = [UInt8](repeating: 1, count: 4_096)
      func use(_ ring: RingProducer) {
        for _ in 0..<bytes / chunk.count { unsafe ring.writer.pointee.append(chunk) }
        consume(ring)
      }
      return [Contender("memory") { count in for _ in 0..<count { use(RingProducer()) } }]
        + Directory.all.map { directory in
          Contender(directory.name) { count in for _ in 0..<count { use(directory.ring()) } }
        }
    }
  }
  let following = Case.measuring("record", "follow", size: 8) { plan in
    // A child pauses for 5 ms between two stamps: a follower looks ever more rarely meanwhile.
    let child = StampingChild(
      stamps: min(400, max(40, plan.available / 2 / 6_000_000)), pause: 5_000_000)
    return [
      delays("own", follow(child, attached: false)),
      delays("attached", follow(child, attached: true)),
    ]
  }
  return appends + [polls] + everything + creations + [following]
}

/// Where the files of rings are: on a disk, and in memory where the system has such a place.
private struct Directory {
  let name: String
  let path: String

  static let all = [
    Directory(name: "disk", path: NSTemporaryDirectory()),
    Directory(name: "tmpfs", path: "/dev/shm"),
  ].filter { FileManager.default.isWritableFile(atPath: $0.path) }

  func ring() -> RingProducer {
    do {
      return try RingProducer(recordingIn: path)
    } catch {
      fatalError("\(error)")
    }
  }
}

private func fill(_ ring: RingProducer, _ size: Int) {
  unsafe Payload(size: size).forEach(Session.maxBufferBytes * 3 / 2 / size) { bytes in
    unsafe ring.writer.pointee.append(bytes)
  }
}

/// A full ring in a file, as its producer reads it and as other programs do.
private func full(_ size: Int) -> (own: RingReader, attached: RingReader) {
  let ring = Directory.all[0].ring()
  fill(ring, size)
  return (unsafe ring.writer.pointee.reader, ring.attached!)
}

/// How long after it was written a child's output is read, in its session or in the session's file.
private func follow(_ child: StampingChild, attached: Bool) -> Delays {
  let path = Directory.all[0].path + "/benchmark-\(UInt64.random(in: 0 ... .max)).ring"
  defer { unsafe _ = unlink(path) }
  do {
    let session = try Session(recordingTo: path)
    let reader: SessionReader = attached ? try RecordedSession(at: path) : session
    return withChild(child, into: session) {
      var delays = makeDelays()
      for await output in reader.outputs() {
        unsafe output.chunks.payload.withUnsafeBytes { unsafe delays.record($0) }
      }
      return delays
    }
  } catch {
    fatalError("\(error)")
  }
}
