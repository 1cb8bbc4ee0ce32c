import Processes

/// The part of output that fits into an answer, and an exact account of the rest.
///
/// ```text
///   offset                                                    endOffset
///   ├─ head ─┼────── left out ──────┼─ missed ─┼─ left out ─┼─ tail ─┤
/// ```
///
/// What was left out is retained, and can be read from the cursor that says where it begins. What
/// was missed is gone; it may lie anywhere in between, or at the beginning. All pieces together are
/// what the reader asked for, byte for byte.
struct Excerpt: Sendable {
  /// The form in which an answer gives output.
  enum Format: String, CaseIterable {
    /// Text without escape sequences: see `PlainText`.
    case plain
    /// Text with U+FFFD for what is not UTF-8.
    case text
    /// The bytes, in base64.
    case exact
  }

  /// The part of output that does not fit as a whole.
  enum Part: String, CaseIterable {
    case both
    case head
    case tail
  }

  /// A stretch of what the reader asked for.
  enum Piece: Sendable, Equatable {
    /// So many bytes of output, as text or in base64.
    case output(bytes: Int, String)
    /// So many bytes that did not fit, and where they begin.
    case leftOut(bytes: Int, Cursor)
    /// So many bytes that are not retained any more; nil if the number is not known.
    case missed(bytes: Int?)
  }

  /// The bytes of text that a client may ask for. With fewer, a character might not fit; the text
  /// stands in an answer twice, and a byte of it can become six there: more than this would not fit
  /// into an event of 1 MiB, which is the limit of the official client.
  static let budgets = 256...65_536
  static let standardBudget = 16_384

  let format: Format
  let pieces: [Piece]
  /// Where the next read goes on.
  let cursor: Cursor
  /// Where the pieces end, in bytes of both streams; nil if not known.
  var endOffset: Int? { cursor.offset }
  /// The bytes behind the pieces that are due for the next read.
  let remainingBytes: Int
  /// Whether the next read will find something.
  let hasMore: Bool

  /// Takes what fits of the result of a read.
  ///
  /// - Parameters:
  ///   - cursor: What the read began with, which may lie within a chunk.
  ///   - budget: The most bytes of text; for ``Format/exact`` the most bytes of output.
  init(
    of output: Output, since cursor: Cursor, format: Format = .plain, part: Part = .both,
    budget: Int = standardBudget
  ) {
    let scale = Scale(format: format)
    let due = Due(output, since: cursor)
    var head = scale.prefix(of: due, from: due.start, fitting: budget)
    var tail = due.end..<due.end
    if head.end < due.end {
      switch part {
      case .head: break
      case .tail: head = (due.start, 0)
      case .both: head = scale.prefix(of: due, from: due.start, fitting: budget / 2)
      }
      if part != .head {
        let start = scale.suffix(of: due, from: head.end, fitting: budget - head.size)
        tail = start..<due.end
      }
    }
    var pieces: [Piece] = []
    func add(_ range: Range<Int>, _ piece: (Range<Int>) -> Piece) {
      // The gap divides what lies on both sides of it.
      let before = range.clamped(to: 0..<due.gap)
      let behind = range.clamped(to: due.gap..<due.end)
      if !before.isEmpty { pieces.append(piece(before)) }
      guard !behind.isEmpty else { return }
      if let missed = due.missed, !pieces.contains(missed) { pieces.append(missed) }
      pieces.append(piece(behind))
    }
    if due.payload.isEmpty, let missed = due.missed { pieces.append(missed) }
    func shown(_ range: Range<Int>) -> Piece {
      .output(bytes: range.count, scale.text(due.payload[range]))
    }
    add(due.start..<head.end, shown)
    if part == .head {
      // A read from there on would not know of it.
      if head.end == due.gap, let missed = due.missed, !pieces.contains(missed) {
        pieces.append(missed)
      }
      self.cursor = head.end == due.end ? output.cursor : due.cursor(at: head.end)
      remainingBytes = due.end - head.end
    } else {
      add(head.end..<tail.lowerBound) { .leftOut(bytes: $0.count, due.cursor(at: $0.lowerBound)) }
      add(tail, shown)
      self.cursor = output.cursor
      remainingBytes = 0
    }
    self.format = format
    self.pieces = pieces
    hasMore = output.hasMore || remainingBytes > 0
  }
}

// MARK: What is due

/// The payload of a read that the reader has not dealt with.
private struct Due {
  let output: Output
  let payload: ChunkBytes
  /// Where it begins: behind the part of the first chunk that the reader's cursor leaves out.
  let start: Int
  /// Where the missed output lay, if there is any.
  let gap: Int
  let missed: Excerpt.Piece?
  var end: Int { payload.count }

  init(_ output: Output, since cursor: Cursor) {
    self.output = output
    payload = output.chunks.payload
    let before = output.payloads.beforeGap.count
    gap = before
    missed = output.indexOfGap.map { _ in .missed(bytes: output.missedBytes) }
    // A cursor can be anything that a client sends: one that does not fit says nothing.
    if !output.isCursorForeign, missed == nil || before > 0, let offset = cursor.offset,
      let first = output.chunks.first, first.seq == cursor.seq + 1,
      (first.offset..<first.offset + first.data.count).contains(offset)
    {
      start = offset - first.offset
    } else {
      start = 0
    }
  }

  /// Returns the position before a byte of the payload.
  ///
  /// - Complexity: O(log chunks).
  func cursor(at index: Int) -> Cursor {
    let chunks = output.chunks
    let gapIndex = output.indexOfGap ?? 0
    func place(_ chunk: Int) -> Int {
      chunk < gapIndex
        ? chunks[chunk].offset - chunks[0].offset
        : gap + chunks[chunk].offset - chunks[gapIndex].offset
    }
    var (low, high) = (0, chunks.count)
    while high - low > 1 {
      let middle = (low + high) / 2
      if place(middle) <= index { low = middle } else { high = middle }
    }
    let chunk = chunks[low]
    let offset = chunk.offset + index - place(low)
    // The session's epoch, by which another session would know that the cursor is not its own.
    let parts = output.cursor.description.split(separator: ".", omittingEmptySubsequences: false)
    let epoch = parts.count == 4 ? ".0.\(parts[3])" : ""
    return Cursor("\(chunk.seq - 1).\(offset)\(epoch)")
      ?? Cursor(seq: chunk.seq - 1, offset: offset)
  }
}

// MARK: What fits

/// Measures output in the form that an answer gives it.
private struct Scale {
  let format: Excerpt.Format

  /// How many bytes of text a byte of output can become: of invalid UTF-8, a U+FFFD of three.
  private var growth: Int { format == .text ? 3 : 1 }

  func text(_ bytes: ChunkBytes) -> String {
    switch format {
    case .plain: String(decoding: PlainText(bytes).bytes, as: UTF8.self)
    case .text: bytes.description
    case .exact: base64(Array(bytes))
    }
  }

  private func size(_ bytes: ChunkBytes) -> Int {
    switch format {
    case .plain: PlainText(bytes).bytes.count
    case .text: bytes.description.utf8.count
    case .exact: bytes.count
    }
  }

  /// Returns where a beginning ends that fits, and how large it is.
  func prefix(of due: Due, from start: Int, fitting budget: Int) -> (end: Int, size: Int) {
    var (end, total) = (start, 0)
    for range in [due.start..<max(due.start, due.gap), max(due.start, due.gap)..<due.end] {
      let rest = due.payload[range.clamped(to: end..<due.end)]
      let (count, size) = prefix(of: rest, fitting: budget - total)
      end += count
      total += size
      if count < rest.count { break }
    }
    return (end, total)
  }

  /// Returns where an end begins that fits.
  func suffix(of due: Due, from start: Int, fitting budget: Int) -> Int {
    var (begin, total) = (due.end, 0)
    for range in [max(start, due.gap)..<due.end, min(start, due.gap)..<due.gap] {
      let rest = due.payload[range.clamped(to: start..<due.end)]
      let (count, size) = suffix(of: rest, fitting: budget - total)
      begin -= count
      total += size
      if count < rest.count { break }
    }
    return begin
  }

  /// Returns the length of the longest beginning of whole lines that fits, or of the part of a line
  /// if whole lines would use little of the room.
  private func prefix(of bytes: ChunkBytes, fitting room: Int) -> (count: Int, size: Int) {
    if format == .exact || bytes.isEmpty {
      let count = min(bytes.count, room)
      return (count, count)
    }
    var rest = bytes
    var size = 0
    while !rest.isEmpty {
      // As many lines as are certain to fit, or else one that may.
      let certain = rest.prefix((room - size) / growth)
      let newline = certain.lastIndex(of: Self.newline) ?? rest.firstIndex(of: Self.newline)
      let lines = rest[..<(newline.map { $0 + 1 } ?? rest.endIndex)]
      let added = self.size(lines)
      guard added <= room - size else {
        if size < room / 2 {
          let part = cut(lines, room - size) { lines.prefix($0) }
          size += self.size(part)
          rest = rest[part.endIndex...]
        }
        break
      }
      size += added
      rest = rest[lines.endIndex...]
    }
    return (bytes.count - rest.count, size)
  }

  /// Returns the length of the longest end that fits, as ``prefix(of:fitting:)`` does.
  private func suffix(of bytes: ChunkBytes, fitting room: Int) -> (count: Int, size: Int) {
    if format == .exact || bytes.isEmpty {
      let count = min(bytes.count, room)
      return (count, count)
    }
    var rest = bytes
    var size = 0
    while !rest.isEmpty {
      let certain = rest.suffix((room - size) / growth)
      let newline =
        certain.dropLast().firstIndex(of: Self.newline)
        ?? rest.dropLast().lastIndex(of: Self.newline)
      let lines = rest[(newline.map { $0 + 1 } ?? rest.startIndex)...]
      let added = self.size(lines)
      guard added <= room - size else {
        if size < room / 2 {
          let part = cut(lines, room - size) { lines.suffix($0) }
          size += self.size(part)
          rest = rest[..<part.startIndex]
        }
        break
      }
      size += added
      rest = rest[..<lines.startIndex]
    }
    return (bytes.count - rest.count, size)
  }

  /// Returns a part of a line that fits, cut between characters.
  private func cut(
    _ line: ChunkBytes, _ room: Int, _ part: (_ count: Int) -> ChunkBytes
  ) -> ChunkBytes {
    var count = min(line.count, room)
    while true {
      let excess = size(part(count)) - room
      if excess <= 0 { break }
      count = max(0, count - (excess + growth - 1) / growth)
    }
    // A character has three bytes at most behind its first.
    for shorter in (max(0, count - 3)...count).reversed() {
      let end = part(shorter)
      let edge = end.startIndex == line.startIndex ? end.endIndex : end.startIndex
      if edge == line.endIndex || line[edge] & 0xc0 != 0x80 { return end }
    }
    return part(count)
  }

  private static let newline = UInt8(ascii: "\n")
}

// MARK: As an answer gives it

extension Excerpt {
  private func sum(_ bytes: (Piece) -> Int) -> Int { pieces.reduce(0) { $0 + bytes($1) } }

  var outputBytes: Int { sum { if case .output(let bytes, _) = $0 { bytes } else { 0 } } }

  var leftOutBytes: Int { sum { if case .leftOut(let bytes, _) = $0 { bytes } else { 0 } } }

  /// The bytes that are gone; nil if their number is not known.
  var missedBytes: Int? {
    pieces.contains(.missed(bytes: nil))
      ? nil : sum { if case .missed(let bytes?) = $0 { bytes } else { 0 } }
  }

  /// Where the pieces begin, in bytes of both streams; nil if not known.
  var offset: Int? {
    guard let missedBytes else { return nil }
    return endOffset.map { $0 - outputBytes - leftOutBytes - missedBytes }
  }

  /// All pieces, with a line for each that is not there.
  var text: String {
    var text = ""
    func mark(_ line: String) {
      if let last = text.unicodeScalars.last, last != "\n" { text += "\n" }
      text += "[\(line)]\n"
    }
    for piece in pieces {
      switch piece {
      case .output(_, let output): text += output
      case .missed(let bytes):
        mark(bytes.map { "\($0) bytes are missing here" } ?? "some output is missing here")
      case .leftOut(let bytes, let cursor):
        mark(
          "\(bytes) bytes left out here: read_output with since=\"\(cursor)\" and part=\"head\""
            + " goes on there")
      }
    }
    return text
  }

  /// The account, and the pieces.
  var members: [(name: String, value: JSON)] {
    [
      ("cursor", .string(cursor.description)), ("offset", .optional(offset)),
      ("end_offset", .optional(endOffset)), ("output_bytes", .int(outputBytes)),
      ("left_out_bytes", .int(leftOutBytes)), ("missed_bytes", .optional(missedBytes)),
      ("remaining_bytes", .int(remainingBytes)), ("has_more", .bool(hasMore)),
      ("parts", .array(pieces.map { json($0) })),
    ]
  }

  private func json(_ piece: Piece) -> JSON {
    switch piece {
    case .output(let bytes, let output):
      [
        "kind": "output", "bytes": .int(bytes),
        format == .exact ? "data_b64" : "text": .string(output),
      ]
    case .leftOut(let bytes, let cursor):
      ["kind": "left_out", "bytes": .int(bytes), "cursor": .string(cursor.description)]
    case .missed(let bytes): ["kind": "missed", "bytes": .optional(bytes)]
    }
  }
}
