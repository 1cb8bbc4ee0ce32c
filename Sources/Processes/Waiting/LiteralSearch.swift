import CRingShims
import OutputRing

/// Searches what reads return for bytes, in each stream on its own.
///
/// Between two reads, and where the other stream interrupts, it keeps no bytes: only how many bytes
/// of the pattern the stream ends with, and where they lie. Within a run of one stream's bytes, the
/// C library searches; around the ends of runs, the automaton of Knuth, Morris and Pratt takes up
/// to as many steps as the pattern has bytes. So the whole is linear in what is searched.
package struct LiteralSearch: Sendable {
  private let pattern: [UInt8]
  /// For each number of bytes that match, how many still do if the next byte does not.
  private let fallbacks: [Int]
  private let stream: StandardStream?

  private var carries = PerStream(Carry())
  private var beginnings = PerStream(0)
  private var hasBegun = false
  /// What was missed since the first read.
  private(set) var allMissed = Missed()
  private var epoch: UInt32 = 0

  /// The bytes at a stream's end with which the pattern begins.
  private struct Carry: Sendable {
    var count = 0
    /// Where they lie: pieces of chunks, in order.
    var pieces: [(start: Place, count: Int)] = []

    /// Drops the first bytes until so many are left.
    mutating func keepLast(_ kept: Int) {
      var surplus = count - kept
      var dropped = 0
      while surplus > 0 {
        if pieces[dropped].count > surplus {
          pieces[dropped].count -= surplus
          pieces[dropped].start.offset += surplus
          break
        }
        surplus -= pieces[dropped].count
        dropped += 1
      }
      pieces.removeFirst(dropped)
      count = kept
    }
  }

  package struct Match: Sendable {
    package let range: Range<Int>
    /// Where the search goes on, in each stream.
    package let cursor: Cursor
  }

  /// - Precondition: the pattern is not empty.
  package init(_ pattern: [UInt8], of stream: StandardStream?) {
    precondition(!pattern.isEmpty, "a pattern to wait for must have at least one byte")
    self.pattern = pattern
    self.stream = stream
    var fallbacks = [0, 0]
    var matching = 0
    for byte in pattern.dropFirst() {
      while matching > 0, pattern[matching] != byte { matching = fallbacks[matching] }
      if pattern[matching] == byte { matching += 1 }
      fallbacks.append(matching)
    }
    self.fallbacks = fallbacks
  }

  /// Searches what a read returned.
  ///
  /// - Returns: The match that ends first, if there is one.
  package mutating func search(
    _ output: Output, since cursor: Cursor, of session: SessionReader
  ) -> Match? {
    epoch = output.epoch
    var missed = Missed(output)
    if !hasBegun, !output.chunks.isEmpty || !missed.isNothing {
      hasBegun = true
      let beginning = Beginning(cursor, output, totalBytes: session.totalBytes)
      missed = beginning.missedUnseen
      beginnings = beginning.offsets
    }
    allMissed += missed
    // A match does not span what was missed.
    if !missed.isNothing { carries = PerStream(Carry()) }
    let chunks = output.chunks
    let payload = chunks.payload
    var index = 0
    while index < chunks.count {
      let next = chunks.batch.endOfRun(at: index)
      let stream = StandardStream(tag: chunks.batch.tag(at: index))
      if self.stream == nil || self.stream == stream {
        let run = Run(
          stream: stream, offset: max(chunks.batch.offset(at: index), beginnings[stream]),
          end: chunks.batch.offset(at: next), base: chunks.batch.offset(at: 0),
          chunks: index..<next)
        if run.offset < run.end, let match = search(run, of: chunks, payload) { return match }
      }
      index = next
    }
    return nil
  }

  /// Passes over output that cannot be part of a match, and searches it where it lies in the ring:
  /// what is not copied is searched at the speed of the C library.
  ///
  /// It stops before output in which a match ends, before a gap, and before output that the
  /// producer may have overwritten meanwhile. A read and ``search(_:since:of:)`` go on from there.
  /// They also come first.
  ///
  /// - Parameters:
  ///   - cursor: Where the last read ended. It moves behind what is passed over.
  ///   - maxWork: About how much to pass over at most, in bytes; each chunk counts as 16 more.
  /// - Returns: How much was passed over, likewise.
  mutating func skip(past cursor: inout Cursor, maxWork: Int, of session: SessionReader) -> Int {
    guard hasBegun, !Self.isRaceReported else { return 0 }
    var work = 0
    while work < maxWork {
      var run = StandardStream.stdout
      var isFound = false
      var matching: Int?
      let visit = unsafe session.reader.visitRun(
        since: cursor.position, maxBytes: Self.longestRun
      ) { bytes, tag in
        // There are two pieces where the payload storage wraps.
        run = StandardStream(tag: tag)
        let result = unsafe search(bytes, behind: matching ?? carries[run].count)
        isFound = isFound || result.found != nil
        matching = result.matching
      }
      guard let matching, visit.isIntact, !visit.isDamaged, visit.missedChunks == 0,
        visit.missedBytes == 0
      else { break }
      if stream == nil || stream == run {
        guard !isFound, carry(matching, behind: visit, of: run, in: session) else { break }
      }
      work += visit.range.count + 16 * (visit.cursor.seq - cursor.seq)
      cursor = Cursor(visit.cursor, status: cursor.status, epoch: cursor.epoch)
      // Where the streams alternate, a read takes many runs at once.
      if visit.range.count < Self.leastRun { break }
    }
    return work
  }

  /// Whether ThreadSanitizer would report a search of bytes that the producer overwrites.
  static let isRaceReported = ring_thread_sanitizer_is_present()
  /// The longest run that is searched at once, in bytes. The start of a longer search costs less of
  /// its time; but the producer overwrites what it takes long to search.
  static var longestRun: Int { 1 << 19 }
  /// The shortest run after which it pays to look for another, in bytes.
  private static var leastRun: Int { 4_096 }

  /// Keeps where the last bytes of a run lie, with which a match may begin.
  ///
  /// - Returns: Whether they all lie in the run's last chunk; if not, a read must find their
  ///   chunks.
  private mutating func carry(
    _ count: Int, behind visit: RingVisit, of stream: StandardStream, in session: SessionReader
  ) -> Bool {
    var carry = Carry()
    if count > 0 {
      let (seq, end) = (visit.cursor.seq, visit.range.upperBound)
      guard visit.range.lowerBound >= beginnings[stream],
        let last = session.reader.peek(since: RingCursor(seq: seq - 1)), last.seq == seq,
        end - count >= last.offset
      else { return false }
      carry.count = count
      carry.pieces = [(Place(seq: seq - 1, offset: end - count), count)]
    }
    carries[stream] = carry
    return true
  }

  /// Returns where to go on in each stream, if the last read ended at a place: where a match with
  /// what is still to come may begin.
  func cursor(from end: Place) -> Cursor {
    var places = PerStream(end)
    if let first = carries.stdout.pieces.first { places.stdout = first.start }
    if let first = carries.stderr.pieces.first { places.stderr = first.start }
    return Cursor(places, epoch: epoch)
  }
}

// MARK: Runs

extension LiteralSearch {
  /// Bytes of one stream that follow each other.
  private struct Run {
    var stream: StandardStream
    /// Where they begin in the session's output.
    var offset: Int
    var end: Int
    /// The offset of the payload's first byte.
    var base: Int
    /// The indices of their chunks.
    var chunks: Range<Int>
  }

  private mutating func search(_ run: Run, of chunks: Chunks, _ payload: ChunkBytes) -> Match? {
    let carried = carries[run.stream].count
    let (found, matching) = unsafe payload.withUnsafeBytes { bytes in
      let bytes = unsafe UnsafeRawBufferPointer(
        rebasing: bytes[run.offset - run.base..<run.end - run.base])
      return unsafe search(bytes, behind: carried)
    }
    guard let found else {
      carry(matching, of: run, of: chunks)
      return nil
    }
    // Counted from the run's first byte; negative for one that was carried.
    let start: Int
    if found >= pattern.count {
      start = run.offset + found - pattern.count
    } else {
      carries[run.stream].keepLast(pattern.count - found)
      start = carries[run.stream].pieces[0].start.offset
    }
    let end = run.offset + found
    carries[run.stream] = Carry()
    return Match(range: start..<end, cursor: cursor(behind: end, in: run, of: chunks))
  }

  /// Searches a run of which the stream's last bytes before it match the pattern's first.
  ///
  /// - Returns: How many bytes there are up to the end of the first match; if there is none, how
  ///   many bytes at the end match the pattern's first.
  private func search(
    _ bytes: UnsafeRawBufferPointer, behind carried: Int
  ) -> (found: Int?, matching: Int) {
    var matching = carried
    var position = 0
    // Until what matches lies within the run.
    while matching > position {
      if position == bytes.count { return (nil, matching) }
      unsafe step(&matching, bytes[position])
      position += 1
      if matching == pattern.count { return (position, 0) }
    }
    let from = position - matching
    let found: Int? = unsafe pattern.withUnsafeBytes { pattern in
      guard
        let found = unsafe ring_find(
          bytes.baseAddress! + from, bytes.count - from, pattern.baseAddress!, pattern.count)
      else { return nil }
      return unsafe found - bytes.baseAddress! + pattern.count
    }
    if let found { return (found, 0) }
    matching = 0
    for index in max(from, bytes.count - pattern.count + 1)..<bytes.count {
      unsafe step(&matching, bytes[index])
    }
    return (nil, matching)
  }

  @inline(__always)
  private func step(_ matching: inout Int, _ byte: UInt8) {
    while matching > 0, pattern[matching] != byte { matching = fallbacks[matching] }
    if pattern[matching] == byte { matching += 1 }
  }

  /// Keeps where the last bytes of a stream lie, which may be older than the run.
  private mutating func carry(_ count: Int, of run: Run, of chunks: Chunks) {
    if count == 0 {
      if carries[run.stream].count > 0 { carries[run.stream] = Carry() }
      return
    }
    var pieces: [(start: Place, count: Int)] = []
    var end = run.end
    for index in run.chunks.reversed() {
      let start = max(chunks.batch.offset(at: index), run.end - count, run.offset)
      pieces.append((Place(seq: chunks.batch.seq(at: index) - 1, offset: start), end - start))
      end = start
      if end == max(run.end - count, run.offset) { break }
    }
    carries[run.stream].pieces += pieces.reversed()
    carries[run.stream].count += run.end - end
    carries[run.stream].keepLast(count)
  }

  /// Returns where to go on in each stream behind a match that ends in a run: in the other one
  /// where a match of its own may have begun.
  private func cursor(behind end: Int, in run: Run, of chunks: Chunks) -> Cursor {
    var last = run.chunks.lowerBound
    while chunks.batch.offset(at: last + 1) < end { last += 1 }
    let isChunkDone = chunks.batch.offset(at: last + 1) == end
    let seq = chunks.batch.seq(at: last)
    let here = Place(seq: isChunkDone ? seq : seq - 1, offset: end)
    var places = PerStream(here)
    if stream == nil {
      let other = run.stream.other
      if let first = carries[other].pieces.first { places[other] = first.start }
      places[other].offset = max(places[other].offset, beginnings[other])
    }
    return Cursor(places, epoch: epoch)
  }
}
