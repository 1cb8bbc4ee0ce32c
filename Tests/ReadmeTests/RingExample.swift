import OutputRing

func countNewlines(in reader: RingReader) -> (newlines: Int, unknownBytes: Int) {
  if let next = reader.peek() { print("begins with \(next.count) bytes of chunk \(next.seq)") }
  print("\(reader.lag().chunks) chunks to read, \(reader.lag().missedChunks) of them lost")
  var (newlines, unknownBytes) = (0, 0)
  var visit: RingVisit
  var cursor = RingCursor.start
  repeat {
    var count = 0
    visit = unsafe reader.visit(since: cursor) { bytes, _ in
      count += unsafe bytes.count { $0 == UInt8(ascii: "\n") }
    }
    unknownBytes += visit.missedBytes ?? 0
    // The producer may have overwritten bytes while they were counted.
    if visit.isIntact { newlines += count } else { unknownBytes += visit.range.count }
    cursor = visit.cursor
  } while visit.hasMore
  return (newlines, unknownBytes)
}
