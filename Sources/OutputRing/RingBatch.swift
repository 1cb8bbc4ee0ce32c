/// What a read found: chunks, and the state of the ring that goes with them, as of one instant.
///
/// A random-access collection of its chunks. All of them lie in one piece of memory; see
/// ``payload`` for all their bytes at once.
public struct RingBatch: Sendable {
  @usableFromInline var storage: BatchStorage?
  /// The index within the storage of the first chunk behind the head, less the number of chunks of
  /// the head; chunks before it were lapped.
  @usableFromInline var firstIndex = 0
  /// The seq of the first chunk, if the first chunk behind the head follows on the head's.
  @usableFromInline var firstSeq = 1
  @usableFromInline var chunkCount = 0
  @usableFromInline var summary = ReadSummary()

  /// The number of chunks.
  public var count: Int { chunkCount }
  /// The owner's status word; see ``RingWriter/status``.
  public var status: UInt64 { summary.status }
  /// The bytes no longer retained, since the beginning.
  public var lostBytes: Int { summary.lostBytes }
  /// How many chunks this reader asked for and can no longer have.
  public var missedChunks: Int { summary.missedChunks }
  /// How many bytes this reader asked for and can no longer have; nil if the reader gave a cursor
  /// without an offset, and one so old that its chunk's descriptor is gone.
  public var missedBytes: Int? { summary.missedBytes }
  /// The index of the chunk before which the missed chunks lay: 0, or the number of chunks of the
  /// ring's head in this batch.
  ///
  /// - Complexity: O(1).
  public var gapIndex: Int { chunkCount == 0 ? 0 : storage!.head.count }
  /// The payload of the ring's head in this batch, in bytes.
  package var headByteCount: Int { chunkCount == 0 ? 0 : storage!.head.byteCount }
  /// Where the next read continues.
  public var cursor: RingCursor { summary.cursor }
  /// Whether chunks are due that this read left for the next one.
  public var hasMore: Bool { summary.hasMore }
  /// Whether the reader's position was beyond the newest chunk.
  public var isCursorAhead: Bool { summary.isCursorAhead }
  /// Whether the ring's file holds what no producer stores, as after a crash of the machine.
  ///
  /// The chunks of this batch are then the newest of which the descriptors are plausible, and those
  /// before them count as missed. Without chunks, the rest of the ring cannot be read. Never true
  /// for a ring in memory.
  public var isDamaged: Bool { summary.isDamaged }

  /// The last seq dealt with: where the next read continues.
  @inlinable public var lastSeq: Int { summary.cursor.seq }

  /// Creates an empty batch.
  @inlinable
  public init() {}

  /// Creates an empty batch with room, for reads that must not allocate.
  ///
  /// - Parameters:
  ///   - bytes: The most payload a read will find; the ring's capacity is always enough.
  ///   - chunks: The most chunks a read will find; the ring's `chunkLimit` is always enough.
  ///   - timestamps: Whether the ring has timestamps.
  /// - Precondition: neither is negative.
  public init(reservingBytes bytes: Int, chunks: Int, timestamps: Bool = false) {
    precondition(bytes >= 0 && chunks >= 0, "a batch cannot have room for less than nothing")
    storage = BatchStorage(
      bytes: bytes, descriptors: chunks + 1, timestamps: timestamps ? chunks : 0)
  }
}

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
  /// The timestamp, or -1: an optional would take twice the room.
  let timestampOrNone: Int64

  /// When the chunk was appended, in the owner's unit; nil in a ring without timestamps. Never less
  /// than that of the chunk before. See ``RingWriter/timestamp``.
  public var timestamp: Int64? { timestampOrNone < 0 ? nil : timestampOrNone }
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
    let head = storage.head
    guard index >= head.count else { return headChunk(index, of: storage) }
    let own = storage.descriptor(firstIndex + index + 1)
    let begin = storage.begin(firstIndex + index)
    return RingChunk(
      seq: firstSeq + index, offset: begin, tag: own.tag,
      data: ChunkBytes(
        storage: storage, origin: head.byteCount + begin - storage.begin(0),
        count: own.end - begin),
      timestampOrNone: storage.timestamp(firstIndex + index))
  }

  /// A chunk of the head. Between the head and what follows lies all that the read has missed.
  @inline(never)
  private func headChunk(_ index: Int, of storage: BatchStorage) -> RingChunk {
    let slot = storage.headStart + index
    let own = storage.descriptor(slot + 1)
    let begin = storage.begin(slot)
    return RingChunk(
      seq: firstSeq + index - summary.missedChunks, offset: begin, tag: own.tag,
      data: ChunkBytes(
        storage: storage,
        origin: payloadOrigin(of: storage) + begin - storage.begin(storage.headStart),
        count: own.end - begin),
      timestampOrNone: storage.headTimestamp(index))
  }

  /// Where the first chunk's bytes lie in the storage's payload: the head's lie right before those
  /// of the first chunk behind it.
  private func payloadOrigin(of storage: BatchStorage) -> Int {
    storage.begin(firstIndex + storage.head.count) - storage.begin(0)
  }

  /// The seq of the chunk at an index.
  package func seq(at index: Int) -> Int {
    index < gapIndex ? firstSeq + index - summary.missedChunks : firstSeq + index
  }

  /// The offset at which the chunk at an index begins; for the number of chunks, where the last one
  /// ends. There must be chunks.
  package func offset(at index: Int) -> Int {
    let headCount = gapIndex
    let isOfHead = index < headCount || index == headCount && headCount == chunkCount
    return storage!.begin((isOfHead ? storage!.headStart : firstIndex) + index)
  }

  /// The tag of the chunk at an index.
  package func tag(at index: Int) -> Bool {
    storage!.descriptor((index < gapIndex ? storage!.headStart : firstIndex) + index + 1).tag
  }

  /// Returns the index of the first chunk behind one at an index that has another tag, or lies
  /// behind the head if that one does not; the number of chunks if there is none.
  ///
  /// - Complexity: O(chunks passed).
  package func endOfRun(at index: Int) -> Int {
    guard let storage else { return index }
    let headCount = gapIndex
    let (first, end) =
      index < headCount ? (storage.headStart, headCount) : (firstIndex, chunkCount)
    let tag = storage.descriptor(first + index + 1).tag
    var next = index + 1
    while next < end, storage.descriptor(first + next + 1).tag == tag { next += 1 }
    return next
  }

  /// The payload of all chunks, one behind the other.
  ///
  /// - Complexity: O(1); nothing is copied.
  public var payload: ChunkBytes {
    guard count > 0 else { return ChunkBytes(storage: nil, origin: 0, count: 0) }
    let storage = storage!
    let head = storage.head
    let begin = storage.begin(firstIndex + head.count)
    return ChunkBytes(
      storage: storage, origin: payloadOrigin(of: storage),
      count: head.byteCount + storage.begin(firstIndex + count) - begin)
  }
}

// MARK: Filling

extension RingBatch {
  /// Removes all chunks, and keeps the memory.
  @inline(__always)
  mutating func removeAll() { chunkCount = 0 }

  /// Returns room for a read: this batch's own memory if nothing else refers to it and it is large
  /// enough, else fresh memory.
  ///
  /// - Parameters:
  ///   - bytes: The payload of the chunks behind the head.
  ///   - chunks: The number of these.
  ///   - head: The head's chunks that the batch is to hold besides.
  ///   - hasTimestamps: Whether the chunks have timestamps.
  mutating func makeRoom(
    bytes: Int, chunks: Int, head: BatchStorage.Head = BatchStorage.Head(), hasTimestamps: Bool
  ) -> BatchStorage {
    let bytes = head.byteCount + bytes
    let descriptors = chunks + 1 + head.descriptorCount
    let timestamps = hasTimestamps ? chunks + head.count : 0
    if storage == nil
      || !storage!.reuse(bytes: bytes, descriptors: descriptors, timestamps: timestamps)
    {
      storage = BatchStorage(bytes: bytes, descriptors: descriptors, timestamps: timestamps)
    }
    storage!.setHead(head)
    return storage!
  }

  /// Takes a range of the chunks in the storage that `makeRoom` returned, and the head's before
  /// them.
  mutating func setChunks(_ indices: Range<Int>, firstSeq: Int) {
    let headCount = storage!.head.count
    firstIndex = indices.lowerBound - headCount
    self.firstSeq = firstSeq - headCount
    chunkCount = indices.count + headCount
  }
}

// MARK: Summary

/// What a read found out besides the chunks.
@usableFromInline
struct ReadSummary: Sendable {
  @usableFromInline var status: UInt64 = 0
  @usableFromInline var lostBytes = 0
  @usableFromInline var missedChunks = 0
  @usableFromInline var missedByteCount = KnownCount(count: 0)
  @usableFromInline var cursor = RingCursor.start
  @usableFromInline var hasMore = false
  @usableFromInline var isCursorAhead = false
  @usableFromInline var isDamaged = false

  @inlinable init() {}

  var missedBytes: Int? {
    get { missedByteCount.value }
    set { missedByteCount = KnownCount(newValue) }
  }
}

extension ReadSummary {
  /// The summary of a read that found nothing new after a seq.
  @inline(__always)
  init(status: UInt64, window: RetainedWindow, since seq: Int) {
    self.init(
      IdleState(
        status: status, newestSeq: window.newestSeq, end: window.end, lostBytes: window.lostBytes),
      since: seq)
  }

  /// The summary of a poll that found nothing new after a seq.
  @inlinable @inline(__always)
  init(_ idle: IdleState, since seq: Int) {
    self.init()
    status = idle.status
    lostBytes = idle.lostBytes
    cursor = RingCursor(publishedSeq: idle.newestSeq, end: idle.end)
    isCursorAhead = seq > idle.newestSeq
  }
}

/// What a poll that finds nothing new reports: four words, which a call returns in registers.
///
/// Most polls find nothing, so they do not go the way through a batch in memory. An optional would
/// be a word too long for that.
@usableFromInline
struct IdleState {
  @usableFromInline let status: UInt64
  @usableFromInline let newestSeq: Int
  @usableFromInline let end: Int
  @usableFromInline let lostBytes: Int

  init(status: UInt64, newestSeq: Int, end: Int, lostBytes: Int) {
    self.status = status
    self.newestSeq = newestSeq
    self.end = end
    self.lostBytes = lostBytes
  }

  /// Says that there is something to read, or that a search is needed to tell.
  static var busy: IdleState { IdleState(status: 0, newestSeq: -1, end: 0, lostBytes: 0) }

  /// Whether there is nothing to read, so that the rest means something.
  @inlinable var isIdle: Bool { newestSeq >= 0 }
}

extension RingBatch {
  /// Creates the batch of a poll that found nothing new.
  @inlinable @inline(__always)
  init(_ idle: IdleState, since seq: Int) {
    summary = ReadSummary(idle, since: seq)
  }
}

// MARK: Memory

/// The memory of one batch: one allocation, which the batch and its chunks share.
///
/// ```
///  ┌───────────────┬──────────────────────────────────────┬─────────────────────────────┐
///  │ object header │ descriptors: where the first chunk   │ payload, from the first     │
///  │ and counts    │ begins, then one per chunk           │ chunk's first byte          │
///  └───────────────┴──────────────────────────────────────┴─────────────────────────────┘
/// ```
///
/// With chunks of a ring's head, the descriptors of these follow those of the other chunks, in the
/// same form. The payload then begins with as much room as the head's has, which ends up right
/// before that of the first chunk that was not lapped: all payload is contiguous.
///
/// With timestamps, these follow the descriptors: first those of the chunks behind the head, then
/// the head's.
///
/// It is written only while one batch alone refers to it. After that, what it holds never changes.
@safe
@usableFromInline
struct BatchStorage: @unchecked Sendable {
  @usableFromInline
  struct Counts {
    /// The words allocated, for descriptors and payload together.
    let words: Int
    /// The words in use for descriptors and timestamps; the payload begins behind them.
    @usableFromInline var descriptors: Int
    /// The words of these that are timestamps: one for each chunk, or 0.
    var timestamps: Int
    /// The chunks of a ring's head.
    var head = Head()
  }

  /// How much of a ring's head a batch holds.
  struct Head {
    var count = 0
    var byteCount = 0

    /// The words for descriptors: where the first chunk begins, then one per chunk.
    var descriptorCount: Int { count == 0 ? 0 : count + 1 }
  }

  @usableFromInline var buffer: ManagedBuffer<Counts, UInt64>

  /// Allocates room for a batch.
  init(bytes: Int, descriptors: Int, timestamps: Int = 0) {
    let used = descriptors + timestamps
    let words = Self.wordsNeeded(bytes: bytes, descriptors: used)
    buffer = .create(minimumCapacity: words) { _ in
      Counts(words: words, descriptors: used, timestamps: timestamps)
    }
  }

  /// Makes room in the memory that is there, if it is large enough and nothing else refers to it.
  ///
  /// - Returns: Whether there is room.
  mutating func reuse(bytes: Int, descriptors: Int, timestamps: Int = 0) -> Bool {
    let used = descriptors + timestamps
    guard isKnownUniquelyReferenced(&buffer),
      buffer.header.words >= Self.wordsNeeded(bytes: bytes, descriptors: used)
    else { return false }
    buffer.header.descriptors = used
    buffer.header.timestamps = timestamps
    return true
  }

  private static func wordsNeeded(bytes: Int, descriptors: Int) -> Int {
    descriptors + (bytes + 7) / 8
  }

  /// - Safety: valid while the storage is referenced; see `extendLifetime`.
  @unsafe
  @inlinable
  var descriptors: UnsafeMutablePointer<UInt64> {
    @inline(__always) get { unsafe buffer.withUnsafeMutablePointerToElements { unsafe $0 } }
  }

  /// - Safety: valid while the storage is referenced; see `extendLifetime`.
  @unsafe
  @inlinable
  var payload: UnsafeMutableRawPointer {
    @inline(__always) get {
      // By the header's address: `buffer.header` would be checked for exclusive access each time.
      unsafe buffer.withUnsafeMutablePointers { header, elements in
        unsafe UnsafeMutableRawPointer(elements + header.pointee.descriptors)
      }
    }
  }
}

extension BatchStorage {
  /// The chunks of a ring's head.
  var head: Head {
    @inline(__always) get {
      unsafe buffer.withUnsafeMutablePointerToHeader { unsafe $0.pointee.head }
    }
  }

  mutating func setHead(_ head: Head) {
    unsafe buffer.withUnsafeMutablePointerToHeader { unsafe $0.pointee.head = head }
  }

  /// The index of the descriptor that says where the head's first chunk begins.
  var headStart: Int {
    unsafe buffer.withUnsafeMutablePointerToHeader { header in
      unsafe header.pointee.descriptors - header.pointee.timestamps
        - header.pointee.head.descriptorCount
    }
  }

  /// The descriptor at an index: 0 for the predecessor of chunk 0, one more for each chunk.
  @inline(__always)
  func descriptor(_ index: Int) -> Descriptor { unsafe Descriptor(word: descriptors[index]) }

  /// Returns where a chunk begins; for the number of chunks, where the last one ends.
  @inline(__always)
  func begin(_ index: Int) -> Int { descriptor(index).end }

  /// Stores where chunk 0 begins, which is not where its predecessor ends if the chunk is larger
  /// than the cap.
  ///
  /// No other chunk can be so large: it would have evicted all that came before it.
  func setBegin(_ begin: Int) {
    unsafe descriptors[0] = Descriptor(end: begin, tag: false).word
  }

  /// Returns the first chunk of a range that begins at an offset or after it; the range's upper
  /// bound if none does.
  ///
  /// Descriptors before the range may have been reused while they were copied; they are not used.
  func firstChunk(beginningAt offset: Int, in chunks: Range<Int>) -> Int {
    var (left, right) = (chunks.lowerBound, chunks.upperBound)
    while left < right {
      let middle = (left + right) / 2
      if begin(middle) < offset { left = middle + 1 } else { right = middle }
    }
    return left
  }
}
