/// What a read found: chunks, and the state of the ring that goes with them, as of one instant.
///
/// A random-access collection of its chunks. All of them lie in one piece of memory; see
/// ``payload`` for all their bytes at once.
public struct RingBatch: Sendable {
  @usableFromInline var storage: BatchStorage?
  /// The index of the first chunk within the storage; those before it were overtaken.
  @usableFromInline var firstIndex = 0
  @usableFromInline var firstSeq = 1
  @usableFromInline var firstBegin = 0
  /// The offset of the storage's first payload byte.
  @usableFromInline var payloadBegin = 0
  @usableFromInline var chunkCount = 0
  @usableFromInline var findings = Findings()

  /// What a read found out besides the chunks.
  @usableFromInline
  struct Findings: Sendable {
    @usableFromInline var status: UInt64 = 0
    @usableFromInline var lostBytes = 0
    @usableFromInline var missedChunks = 0
    /// -1 if not known: an optional would take a word more, and more than that to copy.
    @usableFromInline var missedByteCount = 0
    @usableFromInline var cursor = RingCursor.start
    @usableFromInline var hasMore = false
    @usableFromInline var isCursorAhead = false

    @inlinable init() {}

    var missedBytes: Int? {
      get { missedByteCount < 0 ? nil : missedByteCount }
      set { missedByteCount = newValue ?? -1 }
    }
  }

  /// The number of chunks.
  public var count: Int { chunkCount }
  /// The owner's status word; see ``RingWriter/status``.
  public var status: UInt64 { findings.status }
  /// The bytes no longer retained, since the beginning.
  public var lostBytes: Int { findings.lostBytes }
  /// How many chunks this reader asked for and can no longer have.
  public var missedChunks: Int { findings.missedChunks }
  /// How many bytes this reader asked for and can no longer have; nil if only a bare seq was given
  /// and it is older than every descriptor.
  public var missedBytes: Int? { findings.missedBytes }
  /// Where the next read continues.
  public var cursor: RingCursor { findings.cursor }
  /// Whether chunks are due that this read left for the next one.
  public var hasMore: Bool { findings.hasMore }
  /// Whether the reader's position was beyond the newest chunk.
  public var isCursorAhead: Bool { findings.isCursorAhead }

  /// The last seq dealt with: where the next read continues.
  @inlinable public var lastSeq: Int { findings.cursor.seq }

  /// An empty batch.
  @inlinable
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

// MARK: Nothing new

/// What a poll that finds nothing new has to say: four words, which a call returns in registers.
///
/// Most polls find nothing, so they do not go the way through a batch in memory.
@frozen
@usableFromInline
package struct IdleState {
  @usableFromInline let status: UInt64
  /// The newest seq; -1 if there is something to read after all.
  @usableFromInline let newest: Int
  @usableFromInline let end: Int
  @usableFromInline let lost: Int

  init(status: UInt64, newest: Int, end: Int, lost: Int) {
    self.status = status
    self.newest = newest
    self.end = end
    self.lost = lost
  }

  /// Whether there is nothing to read, so that the rest means something.
  @inlinable
  package var isIdle: Bool { newest >= 0 }
}

extension RingBatch {
  /// The batch of a read that found nothing new.
  @inlinable @inline(__always)
  package init(_ idle: IdleState, since seq: Int) {
    self.init()
    findings.status = idle.status
    findings.lostBytes = idle.lost
    findings.cursor = RingCursor(seq: idle.newest, offset: idle.end)
    findings.isCursorAhead = seq > idle.newest
  }
}

// MARK: Filling

extension RingBatch {
  /// Forgets everything but the memory.
  @inline(__always)
  mutating func removeAll() {
    chunkCount = 0
    findings = Findings()
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
    chunkCount = chunks.count - index
  }

  /// Tells a reader that everything it asked for, up to a chunk, is gone.
  mutating func miss(
    since: Int, _ sinceOffset: Int?, through seq: Int, endingAt end: Int, newest: Int
  ) {
    findings.lostBytes = Swift.max(lostBytes, end)
    findings.missedChunks = seq - since
    findings.missedBytes = sinceOffset.map { Swift.max(0, end - $0) }
    findings.cursor = RingCursor(seq: seq, offset: end)
    findings.hasMore = seq < newest
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
  /// 0.
  public var startIndex: Int { 0 }
  /// The number of chunks.
  public var endIndex: Int { count }

  /// The chunk at an index.
  ///
  /// - Precondition: `index` is within the collection.
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
