/// The consumers' end of a ring. Any number of readers may read on any threads; neither the
/// producer nor another reader ever waits for one.
///
/// Reading does not consume: the same question gets the same chunks for as long as they are
/// retained. A read takes no lock and ends after a bounded amount of work, however fast the
/// producer is.
public struct RingReader: Sendable {
  let memory: RingMemory

  init(_ memory: RingMemory) { self.memory = memory }

  /// The ring's geometry.
  public var layout: RingLayout { memory.layout }

  /// The newest published seq. Before the first append it is 0, or, in a ring that continues
  /// another one, the seq of the chunk after which it begins.
  ///
  /// - Complexity: O(1); one load.
  public var lastSeq: Int { memory.plausibleCount(memory.counters.observe()) }

  /// The owner's status word; see ``RingWriter/status``.
  ///
  /// - Complexity: O(1); one load.
  public var status: UInt64 { memory.status }

  /// The bytes appended so far that are no longer retained.
  ///
  /// - Complexity: O(1) if nothing was appended since any reader last asked, else O(log chunks).
  public var lostBytes: Int { state.lostBytes }

  /// The bytes appended so far, whether they are retained or not.
  ///
  /// - Complexity: as ``lostBytes``.
  public var totalBytes: Int { state.end }

  /// Everything but chunks.
  ///
  /// Other reads may report that they found out nothing; here that is no answer. An attempt finds
  /// out nothing only if the producer appends ``RingLayout/slotCount`` − ``RingLayout/chunkLimit``
  /// chunks during it (1,024 in a session's ring, more where fewer chunks are retained), as when
  /// this thread is stopped in the middle of it. If that happens to each of a thousand attempts, or
  /// if a file holds what no producer stores, the answer is what was found last.
  private var state: (lostBytes: Int, end: Int) {
    for _ in 0..<64 {
      let batch = read(since: RingCursor(seq: .max))
      if let end = batch.cursor.offset, !batch.hasMore { return (batch.lostBytes, end) }
      if batch.isDamaged { break }
    }
    let lostBytes = memory.windowCache.reportedLoss
    return (lostBytes, max(lostBytes, memory.windowCache.load()?.end ?? 0))
  }

  /// Returns every retained chunk after a cursor, in fresh memory.
  ///
  /// - Parameters:
  ///   - cursor: The last chunk that the caller has dealt with, such as ``RingBatch/cursor`` of its
  ///     last read, or a seq. By default the read begins with the oldest retained chunk.
  ///   - maxBytes: A limit on the payload read, in bytes, or nil for none. At least one chunk is
  ///     read if any is due; ``RingBatch/hasMore`` tells whether chunks were left.
  /// - Returns: The chunks and the ring's state, as of one instant.
  /// - Complexity: O(payload read) plus O(log chunks); at most one allocation, and none if there is
  ///   nothing to read.
  @inlinable
  public func read(since cursor: RingCursor = .start, maxBytes: Int? = nil) -> RingBatch {
    let idle = idle(since: cursor.seq)
    if idle.isIdle { return RingBatch(idle, since: cursor.seq) }
    return readNews(since: cursor, maxBytes: maxBytes)
  }

  /// Reads every retained chunk after a cursor, into the memory of an earlier batch.
  ///
  /// Allocates nothing if the batch has room and neither it nor one of its chunks has been copied;
  /// otherwise the batch gets fresh memory, so that the bytes of a chunk never change.
  /// ``RingBatch/init(reservingBytes:chunks:timestamps:)`` makes a batch with room.
  ///
  /// The parameters and the complexity are those of ``read(since:maxBytes:)``.
  public func read(
    since cursor: RingCursor = .start, maxBytes: Int? = nil, into batch: inout RingBatch
  ) {
    read(since: cursor, maxBytes: maxBytes, into: &batch, probe: NoProbe())
  }
}

// MARK: Rings in files

extension RingReader {
  /// Attaches to a ring in a file, which another program may be writing.
  ///
  /// The file is mapped to be read only; no reader can slow or harm the producer. What the file
  /// holds is not believed: a read returns chunks, gaps or ``RingBatch/isDamaged``, whatever the
  /// bytes are. The file must not be cut short while it is mapped: reading what is gone raises
  /// SIGBUS.
  ///
  /// - Parameter path: The file that ``RingWriter/init(recordingTo:_:metadata:)`` made.
  /// - Throws: ``RingFileError`` if there is no such file, or no ring in it that can be read.
  /// - Complexity: O(1).
  public init(attachingTo path: String) throws(RingFileError) {
    self.init(try RingFile.attach(to: path))
  }

  /// Whether the producer's program still runs, and has the ring open. Always true in that program.
  ///
  /// The kernel answers: a lock on the file goes with the program, by whatever signal it ends. A
  /// reader that finds it gone, and then reads, has everything that was ever published.
  ///
  /// - Complexity: O(1); a system call for an attached ring.
  public var isProducerAlive: Bool { memory.file?.isProducerAlive ?? true }

  /// The file that the ring lies in, if it does.
  package var file: RingFile? { memory.file }

  /// Whether the ring lies in a file.
  package var isInFile: Bool { memory.file != nil }

  /// Whether the file still has all bytes of the mapping; true of a ring in memory.
  ///
  /// - Complexity: O(1); one system call, and no access to the mapping.
  package var isFileWhole: Bool { memory.file?.hasBytes(layout.regionSize) ?? true }

  /// The bytes that the owner left for readers of a ring in a file; none of a ring in memory.
  ///
  /// - Complexity: O(size of the metadata).
  public var metadata: [UInt8] { isInFile ? memory.metadata : [] }

  /// Whether the machine still runs that the ring was made on, and has not been started anew.
  ///
  /// What a ring of an earlier boot holds is what the system had written to the disk by then. Seqs
  /// and lengths are checked as always. The bytes of a chunk may be older than its descriptor.
  public var isOfThisBoot: Bool { !isInFile || memory.isOfThisBoot }

  /// One of the owner's words besides the status.
  package func note(_ index: Int) -> UInt64 { memory.note(index) }

  /// Stores one of the owner's words, in the producer's process.
  package func setNote(_ index: Int, to value: UInt64) { memory.setNote(index, to: value) }
}

// MARK: Polls that find nothing

extension RingReader {
  /// Returns the ring's state, if there is nothing to read after a seq and the window is cached.
  @usableFromInline
  func idle(since seq: Int) -> IdleState {
    let (status, newestSeq) = memory.observe(probe: NoProbe())
    guard seq >= newestSeq, let window = memory.cachedWindow(newestSeq: newestSeq) else {
      return .busy
    }
    return IdleState(
      status: status, newestSeq: newestSeq, end: window.end, lostBytes: window.lostBytes)
  }

  /// Reads into fresh memory when ``idle(since:)`` did not settle it.
  @usableFromInline
  func readNews(since cursor: RingCursor, maxBytes: Int?) -> RingBatch {
    var batch = RingBatch()
    read(since: cursor, maxBytes: maxBytes, into: &batch)
    return batch
  }
}

// MARK: Retry policy

extension RingReader {
  /// How many attempts a read makes before it settles for reporting what it missed.
  static var attemptLimit: Int { 16 }

  /// Makes attempts until one is complete.
  ///
  /// The first attempt copies the oldest chunks first, so that a producer slower than the copy
  /// costs nothing. All others copy the newest first, so that a faster producer cannot lap them as
  /// a whole. If none is complete, the account of the last one that was lapped stands.
  @inline(__always)
  package func read<Probe: ReadProbe>(
    since cursor: RingCursor, maxBytes: Int?, into batch: inout RingBatch, probe: Probe
  ) {
    batch.removeAll()
    let maxBytes = max(maxBytes ?? .max, 0)
    var order = ReadAttempt.PayloadOrder.oldestFirst
    var isLapped = false
    let publishedBefore = memory.isTrusted ? 0 : memory.counters.observe()
    for _ in 0..<Self.attemptLimit {
      let attempt = ReadAttempt(cursor: cursor, maxBytes: maxBytes, order: order)
      switch memory.read(attempt, into: &batch, probe: probe) {
      case .complete:
        return memory.windowCache.raiseReportedLoss(to: batch.lostBytes)
      case .lapped: isLapped = true
      case .stale: break
      case .damaged:
        batch.summary = nothingFound(since: cursor, isDamaged: true, probe: probe)
        return
      }
      order = .newestFirst
    }
    if !isLapped {
      // A producer that goes round the descriptors publishes. One that does not has announced what
      // cannot be, and would for ever.
      let isDamaged = !memory.isTrusted && memory.counters.observe() == publishedBefore
      batch.summary = nothingFound(since: cursor, isDamaged: isDamaged, probe: probe)
    }
    memory.windowCache.raiseReportedLoss(to: batch.lostBytes)
  }

  /// Returns the account of a read under each of whose attempts the producer went round the
  /// descriptors: nothing is new but the status, nothing is missed yet as far as this reader is
  /// concerned, and there is more to read, unless the ring is damaged.
  @inline(never)
  private func nothingFound<Probe: ReadProbe>(
    since cursor: RingCursor, isDamaged: Bool = false, probe: Probe
  ) -> ReadSummary {
    let (status, observedSeq) = memory.observe(probe: probe)
    let newestSeq = memory.plausibleCount(observedSeq)
    var summary = ReadSummary()
    summary.status = status
    summary.lostBytes = memory.windowCache.reportedLoss
    summary.isCursorAhead = cursor.seq > newestSeq
    // The newest chunk's end is not known, and its seq alone will do.
    summary.cursor = summary.isCursorAhead ? RingCursor(seq: newestSeq) : cursor
    summary.hasMore = !isDamaged
    summary.isDamaged = isDamaged
    return summary
  }
}
