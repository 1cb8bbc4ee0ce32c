import Foundation
import OutputRing

/// Passes records from one thread to another through a ring.
///
/// The exit status is 0 if every record that arrived is intact, and received + missed = sent.
@main
struct RingBetweenThreads {
  static let recordCount = 1_000_000

  static func main() {
    let writer = RingWriter(RingLayout(capacity: 1 << 20))
    let reader = writer.reader
    // A ring has one writer, which cannot be copied: the thread takes it over.
    let handover = Handover(writer)
    Thread.detachNewThread {
      guard var writer = handover.take() else { return }
      write(to: &writer)
    }
    let (received, missed, damaged) = read(from: reader)
    print("\(recordCount) records: \(received) received, \(missed) missed, \(damaged) damaged")
    exit(received + missed == recordCount && damaged == 0 ? 0 : 1)
  }

  /// Appends all records. The writer never waits for the reader.
  static func write(to writer: inout RingWriter) {
    for number in 1...recordCount {
      withUnsafeBytes(of: UInt64(number)) { writer.append($0) }
    }
    // A reader that sees the status has had all that was appended before, or is told what it
    // missed.
    writer.status = 1
  }

  /// Reads until the writer has said that it is at the end.
  static func read(from reader: RingReader) -> (received: Int, missed: Int, damaged: Int) {
    var (received, missed, damaged) = (0, 0, 0)
    var batch = RingBatch(reservingBytes: 1 << 20, chunks: 1 << 16)
    var cursor = RingCursor.start
    repeat {
      reader.read(since: cursor, into: &batch)  // takes no lock and allocates nothing
      cursor = batch.cursor
      received += batch.count
      missed += batch.missedChunks
      for record in batch where !record.isIntact { damaged += 1 }
      if batch.isEmpty { Thread.sleep(forTimeInterval: 0.000_1) }
    } while batch.status == 0 || batch.hasMore
    return (received, missed, damaged)
  }
}

extension RingChunk {
  /// Whether the record holds its own number.
  var isIntact: Bool {
    data.withUnsafeBytes { $0.count == 8 && $0.loadUnaligned(as: UInt64.self) == UInt64(seq) }
  }
}
