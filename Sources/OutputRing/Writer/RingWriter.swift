package import CRingShims

/// The producer's end of a ring: appends chunks, overwriting the oldest.
///
/// Every operation is wait-free: no lock, no loop but the copy, and no regard for readers, which
/// cannot hold the producer up. A ring has exactly one writer, created with it; it cannot be
/// copied, so the compiler checks that there is one producer at a time.
///
/// ```swift
/// var writer = RingWriter(RingLayout(capacity: 1 << 20))
/// let reader = writer.reader
/// writer.append("hello".utf8)
/// for chunk in reader.read() { print(chunk.seq, chunk.data.count) }
/// ```
@safe
public struct RingWriter: ~Copyable, @unchecked Sendable {
  let memory: RingMemory

  // The producer's private view. It is in here and not in the shared region, so that writing it
  // takes no cache line from a reader.
  let control: ControlLine
  let descriptors: UnsafeMutablePointer<UInt64>
  let payload: UnsafeMutableRawPointer
  let copyMethod: RingCopyMethod
  let slotMask: Int
  let payloadSize: Int
  /// Up to this place in the payload, chunks are copied in one piece by assembly: the payload's
  /// size, or 0 where the copy must not be assembly.
  let inlineLimit: Int

  /// The newest published seq; 0 before the first append.
  public internal(set) var lastSeq = 0
  /// The bytes appended so far: the offset at which the next chunk begins.
  public internal(set) var endOffset = 0
  /// How far reservations have announced; what is announced is never taken back, so it may be more
  /// than `endOffset`.
  var reservedOffset = 0
  /// Where `endOffset` lies in the payload: `endOffset mod payloadSize`.
  var position = 0

  /// Creates a ring, and the writer of it.
  ///
  /// - Parameter layout: The ring's capacity and limits.
  /// - Precondition: the system has memory for it; see ``init(allocating:)``.
  /// - Complexity: O(1); memory is mapped but not touched, except for one page.
  public init(_ layout: RingLayout) { self.init(layout, copyMethod: .current) }

  /// Creates a ring, and the writer of it, if the system has memory for it.
  ///
  /// - Parameter layout: The ring's capacity and limits.
  /// - Throws: ``RingAllocationError`` if there is no memory or no room for another mapping.
  /// - Complexity: O(1); memory is mapped but not touched, except for one page.
  public init(allocating layout: RingLayout) throws(RingAllocationError) {
    self.init(memory: try RingMemory(layout))
  }

  /// Creates a ring that copies in the way given, for tests and benchmarks.
  package init(_ layout: RingLayout, copyMethod: RingCopyMethod) {
    do throws(RingAllocationError) {
      self.init(memory: try RingMemory(layout, copyMethod: copyMethod))
    } catch {
      fatalError(error.description)
    }
  }

  init(memory: RingMemory) {
    self.memory = memory
    control = memory.control
    unsafe descriptors = memory.descriptors
    unsafe payload = memory.payload
    copyMethod = memory.copyMethod
    slotMask = memory.slotMask
    payloadSize = memory.layout.payloadSize
    inlineLimit = copyMethod == .atomicWords ? 0 : payloadSize
  }

  /// A reader of this ring. Readers are values: copy them, send them anywhere.
  public var reader: RingReader { RingReader(memory) }

  /// The ring's geometry.
  public var layout: RingLayout { memory.layout }
}

// MARK: Status

extension RingWriter {
  /// A word that belongs to the ring's owner, 0 at first.
  ///
  /// A read returns it together with the chunks, as of one instant: a reader that sees a status
  /// also gets, in that read or before it, every chunk appended before that status was set.
  public var status: UInt64 {
    get { unsafe ring_load_relaxed(memory.status) }
    set { storeStatus(newValue) }
  }

  /// Sets the status of a writer that is about to go, in a `deinit`.
  package func storeStatus(_ status: UInt64) {
    unsafe ring_store_release(memory.status, status)
  }
}
