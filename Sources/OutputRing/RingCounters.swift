import CRingShims

// The ring's protocol: one producer, any number of readers, no locks.
//
// STRUCTURES
//
//   announcedSeq, announcedOffset   how far the producer may have begun to overwrite. The slot of
//                                   seq q is intact while announcedSeq < q + slotCount, the payload
//                                   byte of offset o while announcedOffset <= o + payloadSize. Both
//                                   only grow. A reservation that is not used up is not taken back,
//                                   because the kernel may have written beyond what it returned.
//   publishedSeq                    the newest chunk that readers may see
//   headSeq                         the newest chunk of the head; 0 without one
//   descriptors, payload            rings; see RingLayout
//   timestamps                      only where asked for: a word beside each descriptor, for which
//                                   holds what holds for that
//   head's descriptors and payload  areas of which each byte is written once
//   status                          one word of the owner's, stored by the producer only
//   window cache, reported loss     words that only readers store; see RetainedWindow
//
// STATES OF A CHUNK
//
//   announced    its slot and its bytes are being overwritten; no reader reads it yet
//   published    readers may copy it
//   retained     published, and among the newest chunks within the cap and the chunk limit. This is
//                a function of the published descriptors, less what the announced pieces of an
//                append in flight overwrite.
//   evicted      published and no longer retained; its bytes may still be intact
//
//   A chunk of the head stays retained, and cannot be lapped. The window is that of the chunks
//   behind the head.
//
//   Retained is what the contract promises; intact is what a copy must confirm. A reader checks
//   both. A chunk is lapped if it is overwritten while a reader reads it.
//
// THE WRITER'S STEPS, for each chunk
//
//   W1 announce   store announcedSeq and announcedOffset; RING(announce)
//   W2 copy       copy the payload into its place
//   W3 describe   store the descriptor, and the timestamp
//   W4 publish    RING(publish): store publishedSeq
//
//   A chunk larger than the slack repeats W1 and W2 for each of its pieces. A reservation announces
//   all of itself in W1, and the caller's closure is W2. W3 and W4 follow if it wrote anything.
//   While the head has room, W2 copies to the head's payload, and W3 stores the descriptor there as
//   well and then headSeq.
//
// THE READER'S STEPS, for each attempt
//
//   R1 observe    load the status; RING(observe): load publishedSeq; load the status again
//   R2 window     load headSeq; find the oldest retained chunk behind the head: in the cache, or by
//                 a search of the descriptors, confirmed after RING(descriptors)
//   R3 select     load the ends of the first and the last chunk to read; confirm them after
//                 RING(descriptors), and only then use them as bounds
//   R4 describe   copy the descriptors and timestamps of these chunks; confirm them after
//                 RING(descriptors)
//   R5 copy       copy their payload piece by piece; confirm each piece after RING(payload)
//   R6 account    count what was delivered and what was missed
//
//   Chunks of the head that are due are copied before R3. They need no confirmation: RING(observe)
//   makes them visible, and nothing overwrites them.
//
//   To confirm descriptors is to load announcedSeq; to confirm payload, announcedOffset. An attempt
//   ends complete, lapped (all that was due was overwritten in R5) or stale (a slot that R2, R3 or
//   R4 needed was reused). ReadAttempt has the steps, RingReader decides what follows.
//
// ORDERING POINTS
//
//   RING(announce)     W1          release fence   after announcing, before overwriting
//   RING(publish)      W4          release store   after descriptor and payload
//   RING(observe)      R1          acquire load    before any descriptor or payload is loaded
//   RING(descriptors)  R2, R3, R4  acquire fence   after loading descriptors, before using them
//   RING(payload)      R5          acquire fence   after copying payload, before delivering it
//
//   publish   pairs with observe:      a reader that sees seq s published sees its descriptor,
//                                      its payload, and everything before.
//   announce  pairs with descriptors:  a reader that loaded a descriptor's overwritten value sees
//                                      the announcement that preceded the overwriting.
//   announce  pairs with payload:      a reader that copied one overwritten byte sees the
//                                      announcement likewise.
//
// A release *store* is no announcement: it orders what precedes it, and the overwriting follows. An
// acquire *load* is no validation: it orders what follows it, and the copy precedes. Hence fences
// at three of the five points. On x86-64 all five compile to plain loads and stores; on arm64 an
// append costs one `dmb ish`.

/// The counters that the producer and the readers share: the control line, 128 bytes of its own.
@safe
struct RingCounters: @unchecked Sendable {
  private let words: UnsafeMutablePointer<UInt64>

  init(at address: UnsafeMutableRawPointer) {
    unsafe words = address.assumingMemoryBound(to: UInt64.self)
  }

  private var announcedSeq: UnsafeMutablePointer<UInt64> { unsafe words }
  private var announcedOffset: UnsafeMutablePointer<UInt64> { unsafe words + 1 }
  private var publishedSeq: UnsafeMutablePointer<UInt64> { unsafe words + 2 }
  private var headSeq: UnsafeMutablePointer<UInt64> { unsafe words + 3 }
}

// MARK: Producer

extension RingCounters {
  /// W1: Announces that the slot of `seq` will be overwritten, and payload up to `offset`.
  @inline(__always)
  func announce(seq: Int, offset: Int) {
    unsafe ring_store_relaxed(announcedSeq, UInt64(truncatingIfNeeded: seq))
    unsafe ring_store_relaxed(announcedOffset, UInt64(truncatingIfNeeded: offset))
    // RING(announce), pairs with RING(descriptors) and RING(payload): no store to the slot or to
    // the payload becomes visible before the announcement.
    ring_fence_release()
  }

  /// W3: Stores that the head ends with the chunk `seq`, which is about to be published.
  @inline(__always)
  func storeHeadSeq(_ seq: Int) {
    unsafe ring_store_relaxed(headSeq, UInt64(truncatingIfNeeded: seq))
  }

  /// W4: Publishes a seq whose descriptor and payload are stored.
  @inline(__always)
  func publish(seq: Int) {
    // RING(publish), pairs with RING(observe).
    unsafe ring_store_release(publishedSeq, UInt64(truncatingIfNeeded: seq))
  }
}

// MARK: Reader

extension RingCounters {
  /// R1: Returns the newest published seq. Its descriptor and payload, and all before, are visible.
  @inline(__always)
  func observe() -> Int {
    // RING(observe), pairs with RING(publish).
    unsafe Int(truncatingIfNeeded: ring_load_acquire(publishedSeq))
  }

  /// R2: Returns the newest chunk of the head, as of the observation that precedes the call, or
  /// later.
  ///
  /// Where it is less than the observed seq, it is final: the observed chunk was stored behind the
  /// head, and so will be all that follow.
  @inline(__always)
  func headSeqAfterObserving() -> Int {
    unsafe Int(truncatingIfNeeded: ring_load_relaxed(headSeq))
  }

  /// R2, R3, R4: Returns how far slots may have been overwritten, as seen after the descriptor
  /// loads that precede the call.
  @inline(__always)
  func announcedSeqAfterDescriptors() -> Int {
    // RING(descriptors), pairs with RING(announce): had one of the loads before returned an
    // overwritten value, the load below would return its announcement.
    ring_fence_acquire()
    return unsafe Int(truncatingIfNeeded: ring_load_relaxed(announcedSeq))
  }

  /// R5: Returns how far payload may have been overwritten, as seen after the payload copies that
  /// precede the call.
  @inline(__always)
  func announcedOffsetAfterPayload() -> Int {
    // RING(payload), pairs with RING(announce): likewise for the copied bytes.
    ring_fence_acquire()
    return unsafe Int(truncatingIfNeeded: ring_load_relaxed(announcedOffset))
  }

  /// Returns how far payload has been announced at least: a hint, which orders nothing.
  @inline(__always)
  func announcedOffsetHint() -> Int {
    unsafe Int(truncatingIfNeeded: ring_load_relaxed(announcedOffset))
  }
}
