/// A reader's position in a ring: the last chunk it has dealt with, and where that chunk ended.
///
/// A read returns the cursor to pass to the next one. A bare seq does almost as well, but a cursor
/// also knows its offset, so that a reader that fell far behind still learns exactly how many bytes
/// it missed.
public struct RingCursor: Sendable, Hashable, Codable {
  /// The seq of the last chunk read or missed; 0 at the beginning.
  public var seq: Int
  /// The bytes of output up to and including that chunk, both tags counted; negative if not known,
  /// which makes the cursor as good as its seq.
  public var offset: Int

  /// Makes a cursor, such as one that a client has kept.
  ///
  /// - Parameters:
  ///   - seq: The last chunk dealt with; 0 or less stands for the beginning.
  ///   - offset: Where it ended.
  @inlinable
  public init(seq: Int, offset: Int) {
    self.seq = seq
    self.offset = offset
  }

  /// Before the first chunk.
  @inlinable
  public static var start: RingCursor { RingCursor(seq: 0, offset: 0) }
}
