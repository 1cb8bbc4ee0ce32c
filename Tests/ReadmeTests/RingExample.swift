import OutputRing

func countNewlines(in reader: RingReader) -> (newlines: Int, unknownBytes: Int) {
  var (newlines, unknownBytes) = (0, 0)
  var cursor = RingCursor.start
  while let next = reader.peek(since: cursor) {
    if reader.lag(since: cursor).missedChunks > 0 { print("too late for some before \(next.seq)") }
    var count = 0
    let visit = unsafe reader.visit(since: cursor) { bytes, _ in
      count += unsafe bytes.count { $0 == UInt8(ascii: "\n") }
    }
    // The producer may have overwritten bytes while they were counted.
    if visit.isIntact { newlines += count } else { unknownBytes += visit.range.count }
    cursor = visit.cursor
  }
  return (newlines, unknownBytes)
}
