/// What a read found: chunks, and the state of the ring that goes with them, as of one instant.
///
/// A random-access collection of its chunks. All of them lie in one piece of memory; see
/// ``payload`` for all their bytes at once.
public struct RingBatch: Sendable {
  private var storage: BatchStorage?
  /// The index of the first chunk within the storage; those before it were overtaken.
  private var firstIndex = 0
  private var firstSeq = 1
  private var firstBegin = 0
  /// The offset of the storage's first payload byte.
  private var payloadBegin = 0
  public private(set) var count = 0

  /// The owner's status word; see ``RingWriter/status``.
  public internal(set) var status: UInt64 = 0
  /// The bytes no longer retained, since the beginning.
  public internal(set) var lostBytes = 0
  /// How many chunks this reader asked for and can no longer have.
  public internal(set) var missedChunks = 0
  /// How many bytes this reader asked for and can no longer have; nil if only a bare seq was given
  /// and it is older than every descriptor.
  public internal(set) var missedBytes: Int? = 0
  /// Where the next read continues.
  public internal(set) var cursor = RingCursor.start
  /// Whether chunks are due that this read left for the next one.
  public internal(set) var hasMore = false
  /// Whether the reader's position was beyond the newest chunk.
  public internal(set) var isCursorAhead = false

  /// The last seq dealt with: where the next read continues.
  public var lastSeq: Int { cursor.seq }

  /// An empty batch.
  public init() {}

  /// An empty batch with room, for reads that must not allocate.
  ///
  /// - Parameters:
  ///   - bytes: The most payload a read will find; the ring's capacity is always enough.
  ///   - chunks: The most chunks a read will find; the ring's `chunkLimit` is always enough.
  /// - Precondition: neither is negative.
  public init(reservingBytes bytes: Int, chunks: Int) {
    precondition(bytes >= 0 && chunks >= 0, "a batch cannot have room for less than nothing")
    storage = BatchStorage(bytes: bytes, descriptors: chunks + 1)
  }
}

// MARK: Filling

extension RingBatch {
  /// Forgets everything but the memory.
  @inline(__always)
  mutating func removeAll() {
    count = 0
    missedChunks = 0
    missedBytes = 0
    hasMore = false
    isCursorAhead = false
  }

  /// Room for a read: this batch's own memory if nobody else refers to it and it is large enough.
  mutating func makeRoom(bytes: Int, chunks: Int) -> BatchStorage {
    if storage == nil || !storage!.reuse(bytes: bytes, descriptors: chunks + 1) {
      storage = BatchStorage(bytes: bytes, descriptors: chunks + 1)
    }
    return storage!
  }

  /// Takes the chunks from an index on, which lie in the storage that `makeRoom` returned.
  mutating func fill(_ chunks: LocalChunks, from index: Int) {
    firstIndex = index
    firstSeq = chunks.firstSeq + index
    firstBegin = chunks.begin(index)
    payloadBegin = chunks.begin
    count = chunks.count - index
  }

  /// Tells a reader that everything it asked for, up to a chunk, is gone.
  mutating func miss(
    since: Int, _ sinceOffset: Int?, through seq: Int, endingAt end: Int, newest: Int
  ) {
    lostBytes = Swift.max(lostBytes, end)
    missedChunks = seq - since
    missedBytes = sinceOffset.map { Swift.max(0, end - $0) }
    cursor = RingCursor(seq: seq, offset: end)
    hasMore = seq < newest
  }
}

// MARK: Chunks

/// One chunk, as a read found it.
public struct RingChunk: Sendable {
  /// 1 for the first chunk appended, then one more for each; never reused.
  public let seq: Int
  /// The bytes of output before this chunk, both tags counted.
  public let offset: Int
  /// The owner's bit; see ``RingWriter/append(_:tag:)-(RawSpan,_)``.
  public let tag: Bool
  /// The payload; never empty.
  public let data: ChunkBytes
}

extension RingBatch: RandomAccessCollection {
  public var startIndex: Int { 0 }
  public var endIndex: Int { count }

  /// - Complexity: O(1).
  public subscript(index: Int) -> RingChunk {
    precondition(0 <= index && index < count, "chunk \(index) is not among the batch's \(count)")
    let storage = storage!
    let own = unsafe Descriptor(word: storage.descriptors[firstIndex + index + 1])
    let begin =
      index == 0
      ? firstBegin : unsafe Descriptor(word: storage.descriptors[firstIndex + index]).end
    return RingChunk(
      seq: firstSeq + index, offset: begin, tag: own.tag,
      data: ChunkBytes(storage: storage, origin: begin - payloadBegin, count: own.end - begin))
  }

  /// The payload of all chunks, one behind the other.
  ///
  /// - Complexity: O(1); nothing is copied.
  public var payload: ChunkBytes {
    guard count > 0 else { return ChunkBytes(storage: nil, origin: 0, count: 0) }
    return ChunkBytes(
      storage: storage, origin: firstBegin - payloadBegin, count: cursor.offset - firstBegin)
  }
}
