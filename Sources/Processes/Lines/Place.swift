import OutputRing

/// A place between two bytes of a session's output.
struct Place: Sendable {
  /// The last chunk that ends at the place or before it.
  ///
  /// Where a byte lies, that is the chunk before its own.
  var seq: Int
  /// The bytes before the place, both streams counted.
  var offset: Int
}

extension Chunks {
  /// Returns the place of a byte that lies in the chunk at an index, or in one before it.
  func place(_ offset: Int, in index: Int) -> Place {
    var index = index
    while batch.offset(at: index) > offset { index -= 1 }
    return Place(seq: batch.seq(at: index) - 1, offset: offset)
  }
}

// A reader of lines or patterns stops within chunks, and with both streams at another place in
// each: a line of one may lie within an unfinished line of the other. Its cursor is at the first
// of the two places: `seq` is the last chunk before it, and `offset` is the place's own, so that a
// read with the cursor returns the chunk in which the place lies, and what a later read has missed
// is counted from the place. How far the other stream is ahead, and whether a line continues, takes
// the room of the status: no such cursor knows of an exit or a close.
//
//    63                34 33 32 31      3      2        1        0
//   ┌────────────────────┬─────┬─────────┬────────┬────────┬────────┐
//   │ lead, upper bits   │ 0 0 │ lower   │ stderr │ stdout │ stderr │
//   │                    │     │ bits    │ cont.  │ cont.  │ is behind
//   └────────────────────┴─────┴─────────┴────────┴────────┴────────┘
//
// A status that is not 0 has at least one of the bits 32 and 33.

extension Cursor {
  /// Makes the cursor of a reader that is at a place in each stream.
  ///
  /// - Parameter continues: Whether the next line of a stream continues one of which parts were
  ///   returned.
  init(_ places: PerStream<Place>, continues: PerStream<Bool> = PerStream(false), epoch: UInt32) {
    let isErrorBehind = places.stderr.offset < places.stdout.offset
    let first = isErrorBehind ? places.stderr : places.stdout
    let lead = UInt64(abs(places.stderr.offset - places.stdout.offset))
    let bits =
      lead << 3 | (continues.stderr ? 4 : 0) | (continues.stdout ? 2 : 0)
      | (isErrorBehind ? 1 : 0)
    self.init(
      RingCursor(seq: first.seq, offset: first.offset),
      status: (bits >> 32) << 34 | bits & 0xffff_ffff, epoch: epoch)
  }

  /// The status that the cursor knows of; 0 if none.
  var knownStatus: UInt64 { status & (3 << 32) == 0 ? 0 : status }

  /// Returns the same place, with what its owner knows of the process, if anything.
  ///
  /// That displaces the lead of a stream. A reader then gets some of its bytes again; one that did
  /// not know of the exit would be told of it again and again.
  func knowing(_ status: UInt64) -> Cursor {
    status == 0 ? self : Cursor(position, status: status, epoch: epoch)
  }
}

/// Where in each stream a reader of lines or patterns begins, within what a read with its cursor
/// returned.
struct Beginning {
  /// The offsets before which the reader has dealt with each stream's bytes.
  private(set) var offsets = PerStream(0)
  /// Whether the next line of a stream continues one of which parts were returned.
  private(set) var continues = PerStream(false)
  /// What was missed before the first chunk, behind the place of the stream that is behind.
  private(set) var missed: Missed
  /// What was missed before the first chunk, behind the place of the stream that is ahead: up to
  /// there, the reader has seen all bytes.
  private(set) var missedUnseen: Missed

  /// Finds the beginning.
  ///
  /// - Parameters:
  ///   - cursor: What the read began with. A cursor can be anything that a client sends: what does
  ///     not fit to the chunks says nothing.
  ///   - output: What the read returned.
  ///   - totalBytes: The bytes appended by now.
  init(_ cursor: Cursor, _ output: Output, totalBytes: Int) {
    missed = Missed(output)
    missedUnseen = missed
    guard !output.isCursorForeign, let offset = cursor.offset else { return }
    let word = cursor.knownStatus == 0 ? cursor.status : 0
    let bits = (word >> 34) << 32 | word & 0xffff_ffff
    let ahead = offset.addingReportingOverflow(Int(bits >> 3))
    guard !ahead.overflow, ahead.partialValue <= totalBytes else { return }
    let first = output.chunks.first
    if missed.isNothing {
      guard let first, first.seq == cursor.seq + 1, first.offset + first.data.count > offset
      else { return }
      continues.stdout = bits & 2 != 0
      continues.stderr = bits & 4 != 0
    } else {
      guard first.map({ $0.offset > offset }) ?? true else { return }
      missedUnseen.bytes = missed.bytes.map { max(0, $0 - (ahead.partialValue - offset)) }
      // Of what is gone, the reader has dealt with some: with how much is not known.
      if ahead.partialValue > offset { missed.bytes = nil }
    }
    let behind: StandardStream = bits & 1 == 0 ? .stdout : .stderr
    offsets[behind] = offset
    offsets[behind.other] = ahead.partialValue
  }
}

/// How much of a session's output a reader could not have.
struct Missed: Sendable {
  var chunks = 0
  /// Nil if not known.
  var bytes: Int? = 0

  init() {}

  /// Takes what was missed before a line.
  init(_ line: Line) {
    chunks = line.missedChunks
    bytes = line.missedBytes
  }

  /// Takes what a read missed.
  init(_ output: Output) {
    chunks = output.missedChunks
    bytes = output.missedBytes
  }

  var isNothing: Bool { chunks == 0 && bytes == 0 }

  /// Adds up to the largest count: a file's writer may tell any, and change it.
  static func += (left: inout Missed, right: Missed) {
    func sum(_ left: Int, _ right: Int) -> Int {
      let (sum, isOverflow) = left.addingReportingOverflow(right)
      return isOverflow ? .max : sum
    }
    left.chunks = sum(left.chunks, right.chunks)
    left.bytes = left.bytes.flatMap { bytes in right.bytes.map { sum(bytes, $0) } }
  }
}
