import CRingShims

/// The consumers' end of a ring: any number of them, on any threads, none of which the producer or
/// another reader ever notices.
///
/// Reading does not consume: the same question asked again gets the same chunks for as long as they
/// are retained. A read takes no lock and ends after a bounded amount of work, however fast the
/// producer is.
public struct RingReader: Sendable {
  let memory: RingMemory
  /// Payload is copied and confirmed in pieces of this many bytes.
  package var pieceSize = 32_768

  init(_ memory: RingMemory) { self.memory = memory }

  /// The ring's geometry.
  public var layout: RingLayout { memory.layout }

  /// The newest published seq; 0 before the first append.
  ///
  /// - Complexity: O(1); one load.
  public var lastSeq: Int { memory.control.observe() }

  /// The owner's status word; see ``RingWriter/status``.
  ///
  /// - Complexity: O(1); one load.
  public var status: UInt64 { unsafe ring_load_acquire(memory.status) }

  /// The bytes appended so far that are no longer retained.
  ///
  /// - Complexity: O(1) if nothing was appended since any reader last asked, else O(log chunks).
  public var lostBytes: Int { state.lostBytes }

  /// The bytes appended so far, whether they are retained or not.
  ///
  /// - Complexity: as ``lostBytes``.
  public var totalBytes: Int { state.cursor.offset }

  /// Everything but chunks.
  ///
  /// Other reads may say that they found out nothing; here that is no answer. An attempt finds out
  /// nothing only if the producer appends ``RingLayout/slotCount`` − ``RingLayout/chunkLimit``
  /// chunks during it (1,024 in a session's ring, more where fewer chunks are retained), as when
  /// this thread is stopped in the middle of it. This goes on only while that happens to every
  /// attempt.
  private var state: RingBatch {
    while true {
      let batch = read(since: .max)
      if !batch.hasMore { return batch }
    }
  }

  /// Reads every retained chunk after a seq, into fresh memory.
  ///
  /// - Parameters:
  ///   - seq: The last chunk already dealt with. 0 or less reads from the beginning.
  ///   - maxBytes: A limit on the payload read, or nil for none. At least one chunk is read if any
  ///     is due; ``RingBatch/hasMore`` tells whether chunks were left.
  /// - Returns: The chunks and the ring's state, as of one instant.
  /// - Complexity: O(payload read) plus O(log chunks); at most one allocation, and none if there is
  ///   nothing to read.
  public func read(since seq: Int = 0, maxBytes: Int? = nil) -> RingBatch {
    let idle = idle(since: seq)
    if idle.isIdle { return RingBatch(idle, since: seq) }
    var batch = RingBatch()
    read(since: seq, maxBytes: maxBytes, into: &batch)
    return batch
  }

  /// Reads every retained chunk after a cursor, into fresh memory.
  ///
  /// As ``read(since:maxBytes:)-(Int,_)``, and ``RingBatch/missedBytes`` is always known.
  public func read(since cursor: RingCursor, maxBytes: Int? = nil) -> RingBatch {
    let idle = idle(since: cursor.seq)
    if idle.isIdle { return RingBatch(idle, since: cursor.seq) }
    var batch = RingBatch()
    read(since: cursor, maxBytes: maxBytes, into: &batch)
    return batch
  }

  /// Reads every retained chunk after a seq, into the memory of an earlier batch.
  ///
  /// Allocates nothing if the batch has room and neither it nor one of its chunks has been copied;
  /// otherwise the batch gets fresh memory, so that the bytes of a chunk never change.
  /// ``RingBatch/init(reservingBytes:chunks:)`` makes a batch with room.
  public func read(since seq: Int = 0, maxBytes: Int? = nil, into batch: inout RingBatch) {
    read(from: Position(seq: seq, offset: nil), maxBytes: maxBytes, into: &batch, probe: NoProbe())
  }

  /// Reads every retained chunk after a cursor, into the memory of an earlier batch; see
  /// ``read(since:maxBytes:into:)-(Int,_,_)``.
  public func read(since cursor: RingCursor, maxBytes: Int? = nil, into batch: inout RingBatch) {
    // A negative offset is one that is not known; or it is from anywhere, such as a client's
    // request, and must not overflow later on.
    read(
      from: Position(seq: cursor.seq, offset: cursor.offset < 0 ? nil : cursor.offset),
      maxBytes: maxBytes, into: &batch, probe: NoProbe())
  }
}

/// Where a read starts: a cursor, or a seq whose offset is not known.
package struct Position {
  var seq: Int
  var offset: Int?

  package init(seq: Int, offset: Int?) {
    self.seq = seq
    self.offset = offset
  }
}

// MARK: White-box testing

/// A place between two steps of a read at which a test may let the producer go on.
package enum ReadStep {
  /// After the newest seq was loaded, before the status is loaded again.
  case observing
  /// After the newest seq was observed, before descriptors are loaded.
  case observed
  /// After the window was confirmed, before descriptors are loaded once more.
  case located
  /// After descriptors were loaded, before they are confirmed.
  case searched
  /// After the descriptors loaded were confirmed, before any are copied out.
  case confirmed
  /// After descriptors were copied out, before they are confirmed.
  case copiedDescriptors
  /// After a piece of payload was copied out, before it is confirmed.
  case copiedPayload
}

/// Something that is called between the steps of a read.
package protocol ReadProbe {
  func reached(_ step: ReadStep)
}

/// What every read and append but a test's uses; compiles to nothing.
struct NoProbe: ReadProbe {
  @inline(__always) func reached(_ step: ReadStep) {}
}
