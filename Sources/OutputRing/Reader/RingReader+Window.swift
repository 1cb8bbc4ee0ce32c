import CRingShims

extension RingReader {
  /// The owner's status and the newest published seq, as of one instant.
  ///
  /// The status is loaded before and after the seq: if it did not change, the seq belongs to it.
  /// The first load acquires, so a status comes with every chunk appended before it was set.
  @inline(__always)
  func observe<Probe: ReadProbe>(probe: Probe) -> (status: UInt64, newest: Int) {
    var status = unsafe ring_load_acquire(memory.status)
    // Statuses change a few times in a session's life. Should one change this often during one
    // read, the last is returned with the chunks before it, though perhaps with later ones too.
    for _ in 0..<64 {
      let newest = memory.control.observe()
      probe.reached(.observing)
      let again = unsafe ring_load_acquire(memory.status)
      if again == status { return (status, newest) }
      status = again
    }
    return (status, memory.control.observe())
  }

  /// The ring's state if there is nothing to read after a seq, and the window is known from before.
  @usableFromInline
  package func idle(since seq: Int) -> IdleState {
    let (status, newest) = observe(probe: NoProbe())
    if seq >= newest, let window = cachedWindow(newest: newest) {
      return IdleState(status: status, newest: newest, end: window.end, lost: window.lost)
    }
    return IdleState(status: status, newest: -1, end: 0, lost: 0)
  }

  /// The retained window as of a published seq, if a reader has searched for it before.
  @inline(__always)
  private func cachedWindow(newest: Int) -> Window? {
    guard newest > 0 else { return .empty }
    guard let cached = memory.windowCache.load(), cached.newest == newest,
      memory.control.announcedOffsetHint() <= cached.end &+ layout.reservationLimit
    else { return nil }
    return cached
  }

  /// Finds the retained window as of a published seq, or nil if the producer reused a slot that the
  /// search needed.
  ///
  /// - Complexity: O(1) if the window is cached, else O(log(chunks dropped since it was)).
  @inline(__always)
  func window<Probe: ReadProbe>(newest: Int, probe: Probe) -> Window? {
    if let cached = cachedWindow(newest: newest) { return cached }
    return search(newest: newest, hint: memory.windowCache.load(), probe: probe)
  }

  /// Searches the descriptors for the oldest retained chunk.
  @inline(never)
  private func search<Probe: ReadProbe>(newest: Int, hint: Window?, probe: Probe) -> Window? {
    let end = memory.descriptor(newest).end
    // Retained is what begins within the cap. An append of more than the slack overwrites some of
    // that before it is published; what its pieces have announced is as good as dropped.
    let overwritten = memory.control.announcedOffsetHint() - layout.payloadSize
    let bound = max(end - layout.capacity, overwritten)
    let oldest = max(1, newest - layout.chunkLimit + 1)
    var low = oldest
    if let hint, hint.newest <= newest { low = max(low, min(hint.head, newest)) }

    // The head is the first seq whose predecessor ends at or after `bound`. Gallop, then halve.
    var left = low
    var right = low
    var step = 1
    while right <= newest, memory.descriptor(right - 1).end < bound {
      left = right + 1
      right = min(right + step, newest + 1)
      step *= 2
    }
    while left < right {
      let middle = (left + right) / 2
      if memory.descriptor(middle - 1).end < bound { left = middle + 1 } else { right = middle }
    }
    var head = left
    var lost = memory.descriptor(head - 1).end
    if head > newest, end - layout.capacity >= bound {
      // The newest chunk is larger than the cap: its last `capacity` bytes are retained.
      head = newest
      lost = end - layout.capacity
    }
    probe.reached(.searched)
    guard low - 1 + layout.slotCount > memory.control.announcedSeqAfterDescriptors() else {
      return nil
    }
    let window = Window(newest: newest, end: end, head: head, lost: lost)
    if overwritten <= end - layout.capacity {
      // Told first: a reader that finds the note says what is lost without telling, and what was
      // told must never become less.
      memory.windowCache.tell(lost: lost)
      memory.windowCache.store(window)
    }
    return window
  }
}
