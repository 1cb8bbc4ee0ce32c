import CRingShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The memory of one ring: mapped when it is created or found, unmapped with its last reference.
///
/// Fresh pages cost about a millisecond per MiB when they are first touched, so anonymous memory is
/// mapped and not cleared. An empty ring occupies one page. A ring in a file has all of its room
/// from the beginning; see ``RingFile``.
@safe
final class RingMemory: @unchecked Sendable {
  let layout: RingLayout
  let copyMethod: RingCopyMethod
  let base: UnsafeMutableRawPointer
  /// The file that the region is mapped from; nil for anonymous memory.
  let file: RingFile?
  /// Whether this process alone can have written the region, by this library: then what is in it
  /// need not be checked. Anything may be in a file.
  let isTrusted: Bool
  /// Where the ring begins: the last chunk of the ring that it continues, and where that ended.
  let origin: (seq: Int, end: Int)

  /// The control line: announced and published counters.
  let counters: RingCounters
  /// The retained window that a reader of this process found last, and the reported loss.
  let windowCache: WindowCache
  /// A page for the window cache; nil for anonymous memory, where it lies in the region.
  private let cachePage: UnsafeMutableRawPointer?
  private let statusWord: UnsafeMutablePointer<UInt64>
  let descriptors: UnsafeMutablePointer<UInt64>
  let payload: UnsafeMutableRawPointer

  /// The size of a mapping for the window cache, of which the system gives whole pages.
  static let cachePageSize = 128

  /// The slot of a seq is `seq & slotMask`.
  var slotMask: Int { layout.slotCount - 1 }

  /// Maps anonymous memory for a new ring.
  convenience init(
    _ layout: RingLayout, origin: (seq: Int, end: Int) = (0, 0),
    copyMethod: RingCopyMethod = .current
  ) throws(RingAllocationError) {
    let base = unsafe mmap(
      nil, layout.regionSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let base = unsafe base, unsafe base != MAP_FAILED else {
      throw RingAllocationError(byteCount: layout.regionSize, code: errno)
    }
    #if canImport(Glibc) || canImport(Musl)
      // Neighbouring rings merge into one mapping; a huge page would make an empty ring cost 2 MiB.
      unsafe madvise(base, layout.regionSize, Int32(MADV_NOHUGEPAGE))
    #endif
    unsafe self.init(
      base, layout, origin: origin, file: nil, cachePage: nil, copyMethod: copyMethod)
    // Anonymous memory is zero: no seq announced or published, and seq 0 ends at offset 0.
    unsafe layout.store(at: base)
    if origin.seq > 0 { storeOrigin() }
  }

  /// Takes over a region that is mapped.
  ///
  /// - Parameters:
  ///   - file: The file that it is mapped from; nil for anonymous memory.
  ///   - cachePage: A page of zeros, mapped for a region in a file: readers there must not write
  ///     it.
  init(
    _ base: UnsafeMutableRawPointer, _ layout: RingLayout, origin: (seq: Int, end: Int) = (0, 0),
    file: RingFile?, cachePage: UnsafeMutableRawPointer?, copyMethod: RingCopyMethod = .current
  ) {
    self.layout = layout
    self.origin = origin
    self.copyMethod = copyMethod
    self.file = file
    isTrusted = file == nil
    unsafe self.base = base
    unsafe self.cachePage = cachePage
    // A ring in memory has no notes: nobody else could read them.
    unsafe self.windowCache = WindowCache(at: cachePage ?? base + RingLayout.ownerLineStart)
    unsafe self.counters = RingCounters(at: base + RingLayout.controlStart)
    unsafe self.statusWord = (base + RingLayout.statusByte).assumingMemoryBound(to: UInt64.self)
    unsafe self.descriptors =
      (base + layout.descriptorStart).assumingMemoryBound(to: UInt64.self)
    unsafe self.payload = base + layout.payloadStart
  }

  deinit {
    unsafe munmap(base, layout.regionSize)
    if let cachePage = unsafe cachePage { unsafe munmap(cachePage, Self.cachePageSize) }
  }

  /// Returns the end and the tag of a seq's chunk, as its slot holds them now.
  ///
  /// The slot may have been reused. The value must not serve as an address or a length before
  /// ``RingCounters/announcedSeqAfterDescriptors()`` has confirmed it.
  @inline(__always)
  func descriptor(_ seq: Int) -> Descriptor {
    unsafe Descriptor(word: ring_load_relaxed(descriptors + (seq & slotMask)))
  }

  /// Makes the region that of a ring whose last chunk is the origin's, and no longer retained.
  private func storeOrigin() {
    let slot = unsafe descriptors + (origin.seq & slotMask)
    unsafe ring_store_relaxed(slot, Descriptor(end: origin.end, tag: false).word)
    windowCache.raiseReportedLoss(to: origin.end)
    counters.announce(seq: origin.seq, offset: origin.end)
    counters.publish(seq: origin.seq)
  }

  /// Returns where a chunk begins: where its predecessor ends, or, if it is larger than the cap, at
  /// the first of its last `capacity` bytes, which alone are stored.
  @inline(__always)
  func begin(predecessorEnd: Int, end: Int) -> Int { max(predecessorEnd, end - layout.capacity) }

  /// The descriptors of the head's chunks, that of seq 1 first.
  @inline(__always)
  var headDescriptors: UnsafeMutablePointer<UInt64> {
    unsafe (base + layout.headStart).assumingMemoryBound(to: UInt64.self)
  }

  /// The timestamps, in the order of the descriptors; only if there are any.
  var timestamps: UnsafeMutablePointer<UInt64> {
    unsafe (base + layout.timestampStart).assumingMemoryBound(to: UInt64.self)
  }

  /// The timestamps of the head's chunks, in the order of their descriptors; only if there are any.
  var headTimestamps: UnsafeMutablePointer<UInt64> {
    unsafe (base + layout.headTimestampStart).assumingMemoryBound(to: UInt64.self)
  }

  /// The payload of the head's chunks.
  @inline(__always)
  var headPayload: UnsafeMutableRawPointer { unsafe base + layout.headPayloadStart }

  /// The owner's status word.
  ///
  /// Storing it releases and loading it acquires, so a reader that sees a status also sees every
  /// chunk that was published before that status was stored.
  @inline(__always)
  var status: UInt64 {
    get { unsafe ring_load_acquire(statusWord) }
    set { unsafe ring_store_release(statusWord, newValue) }
  }
}

extension RingMemory {
  /// One of the owner's notes: words apart from the status.
  ///
  /// As with the status, storing one releases and loading one acquires: a reader that sees a note
  /// sees all notes that were stored before it.
  func note(_ index: Int) -> UInt64 { unsafe ring_load_acquire(noteWord(index)) }

  /// Stores one of the owner's notes. The producer's process alone may do so.
  func setNote(_ index: Int, to value: UInt64) {
    unsafe ring_store_release(noteWord(index), value)
  }

  private func noteWord(_ index: Int) -> UnsafeMutablePointer<UInt64> {
    precondition(file != nil, "a ring in memory has no notes")
    precondition(0..<16 ~= index, "a ring has 16 notes, and none is number \(index)")
    return unsafe (base + RingLayout.ownerLineStart).assumingMemoryBound(to: UInt64.self) + index
  }
}

/// One word per chunk: where the chunk ends, and its tag.
struct Descriptor {
  let word: UInt64

  @inline(__always) init(word: UInt64) { self.word = word }
  @inline(__always) init(end: Int, tag: Bool) {
    word = UInt64(truncatingIfNeeded: end) << 1 | (tag ? 1 : 0)
  }

  /// The offset just behind the chunk's last byte.
  @inline(__always) var end: Int { Int(truncatingIfNeeded: word >> 1) }
  @inline(__always) var tag: Bool { word & 1 != 0 }
}

/// An error that says that the system has no memory for a ring, or no room for another mapping.
public struct RingAllocationError: Error, Sendable, Hashable {
  /// The size of the ring's region in bytes.
  public let byteCount: Int
  /// What `mmap(2)` reported: `ENOMEM`, or `EAGAIN` where memory is locked.
  public let code: Int32
}

extension RingAllocationError: CustomStringConvertible {
  /// What was wrong, and what to do.
  public var description: String {
    let reason = unsafe String(cString: strerror(code))
    return "no memory for an output ring of \(byteCount) bytes (\(reason)): "
      + "use fewer or smaller rings, raise the limit on memory (ulimit -v), or vm.max_map_count"
  }
}
