/// What one append stored.
///
/// The library never decodes, splits or joins chunks: `data` is what the process wrote, in the
/// pieces in which it arrived. Joining text that spans two chunks is up to the caller.
public struct Chunk: Sendable {
  let base: RingChunk

  /// The stream to which the chunk was written.
  public var stream: StandardStream { StandardStream(tag: base.tag) }

  /// The chunk's sequence number: 1 for a session's first chunk, then one more for each. Never
  /// reused, and unchanged by loss.
  public var seq: Int { base.seq }

  /// The bytes of this session's output before this chunk, both streams counted.
  ///
  /// Chunks that follow each other without loss have touching offsets. A jump is a loss, and tells
  /// its size.
  public var offset: Int { base.offset }

  /// The payload: at least one byte, and at most the session's capacity.
  public var data: ChunkBytes { base.data }

  /// When the chunk was appended, counted from ``SessionReader/start``; nil if the session keeps no
  /// timestamps (``SessionReader/hasTimestamps``).
  ///
  /// At the resolution of the session's ``ActivityClock``, and never less than that of the chunk
  /// before. Of output that is read from a process it is when that read began.
  public var timestamp: Duration? { base.timestamp.map { .nanoseconds($0) } }

  /// The payload as text, with U+FFFD for what is not valid UTF-8, such as a character of which the
  /// rest is in the next chunk.
  ///
  /// ``SessionReader/lines(of:since:maxLength:)`` never cuts within a character.
  ///
  /// - Complexity: O(length of the payload); each access makes a new string.
  public var text: String { String(data) }
}

extension Chunk: Encodable {
  private enum CodingKeys: String, CodingKey { case stream, seq }

  /// Encodes the stream and the seq; never the data, which is not text.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(stream, forKey: .stream)
    try container.encode(seq, forKey: .seq)
  }
}

/// The chunks of one read, in order of seq.
public struct Chunks: RandomAccessCollection, Sendable {
  let batch: RingBatch

  /// 0.
  public var startIndex: Int { 0 }
  /// The number of chunks.
  public var endIndex: Int { batch.count }

  /// The chunk at an index.
  ///
  /// - Precondition: `index` is within the collection.
  /// - Complexity: O(1).
  public subscript(index: Int) -> Chunk { Chunk(base: batch[index]) }

  /// The payload of all chunks, concatenated, both streams in the order in which they were
  /// appended.
  ///
  /// That need not be the order in which a command wrote them: two pipes keep no order between
  /// them. One pipe for both streams does (`Command.mergesStandardError`), and so does a terminal.
  ///
  /// - Complexity: O(1); nothing is copied.
  public var payload: ChunkBytes { batch.payload }
}
