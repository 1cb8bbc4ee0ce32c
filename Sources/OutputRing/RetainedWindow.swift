import CRingShims

/// The part of a ring that is retained behind the head, as of one published seq.
struct RetainedWindow {
  /// The newest published seq.
  var newestSeq: Int
  /// Where that chunk ends: the bytes appended so far.
  var end: Int
  /// The oldest retained seq; beyond `newestSeq` if an append in flight overwrites all of them, or
  /// if there are none.
  var oldestSeq: Int
  /// The bytes no longer retained: where the oldest retained chunk begins, less the head's bytes.
  var lostBytes: Int

  /// Whether an append in flight overwrites everything that was retained, or there was nothing.
  var isEmpty: Bool { oldestSeq > newestSeq }

  /// The window of a ring to which nothing was appended.
  static let initial = RetainedWindow(newestSeq: 0, end: 0, oldestSeq: 1, lostBytes: 0)
}

// MARK: R2, window

extension RingMemory {
  /// R2: Returns the retained window as of a published seq, or nil if the producer reused a slot
  /// that the search needed. The end is not plausible if the newest descriptor of a found region is
  /// not, and then nothing else in the window means anything.
  ///
  /// - Complexity: O(1) if the window is cached, else O(log(chunks evicted since one was)).
  @inline(__always)
  func retainedWindow<Probe: ReadProbe>(newestSeq: Int, probe: Probe) -> RetainedWindow? {
    if let cached = cachedWindow(newestSeq: newestSeq) { return cached }
    return searchWindow(newestSeq: newestSeq, hint: windowCache.load(), probe: probe)
  }

  /// Returns the retained window as of a published seq, if a reader has searched for it before.
  @inline(__always)
  func cachedWindow(newestSeq: Int) -> RetainedWindow? {
    if newestSeq == 0 { return .initial }
    // An append in flight of more than the slack narrows the window before it is published.
    guard let cached = windowCache.load(), cached.newestSeq == newestSeq,
      counters.announcedOffsetHint() <= cached.end &+ layout.reservationLimit
    else { return nil }
    return cached
  }

  /// Searches the descriptors for the oldest retained chunk.
  ///
  /// - Parameter hint: A window found earlier. The oldest retained seq never falls, so the search
  ///   begins at that window's.
  @inline(never)
  private func searchWindow<Probe: ReadProbe>(
    newestSeq: Int, hint: RetainedWindow?, probe: Probe
  ) -> RetainedWindow? {
    let end = descriptor(newestSeq).end
    guard isTrusted || Self.plausibleCounts ~= end else {
      return RetainedWindow(newestSeq: newestSeq, end: end, oldestSeq: newestSeq, lostBytes: 0)
    }
    // A chunk is retained if it begins within the cap. An append of more than the slack overwrites
    // some of that before it is published; what its pieces have announced counts as evicted.
    let overwritten = counters.announcedOffsetHint() &- layout.payloadSize
    let bound = max(end - layout.capacity, overwritten)
    let head = head(upTo: newestSeq)
    let oldest = max(head.seq + 1, origin.seq + 1, newestSeq - layout.chunkLimit + 1)
    var low = oldest
    if let hint, hint.newestSeq <= newestSeq { low = max(low, min(hint.oldestSeq, newestSeq)) }
    let hasChunks = low <= newestSeq

    // The oldest retained seq is the first whose predecessor ends at or after `bound`. Gallop, then
    // halve.
    var left = low
    var right = low
    var step = 1
    while right <= newestSeq, descriptor(right - 1).end < bound {
      left = right + 1
      right = min(right + step, newestSeq + 1)
      step *= 2
    }
    while left < right {
      let middle = (left + right) / 2
      if descriptor(middle - 1).end < bound { left = middle + 1 } else { right = middle }
    }
    var oldestSeq = left
    var begin = descriptor(oldestSeq - 1).end
    if hasChunks, oldestSeq > newestSeq, end - layout.capacity >= bound {
      // The newest chunk is larger than the cap: its last `capacity` bytes are retained.
      oldestSeq = newestSeq
      begin = end - layout.capacity
    }
    // What is lost is within the cap before the end, whatever a descriptor says.
    if !isTrusted { begin = min(max(begin, end - layout.capacity, 0), end) }
    let lostBytes = hasChunks ? max(begin - head.end, 0) : origin.end
    probe.reached(.searched)
    // RING(descriptors) confirms them all: `low - 1` is the oldest seq that was looked at.
    guard low - 1 + layout.slotCount > counters.announcedSeqAfterDescriptors() else {
      return nil
    }
    let window = RetainedWindow(
      newestSeq: newestSeq, end: end, oldestSeq: oldestSeq, lostBytes: lostBytes)
    if overwritten <= end - layout.capacity {
      // Reported first: a poll that finds the window in the cache returns its loss without raising
      // the reported loss itself, and what was reported must never become less.
      windowCache.raiseReportedLoss(to: lostBytes)
      windowCache.store(window)
    }
    return window
  }
}

// MARK: Cache

/// The retained window that a reader found last, for all readers of this process, and the loss that
/// they reported.
///
/// A cached window is a function of its newest seq alone. So the window of that seq spares a reader
/// that has nothing to read all searching, whatever the number of chunks; and one of an older seq
/// is where the next search starts, because the oldest retained seq never falls.
///
/// This is a sequence lock whose writers do not wait: a reader that finds another one storing a
/// window goes without.
@safe
struct WindowCache: @unchecked Sendable {
  private let version: UnsafeMutablePointer<UInt64>
  private let words: UnsafeMutablePointer<UInt64>
  private var reported: UnsafeMutablePointer<UInt64> { unsafe words + 4 }

  /// Takes over a cache line of zeros: a cache without a window.
  init(at address: UnsafeMutableRawPointer) {
    unsafe version = address.assumingMemoryBound(to: UInt64.self)
    unsafe words = version + 1
  }

  /// Returns the window stored last, or nil if a reader is storing one right now.
  @inline(__always)
  func load() -> RetainedWindow? {
    let before = unsafe ring_load_acquire(version)
    let window = unsafe RetainedWindow(
      newestSeq: Int(truncatingIfNeeded: ring_load_relaxed(words)),
      end: Int(truncatingIfNeeded: ring_load_relaxed(words + 1)),
      oldestSeq: Int(truncatingIfNeeded: ring_load_relaxed(words + 2)),
      lostBytes: Int(truncatingIfNeeded: ring_load_relaxed(words + 3)))
    ring_fence_acquire()
    guard before & 1 == 0, unsafe ring_load_relaxed(version) == before else { return nil }
    return window
  }

  /// Stores a window, unless another reader is storing one or a newer one is there.
  func store(_ window: RetainedWindow) {
    let before = unsafe ring_load_relaxed(version)
    guard before & 1 == 0, unsafe ring_compare_exchange_acquire(version, before, before &+ 1)
    else { return }
    if unsafe Int(ring_load_relaxed(words)) < window.newestSeq {
      // The words must not become visible before the odd version does.
      ring_fence_release()
      unsafe ring_store_relaxed(words, UInt64(truncatingIfNeeded: window.newestSeq))
      unsafe ring_store_relaxed(words + 1, UInt64(truncatingIfNeeded: window.end))
      unsafe ring_store_relaxed(words + 2, UInt64(truncatingIfNeeded: window.oldestSeq))
      unsafe ring_store_relaxed(words + 3, UInt64(truncatingIfNeeded: window.lostBytes))
    }
    unsafe ring_store_release(version, before &+ 2)
  }

  /// The most bytes that any read has reported as lost.
  var reportedLoss: Int { unsafe Int(ring_load_relaxed(reported)) }

  /// Raises the reported loss to what a read is about to report.
  ///
  /// A window is not always cached, and a lapped read knows of more loss than its window. A later
  /// read that finds out nothing must not report less.
  @inline(__always)
  func raiseReportedLoss(to lostBytes: Int) {
    let loss = UInt64(clamping: lostBytes)
    var before = unsafe ring_load_relaxed(reported)
    // Repeated only if another reader raised it meanwhile.
    while before < loss, unsafe !ring_compare_exchange_acquire(reported, before, loss) {
      before = unsafe ring_load_relaxed(reported)
    }
  }
}
