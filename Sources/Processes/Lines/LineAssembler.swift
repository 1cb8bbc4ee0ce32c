import OutputRing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Splits what reads return into lines.
///
/// ```swift
/// assembler.take(output, since: cursor, of: session)
/// while let line = assembler.next() { … }
/// ```
///
/// It holds at most one read and, for each stream, the bytes of one line.
package struct LineAssembler: Sendable {
  /// The only stream of which lines are wanted; nil for both.
  private let stream: StandardStream?
  private let maxLength: Int

  private var pending = PerStream(PendingLine())
  /// The offset before which the bytes of a stream belong to lines that were returned earlier.
  private var beginnings = PerStream(0)
  private var hasBegun = false
  /// What was missed since the last line was returned.
  private var missed = Missed()
  /// What was missed since the first read.
  private(set) var allMissed = Missed()
  private var epoch: UInt32 = 0

  // The read that is being split.
  private var chunks = Output().chunks
  private var payload = Output().chunks.payload
  /// The offset of the payload's first byte.
  private var base = 0
  private var isLast = false
  /// Where the read ended.
  private var end = Place(seq: 0, offset: 0)

  // The chunk that is being split, and the index in the payload up to which it has been.
  private var index = 0
  private var chunkSeq = 0
  private var chunkStream = StandardStream.stdout
  private var chunkEnd = 0
  private var position = 0

  /// Lines that a loss or the end of the output ended, in order.
  private var cut: ArraySlice<Line> = []

  /// - Precondition: a character of four bytes is within `maxLength`.
  package init(of stream: StandardStream?, maxLength: Int) {
    precondition(maxLength >= 4, "the limit on a line, \(maxLength), must be 4 bytes or more")
    self.stream = stream
    // So that sums with it do not overflow.
    self.maxLength = min(maxLength, 1 << 60)
  }

  /// Takes what the next read returned, once ``next()`` has returned nil.
  ///
  /// - Parameter cursor: What the read began with.
  package mutating func take(_ output: Output, since cursor: Cursor, of session: SessionReader) {
    epoch = output.epoch
    isLast = output.isComplete
    var found = Missed(output)
    if !hasBegun, !output.chunks.isEmpty || !found.isNothing {
      hasBegun = true
      let beginning = Beginning(cursor, output, totalBytes: session.totalBytes)
      found = beginning.missed
      beginnings = beginning.offsets
      pending.stdout.isContinuation = beginning.continues.stdout
      pending.stderr.isContinuation = beginning.continues.stderr
    }
    if !found.isNothing {
      endPending(.loss)
      noteEarlierOutput()
      missed += found
      allMissed += found
    }
    chunks = output.chunks
    payload = chunks.payload
    end = Place(seq: output.cursor.seq, offset: output.cursor.offset ?? 0)
    index = 0
    position = 0
    if let first = chunks.first {
      base = first.offset
      enterChunk()
    }
  }

  /// Says that output which was not read lies before what comes next: the first line of either
  /// stream may lack its beginning.
  mutating func noteEarlierOutput() {
    pending.stdout.followsLoss = true
    pending.stderr.followsLoss = true
  }

  /// Returns the next line of what was taken, or nil if there is none.
  package mutating func next() -> Line? {
    if let line = cut.popFirst() { return line }
    while index < chunks.count {
      if stream == nil || stream == chunkStream, let line = scan() { return line }
      index += 1
      position = chunkEnd
      if index < chunks.count { enterChunk() }
    }
    release()
    if isLast { endOutput() }
    return cut.popFirst()
  }

  /// Ends the lines that are pending, though the output may go on.
  package mutating func finish() -> [Line] {
    endPending(.end)
    defer { cut = [] }
    return Array(cut)
  }

  private mutating func enterChunk() {
    chunkSeq = chunks.batch.seq(at: index)
    chunkStream = StandardStream(tag: chunks.batch.tag(at: index))
    chunkEnd = chunks.batch.offset(at: index + 1) - base
  }

  /// Lets the read's memory go.
  private mutating func release() {
    guard !chunks.isEmpty else { return }
    for stream in StandardStream.allCases { gather(stream) }
    let none = Output()
    chunks = none.chunks
    payload = chunks.payload
    index = 0
  }
}

// MARK: Splitting

extension LineAssembler {
  /// Returns the next line of this chunk's stream, if it ends in this chunk.
  private mutating func scan() -> Line? {
    let stream = chunkStream
    position = max(position, min(beginnings[stream] - base, chunkEnd))
    guard position < chunkEnd else { return nil }
    if !pending[stream].slice.isEmpty, pending[stream].slice.upperBound != position {
      gather(stream)
    }
    // As far as the first byte beyond the limit: if that is no newline, the line is too long.
    let room = maxLength - pending[stream].count
    let newline = newline(in: position..<min(chunkEnd, position + room + 1))
    if let newline, pending[stream].isEmpty {
      // Most lines lie within a chunk.
      let start = position
      position = newline + 1
      return emit(
        stream, ChunkBytes(rebasing: payload[start..<newline]), base + start..<base + newline,
        .newline)
    }
    let end = newline ?? min(chunkEnd, position + room)
    if end > position {
      if pending[stream].isEmpty {
        pending[stream].first = chunks.place(base + position, in: index)
      }
      let start = pending[stream].slice.isEmpty ? position : pending[stream].slice.lowerBound
      pending[stream].slice = start..<end
      position = end
    }
    if newline != nil {
      position += 1
      return line(of: stream, .newline)
    }
    return position < chunkEnd ? part(of: stream) : nil
  }

  private func newline(in range: Range<Int>) -> Int? {
    unsafe payload.withUnsafeBytes { bytes in
      let start = unsafe bytes.baseAddress! + range.lowerBound
      guard let found = unsafe memchr(start, 0x0a, range.count) else { return nil }
      return unsafe range.lowerBound + (UnsafeRawPointer(found) - start)
    }
  }

  /// Returns the first part of a line that is longer than the limit.
  private mutating func part(of stream: StandardStream) -> Line {
    let length = pending[stream].partLength(before: payload[position], in: payload)
    let rest = pending[stream].count - length
    let start = pending[stream].first.offset
    let (bytes, end): (ChunkBytes, Int)
    if pending[stream].gathered.isEmpty {
      let slice = pending[stream].slice
      let cut = slice.upperBound - rest
      (bytes, end) = (ChunkBytes(rebasing: payload[slice.lowerBound..<cut]), base + cut)
      pending[stream].slice = cut..<slice.upperBound
      if rest > 0 { pending[stream].first = chunks.place(base + cut, in: index) }
    } else {
      gather(stream)
      (bytes, end) = pending[stream].takeGathered(keeping: rest)
    }
    return emit(stream, bytes, start..<end, .limit)
  }

  /// Returns the pending line of a stream.
  private mutating func line(of stream: StandardStream, _ ending: Line.Ending) -> Line {
    let first = pending[stream].first.offset
    if pending[stream].gathered.isEmpty {
      let slice = pending[stream].slice
      pending[stream].slice = 0..<0
      return emit(
        stream, ChunkBytes(rebasing: payload[slice]), first..<base + slice.upperBound, ending)
    }
    gather(stream)
    let (bytes, end) = pending[stream].takeGathered(keeping: 0)
    return emit(stream, bytes, first..<end, ending)
  }

  private mutating func gather(_ stream: StandardStream) {
    let (chunks, base, last) = (chunks, base, min(index, chunks.count - 1))
    pending[stream].gather(from: payload) { chunks.place(base + $0, in: last) }
  }
}

// MARK: Ends

extension LineAssembler {
  /// Ends the pending lines, the one that began first at first.
  private mutating func endPending(_ ending: Line.Ending) {
    let isErrorFirst = pending.stderr.first.offset < pending.stdout.first.offset
    for stream: StandardStream in isErrorFirst ? [.stderr, .stdout] : [.stdout, .stderr]
    where !pending[stream].isEmpty {
      cut.append(line(of: stream, ending))
    }
  }

  /// Ends the pending lines, and tells what was missed behind the last line.
  private mutating func endOutput() {
    isLast = false
    endPending(.end)
    guard !missed.isNothing else { return }
    cut.append(
      emit(stream ?? .stdout, Output().chunks.payload, end.offset..<end.offset, .end))
  }
}

// MARK: Lines

extension LineAssembler {
  /// Makes a line, of which the stream's pending line has no more bytes, and tells what was missed.
  private mutating func emit(
    _ stream: StandardStream, _ bytes: ChunkBytes, _ range: Range<Int>, _ ending: Line.Ending
  ) -> Line {
    let (isContinuation, followsLoss) = (
      pending[stream].isContinuation, pending[stream].followsLoss
    )
    pending[stream].isContinuation = ending == .limit
    pending[stream].followsLoss = false
    defer { missed = Missed() }
    return Line(
      stream: stream, bytes: bytes, range: range, ending: ending, isContinuation: isContinuation,
      followsLoss: followsLoss, missedChunks: missed.chunks, missedBytes: missed.bytes,
      cursor: cursor)
  }

  /// Where to go on behind the line returned last: in each stream, with what is pending.
  var cursor: Cursor {
    let here =
      index == chunks.count
      ? end
      : Place(seq: position == chunkEnd ? chunkSeq : chunkSeq - 1, offset: base + position)
    var places = PerStream(here)
    var continues = PerStream(false)
    if stream != .stderr {
      if !pending.stdout.isEmpty { places.stdout = pending.stdout.first }
      // Up to its beginning, a stream has been dealt with.
      places.stdout.offset = max(places.stdout.offset, beginnings.stdout)
      continues.stdout = pending.stdout.isContinuation
    }
    if stream != .stdout {
      if !pending.stderr.isEmpty { places.stderr = pending.stderr.first }
      places.stderr.offset = max(places.stderr.offset, beginnings.stderr)
      continues.stderr = pending.stderr.isContinuation
    }
    // A stream of which no lines are wanted must not hold the other one back.
    if let stream { places[stream.other] = places[stream] }
    return Cursor(places, continues: continues, epoch: epoch)
  }
}
