import CRingShims

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The region of one ring, owned: mapped when created, unmapped when its last user is gone.
///
/// Fresh pages cost about a millisecond per MiB when first touched, so the region is mapped and not
/// cleared: an empty ring occupies one page.
@safe
final class RingMemory: @unchecked Sendable {
  let layout: RingLayout
  let copyMethod: RingCopyMethod
  private let base: UnsafeMutableRawPointer

  /// Announced and published counters; see ``ControlLine``.
  let control: ControlLine
  /// The readers' shared note of where the retained window begins; see ``WindowCache``.
  let windowCache: WindowCache
  /// The owner's status word.
  let status: UnsafeMutablePointer<UInt64>
  let descriptors: UnsafeMutablePointer<UInt64>
  let payload: UnsafeMutableRawPointer

  /// The slot of a seq is `seq & slotMask`.
  var slotMask: Int { layout.slotCount - 1 }

  init(
    _ layout: RingLayout, copyMethod: RingCopyMethod = .current
  ) throws(RingAllocationError) {
    self.layout = layout
    self.copyMethod = copyMethod
    let base = unsafe mmap(
      nil, layout.regionSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0)
    guard let base = unsafe base, unsafe base != MAP_FAILED else {
      throw RingAllocationError(byteCount: layout.regionSize, code: errno)
    }
    #if canImport(Glibc) || canImport(Musl)
      // Neighbouring rings merge into one mapping; a huge page would make an empty ring cost 2 MiB.
      unsafe madvise(base, layout.regionSize, Int32(MADV_NOHUGEPAGE))
    #endif
    unsafe self.base = base
    unsafe self.control = ControlLine(at: base + RingLayout.controlStart)
    unsafe self.windowCache = WindowCache(at: base + RingLayout.readerLineStart)
    unsafe self.status = (base + RingLayout.statusByte).assumingMemoryBound(to: UInt64.self)
    unsafe self.descriptors =
      (base + RingLayout.descriptorStart).assumingMemoryBound(to: UInt64.self)
    unsafe self.payload = base + layout.payloadStart
    // Anonymous memory is zero: no seq announced or published, and seq 0 ends at offset 0.
    for (index, word) in layout.header.enumerated() {
      unsafe base.storeBytes(of: word, toByteOffset: index * 8, as: UInt64.self)
    }
  }

  deinit { unsafe munmap(base, layout.regionSize) }

  /// The end offset and tag of a seq's chunk, as its slot holds them now.
  ///
  /// The slot may have been reused: the value must not serve as an address or a length before
  /// ``ControlLine/announcedSeqAfterDescriptors()`` has confirmed it.
  @inline(__always)
  func descriptor(_ seq: Int) -> Descriptor {
    unsafe Descriptor(word: ring_load_relaxed(descriptors + (seq & slotMask)))
  }

  /// Where a chunk begins, from its own and its predecessor's end: at its predecessor's end, unless
  /// it is larger than the cap, in which case only its last `capacity` bytes were stored.
  @inline(__always)
  func begin(predecessorEnd: Int, end: Int) -> Int { max(predecessorEnd, end - layout.capacity) }
}

/// One word per chunk: where it ends, and its tag.
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
