public import OutputRing

/// A reader's position in a session: the last chunk it has dealt with, where that chunk ended, and
/// which state of the process it knows of.
///
/// A read returns the cursor to pass to the next one. A bare seq does almost as well, but only a cursor
/// tells a reader that fell far behind exactly how many bytes it missed, and keeps a reader that waits
/// from being told of the same exit twice.
public struct Cursor: Sendable {
  /// The seq of the last chunk read or missed; 0 at the beginning.
  @inlinable public var seq: Int { position.seq }
  /// The bytes of output up to and including that chunk, both streams counted; negative if not known,
  /// which makes the cursor as good as its seq.
  @inlinable public var offset: Int { position.offset }

  @usableFromInline let position: RingCursor
  /// The session's status word as the read that made this cursor found it; 0 if not known.
  let status: UInt64

  /// Makes a cursor, such as one that a client has kept.
  ///
  /// - Parameters:
  ///   - seq: The last chunk dealt with; 0 or less stands for the beginning.
  ///   - offset: Where it ended.
  public init(seq: Int, offset: Int) {
    self.init(RingCursor(seq: seq, offset: offset), status: 0)
  }

  /// Every cursor is made here: whatever is before the first chunk is the beginning.
  init(_ position: RingCursor, status: UInt64) {
    self.position = position.seq > 0 ? position : .start
    self.status = status
  }

  /// Before the first chunk.
  public static var start: Cursor { Cursor(seq: 0, offset: 0) }
}

extension Cursor: Hashable {
  /// Whether two cursors are at the same place, whatever they know of the process's state.
  public static func == (left: Cursor, right: Cursor) -> Bool { left.position == right.position }

  /// Hashes the place.
  public func hash(into hasher: inout Hasher) { hasher.combine(position) }
}

extension Cursor: Codable {
  private enum CodingKeys: String, CodingKey { case seq, offset, status }

  /// Decodes what ``encode(to:)`` made, or a seq and an offset alone.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      RingCursor(
        seq: try container.decode(Int.self, forKey: .seq),
        offset: try container.decode(Int.self, forKey: .offset)),
      status: try container.decodeIfPresent(UInt64.self, forKey: .status) ?? 0)
  }

  /// Encodes `seq`, `offset` and, if there is something to it, `status`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(seq, forKey: .seq)
    try container.encode(offset, forKey: .offset)
    if status != 0 { try container.encode(status, forKey: .status) }
  }
}

extension Cursor: LosslessStringConvertible {
  /// Reads what ``description`` wrote, or a bare seq.
  ///
  /// - Parameter text: One to three integers with dots between them: the seq, where the chunk ended, and
  ///   what is known of the process. Without the second, the cursor is as good as its seq.
  /// - Returns: nil if the text is anything else.
  public init?(_ text: String) {
    let parts = text.split(separator: ".", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count <= 3, let seq = Int(parts[0]) else { return nil }
    guard parts.count > 1 else {
      self.init(seq: seq, offset: -1)
      return
    }
    guard let offset = Int(parts[1]) else { return nil }
    guard let status = parts.count > 2 ? UInt64(parts[2]) : 0 else { return nil }
    self.init(RingCursor(seq: seq, offset: offset), status: status)
  }

  /// The cursor as text, fit for a URL as it is: `17.4096` or, if the process's state is known,
  /// `17.4096.21474836480`.
  public var description: String {
    status == 0 ? "\(seq).\(offset)" : "\(seq).\(offset).\(status)"
  }
}
