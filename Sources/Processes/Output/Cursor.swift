public import OutputRing

/// A reader's position in a session: the last chunk it has dealt with, where that chunk ended,
/// which state of the process it knows of, and which session it is of.
///
/// A read returns the cursor to pass to the next one. A seq alone makes a cursor as well
/// (``init(seq:offset:)``, or an integer literal), and does almost as well. But only a read's own
/// cursor tells a reader that fell far behind exactly how many bytes it missed, keeps a reader that
/// waits from being told of the same exit twice, and is not mistaken for a position in another
/// session with the same id: a read with a cursor of another session begins at the start, and
/// ``Output/isCursorForeign`` says so.
///
/// ```swift
/// let first = session.output()
/// let next = session.output(since: first.cursor)
/// let fromTheFifth = session.output(since: 4)
/// ```
public struct Cursor: Sendable {
  /// The seq of the last chunk read or missed; 0 at the beginning.
  @inlinable public var seq: Int { position.seq }
  /// The bytes of output up to and including that chunk, both streams counted; nil if not known,
  /// which makes the cursor as good as its seq.
  ///
  /// The cursor of a ``Line`` counts the bytes of the next chunk that are dealt with, too.
  @inlinable public var offset: Int? { position.offset }

  @usableFromInline let position: RingCursor
  /// The session's status word as the read that made this cursor found it; 0 if not known. Cursors
  /// within chunks have other uses for it: see ``Place``.
  let status: UInt64
  /// The epoch of the session whose read made this cursor; 0 if not known. See ``SessionEpoch``.
  @usableFromInline let epoch: UInt32

  /// Makes a cursor that every session takes for its own.
  ///
  /// - Parameters:
  ///   - seq: The last chunk dealt with; 0 or less stands for the beginning.
  ///   - offset: Where it ended, in bytes of the session's output; nil, or less than 0, if that is
  ///     not known. More than that says that a part of the next chunk has been dealt with.
  public init(seq: Int, offset: Int? = nil) {
    self.init(RingCursor(seq: seq, offset: offset), status: 0, epoch: 0)
  }

  /// Every cursor is made here.
  init(_ position: RingCursor, status: UInt64, epoch: UInt32) {
    self.position = position
    self.status = status
    self.epoch = epoch
  }

  /// Before the first chunk of any session.
  public static var start: Cursor { Cursor(seq: 0, offset: 0) }
}

extension Cursor: ExpressibleByIntegerLiteral {
  /// Makes a cursor of a seq: `output(since: 4)` reads from the fifth chunk on.
  public init(integerLiteral seq: Int) { self.init(seq: seq) }
}

extension Cursor: Hashable {
  /// Whether two cursors are at the same place, that is seq and offset, whatever else they know:
  /// the process's state, or the session.
  ///
  /// Cursors of two sessions may so be equal, though each is foreign to the other's session.
  public static func == (left: Cursor, right: Cursor) -> Bool { left.position == right.position }

  /// Hashes the place.
  public func hash(into hasher: inout Hasher) { hasher.combine(position) }
}

extension Cursor: Codable {
  private enum CodingKeys: String, CodingKey { case seq, offset, status, epoch }

  /// Decodes what ``encode(to:)`` made, or a seq alone or with an offset.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      RingCursor(
        seq: try container.decode(Int.self, forKey: .seq),
        offset: try container.decodeIfPresent(Int.self, forKey: .offset)),
      status: try container.decodeIfPresent(UInt64.self, forKey: .status) ?? 0,
      epoch: try container.decodeIfPresent(UInt32.self, forKey: .epoch) ?? 0)
  }

  /// Encodes `seq` and, where they are known, `offset`, `status` and `epoch`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(seq, forKey: .seq)
    try container.encodeIfPresent(offset, forKey: .offset)
    if status != 0 { try container.encode(status, forKey: .status) }
    if epoch != 0 { try container.encode(epoch, forKey: .epoch) }
  }
}

extension Cursor: LosslessStringConvertible {
  /// Reads what ``description`` wrote, or a bare seq.
  ///
  /// - Parameter text: One to four integers with dots between them: the seq, where the chunk ended,
  ///   what is known of the process, and the epoch of the session. The second may be empty if a
  ///   third follows. Without it, the cursor is as good as its seq; without the fourth, every
  ///   session takes it for its own.
  /// - Returns: nil if the text is anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
    guard parts.count <= 4, let seq = Int(parts[0]) else { return nil }
    guard parts.count > 1 else {
      self.init(seq: seq)
      return
    }
    let isOffsetLeftOut = parts[1].isEmpty && parts.count > 2
    guard let offset = isOffsetLeftOut ? -1 : Int(parts[1]) else { return nil }
    guard let status = parts.count > 2 ? UInt64(parts[2]) : 0 else { return nil }
    guard let epoch = parts.count > 3 ? UInt32(parts[3]) : 0 else { return nil }
    self.init(RingCursor(seq: seq, offset: offset), status: status, epoch: epoch)
  }

  /// The cursor as text, fit for a URL as it is: `17.4096.21474836480.2718281828`, or as little of
  /// it as is known: `17.4096.21474836480`, `17.4096` or `17`. An offset that is not known is left
  /// empty in between: `17..21474836480`.
  public var description: String {
    let offset = offset.map(String.init) ?? ""
    if epoch != 0 { return "\(seq).\(offset).\(status).\(epoch)" }
    if status != 0 { return "\(seq).\(offset).\(status)" }
    return offset.isEmpty ? "\(seq)" : "\(seq).\(offset)"
  }
}
