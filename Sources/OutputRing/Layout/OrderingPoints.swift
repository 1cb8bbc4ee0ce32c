import CRingShims

// The ring's protocol: one producer, any number of readers, no locks.
//
// STRUCTURES
//
//   announcedSeq, announcedOffset   how far the producer may have begun to overwrite: the slot of
//                                   seq q is intact while announcedSeq < q + slotCount, the payload
//                                   byte of offset o while announcedOffset <= o + payloadSize. Both
//                                   only grow: a reservation that is not used up is not taken back,
//                                   because the kernel may have scribbled past what it returned.
//   publishedSeq                    the newest chunk that readers may see.
//   descriptors, payload            rings; see RingLayout.
//   status                          one word of the owner's, changed by the producer only.
//
// STATES OF A CHUNK
//
//   announced    its slot and its bytes' places are being overwritten; nobody reads it yet
//   published    readers may copy it
//   retained     published, and among the newest chunks within the cap (a pure function of the
//                published descriptors, less what the announced pieces of an append in flight overwrite)
//   dropped      published and no longer retained; its bytes may happen to be intact
//
// Retained is what the contract promises; intact is what a copy must check. They are two questions,
// and a reader asks both.
//
// ORDERING POINTS
//
//   RING(announce)     producer  release fence   after announcing, before overwriting; once for each
//                                                piece of an append that is larger than the slack
//   RING(publish)      producer  release store   after descriptor and payload
//   RING(observe)      reader    acquire load    before anything else
//   RING(descriptors)  reader    acquire fence   after loading descriptors, before using their values
//   RING(payload)      reader    acquire fence   after copying payload, before delivering it
//
//   publish   pairs with observe:      a reader that sees seq s published sees its descriptor,
//                                      its payload, and everything before.
//   announce  pairs with descriptors:  a reader that loaded a descriptor's overwritten value sees
//                                      the announcement that preceded the overwriting.
//   announce  pairs with payload:      a reader that copied one overwritten byte sees the
//                                      announcement likewise.
//
// A release *store* is no announcement: it orders what came before it, not the overwriting that
// comes after. An acquire *load* is no validation: it orders what comes after it, not the copy that
// came before. Hence fences at three of the five points. On x86-64 all five compile to plain loads
// and stores; on arm64 an append costs one `dmb ish`.

/// The counters that producer and readers share, on a 128-byte line of their own.
@safe
struct ControlLine: @unchecked Sendable {
  private let words: UnsafeMutablePointer<UInt64>

  init(at address: UnsafeMutableRawPointer) {
    unsafe words = address.assumingMemoryBound(to: UInt64.self)
  }

  private var announcedSeq: UnsafeMutablePointer<UInt64> { unsafe words }
  private var announcedOffset: UnsafeMutablePointer<UInt64> { unsafe words + 1 }
  private var publishedSeq: UnsafeMutablePointer<UInt64> { unsafe words + 2 }
}

// MARK: Producer

extension ControlLine {
  /// Announces that the slot of `seq` will be overwritten, and payload up to `offset`.
  @inline(__always)
  func announce(seq: Int, offset: Int) {
    unsafe ring_store_relaxed(announcedSeq, UInt64(truncatingIfNeeded: seq))
    unsafe ring_store_relaxed(announcedOffset, UInt64(truncatingIfNeeded: offset))
    // RING(announce), pairs with RING(descriptors) and RING(payload): no store to the slot or to
    // the payload becomes visible before the announcement.
    ring_fence_release()
  }

  /// Publishes a seq whose descriptor and payload are stored.
  @inline(__always)
  func publish(seq: Int) {
    // RING(publish), pairs with RING(observe).
    unsafe ring_store_release(publishedSeq, UInt64(truncatingIfNeeded: seq))
  }
}

// MARK: Reader

extension ControlLine {
  /// The newest published seq; its descriptor and payload, and all before, are visible.
  @inline(__always)
  func observe() -> Int {
    // RING(observe), pairs with RING(publish).
    unsafe Int(truncatingIfNeeded: ring_load_acquire(publishedSeq))
  }

  /// How far slots may have been overwritten, seen from after the descriptor loads that precede.
  @inline(__always)
  func announcedSeqAfterDescriptors() -> Int {
    // RING(descriptors), pairs with RING(announce): had one of the loads before returned an
    // overwritten value, the load below would return its announcement.
    ring_fence_acquire()
    return unsafe Int(truncatingIfNeeded: ring_load_relaxed(announcedSeq))
  }

  /// How far payload may have been overwritten, seen from after the payload copies that precede.
  @inline(__always)
  func announcedOffsetAfterPayload() -> Int {
    // RING(payload), pairs with RING(announce): likewise for the copied bytes.
    ring_fence_acquire()
    return unsafe Int(truncatingIfNeeded: ring_load_relaxed(announcedOffset))
  }

  /// How far payload may have been overwritten, at least: a hint, which orders nothing.
  @inline(__always)
  func announcedOffsetHint() -> Int {
    unsafe Int(truncatingIfNeeded: ring_load_relaxed(announcedOffset))
  }
}
