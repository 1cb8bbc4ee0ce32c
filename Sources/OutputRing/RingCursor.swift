/// A reader's position in a ring: the last chunk that it has read or missed, and where that chunk
/// ended.
///
/// A read returns the cursor to pass to the next read. A cursor of a seq alone, which an integer
/// literal makes too, serves almost as well; but one with its offset tells a reader that fell far
/// behind exactly how many bytes it missed.
public struct RingCursor: Sendable, Hashable {
  /// The seq of the last chunk read or missed; 0 at the beginning.
  public let seq: Int
  @usableFromInline let knownOffset: KnownCount

  /// The bytes of output up to and including that chunk, both tags counted, and more if a part of
  /// the next chunk has been dealt with; nil if not known.
  @inlinable public var offset: Int? { knownOffset.value }

  /// Creates a cursor, such as one that a client has kept.
  ///
  /// - Parameters:
  ///   - seq: The last chunk read or missed. 0 or less stands for the beginning.
  ///   - offset: How many bytes of output the reader has dealt with: where that chunk ended, or
  ///     more if it has dealt with a part of the next one. Nil, or a negative number, if that is
  ///     not known; it is 0 at the beginning.
  @inlinable
  public init(seq: Int, offset: Int? = nil) {
    self.seq = max(seq, 0)
    // Before the first chunk, only a part of it can have been dealt with.
    knownOffset =
      seq > 0 ? KnownCount(offset) : KnownCount(count: seq < 0 ? 0 : max(offset ?? 0, 0))
  }

  /// Creates a cursor at a chunk that is there, or at the beginning.
  @inlinable @inline(__always)
  init(publishedSeq seq: Int, end: Int) {
    self.seq = seq
    knownOffset = KnownCount(count: end)
  }

  /// The position before the first chunk.
  @inlinable
  public static var start: RingCursor { RingCursor(publishedSeq: 0, end: 0) }
}

extension RingCursor: ExpressibleByIntegerLiteral {
  /// Creates a cursor from a seq; see ``init(seq:offset:)``.
  @inlinable
  public init(integerLiteral seq: Int) { self.init(seq: seq) }
}

extension RingCursor: Codable {
  private enum CodingKeys: String, CodingKey { case seq, offset }

  /// Decodes a `seq` and, if there is one, an `offset`.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      seq: try container.decode(Int.self, forKey: .seq),
      offset: try container.decodeIfPresent(Int.self, forKey: .offset))
  }

  /// Encodes the `seq` and, if it is known, the `offset`.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(seq, forKey: .seq)
    try container.encodeIfPresent(offset, forKey: .offset)
  }
}

/// A number of bytes that may not be known, in one word.
///
/// An optional takes a word more, and every read and every poll would copy it.
@usableFromInline
struct KnownCount: Sendable, Hashable {
  /// The number, or -1 if it is not known.
  @usableFromInline let word: Int

  /// Takes nil, and what cannot be a number of bytes, for not known.
  @inlinable init(_ value: Int?) { word = max(value ?? -1, -1) }

  /// Takes a number that is known and not negative.
  @inlinable @inline(__always) init(count: Int) { word = count }

  @inlinable var value: Int? { word == -1 ? nil : word }
}
