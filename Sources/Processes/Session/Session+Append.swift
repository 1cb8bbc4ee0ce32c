public import OutputRing

extension Session {
  /// Appends one chunk.
  ///
  /// While the retained payload exceeds the capacity, the oldest chunks are evicted whole. Of a
  /// chunk larger than the capacity, the last `capacity` bytes are kept. Evicted and cut bytes
  /// count as lost. An empty append makes no chunk; it refreshes ``lastActivity``.
  ///
  /// After ``setExit(_:closing:)`` or ``close()`` this is late output: stored and counted like any
  /// other, but readers that have seen ``Output/isComplete`` may be gone.
  ///
  /// A chunk of more than 64 KiB is copied in pieces of 64 KiB. Each piece evicts what it
  /// overwrites when its copy begins. So readers of a chunk of size c have a head start of
  /// ``SessionReader/capacity`` + 64 KiB − c: they receive it if the producer appends no more than
  /// that while they copy it.
  ///
  /// An append that ends a wait wakes the readers. It wakes blocked threads and up to 8 tasks by
  /// itself, which costs some microseconds and allocations; more tasks are woken by another task.
  ///
  /// - Parameters:
  ///   - bytes: The chunk's payload, stored as it is.
  ///   - stream: The stream that it was written to.
  /// - Precondition: the session has no ``Producer`` of its own.
  /// - Complexity: O(`bytes.byteCount`), and O(blocked threads) if readers wait. No allocation
  ///   unless readers wait. Waits for another producer of the same session, and, to wake readers,
  ///   for the lock of their list.
  @inline(__always)
  public func append(_ bytes: RawSpan, to stream: StandardStream) {
    unsafe bytes.withUnsafeBytes { unsafe append($0, to: stream) }
  }

  /// Appends one chunk, from a buffer; see ``append(_:to:)-(RawSpan,_)``.
  ///
  /// - Safety: the buffer must be valid for the call.
  @unsafe
  public func append(_ bytes: UnsafeRawBufferPointer, to stream: StandardStream) {
    // Outside of the lock, since the clock may be the caller's.
    let time = now
    producers.withLock { producers in
      producers.withWriter(of: id) { writer in
        writer.timestamp = timestamp(at: time)
        unsafe writer.append(bytes, tag: stream.tag)
      }
    }
    noteActivity(at: time)
    if bytes.count > 0 { waiters.wakeIfAwaited() }
  }

  /// Appends one chunk, from any collection of bytes, such as `[UInt8]` or `"text".utf8`; see
  /// ``append(_:to:)-(RawSpan,_)``.
  ///
  /// - Complexity: as there, plus a copy of `bytes` if they are not contiguous in memory.
  @inlinable
  public func append(_ bytes: some Collection<UInt8>, to stream: StandardStream) {
    let done: Void? = bytes.withContiguousStorageIfAvailable { buffer in
      unsafe append(UnsafeRawBufferPointer(buffer), to: stream)
    }
    if done == nil {
      unsafe Array(bytes).withUnsafeBytes { unsafe append($0, to: stream) }
    }
  }

  /// Appends a text's UTF-8 as one chunk; see ``append(_:to:)-(RawSpan,_)``.
  ///
  /// - Complexity: as there, plus a copy of `text` if it is not contiguous in memory.
  @inlinable
  public func append(_ text: some StringProtocol, to stream: StandardStream = .stdout) {
    append(text.utf8, to: stream)
  }

  /// Appends several chunks, and publishes up to 512 of them at once.
  ///
  /// A reader sees all chunks of such a group, or none yet. One lock, one look at the clock and one
  /// wake-up serve a group; see `RingWriter.append(contentsOf:tag:)` for how chunks are grouped.
  /// Other producers may append between two groups.
  ///
  /// - Parameters:
  ///   - chunks: The chunks' payloads, in order. The collection is iterated twice.
  ///   - stream: The stream that they were written to.
  /// - Precondition: the collections do not change during the call, and do not use this session;
  ///   the session has no ``Producer`` of its own.
  /// - Complexity: O(bytes + chunks), and O(blocked threads) if readers wait.
  @inlinable
  public func append<Bytes: Collection<UInt8>>(
    contentsOf chunks: some Collection<Bytes>, to stream: StandardStream
  ) {
    var index = chunks.startIndex
    if index == chunks.endIndex { appendGroup { _ in } }
    while index < chunks.endIndex {
      appendGroup { $0.appendGroup(of: chunks, from: &index, tag: stream.tag) }
    }
  }

  /// Lets a closure append a group of chunks.
  @usableFromInline
  func appendGroup(_ body: (inout RingWriter) -> Void) {
    let time = now
    let hasAppended = producers.withLock { producers in
      producers.withWriter(of: id) { writer in
        writer.timestamp = timestamp(at: time)
        return writer.appends(body)
      }
    }
    noteActivity(at: time)
    if hasAppended { waiters.wakeIfAwaited() }
  }

  /// Lets a closure write one chunk's payload straight into the session's memory, as `readv(2)`
  /// can.
  ///
  /// As `RingWriter.append(reserving:tag:initializingWith:)`. Besides, other producers of this
  /// session wait until the closure returns. So the closure must not wait for anything, and must
  /// not append to this session or change its exit state.
  ///
  /// - Parameters:
  ///   - count: The most bytes wanted; at most 64 KiB are reserved.
  ///   - stream: The stream that the bytes were written to.
  ///   - initializer: Fills the first buffer, then the second, and returns the number of bytes
  ///     written. If it returns 0 or throws, no chunk is made and ``lastActivity`` stays as it is.
  /// - Returns: The number of bytes appended.
  /// - Throws: What `initializer` throws.
  /// - Precondition: `count` is positive; `initializer` returns no more than it was given room for;
  ///   the session has no ``Producer`` of its own.
  @discardableResult
  @inline(__always)
  public func append<Failure: Error>(
    reserving count: Int, to stream: StandardStream,
    initializingWith initializer: (
      _ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int
  ) throws(Failure) -> Int {
    // Before the closure reads, since a clock of the caller's must not be read under the lock.
    let time = hasTimestamps ? now : nil
    let written = try producers.withLock { producers throws(Failure) in
      try producers.withWriter(of: id) { writer throws(Failure) in
        if let time { writer.timestamp = timestamp(at: time) }
        return try unsafe writer.append(
          reserving: count, tag: stream.tag, initializingWith: initializer)
      }
    }
    if written > 0 {
      noteActivity(at: time ?? now)
      waiters.wakeIfAwaited()
    }
    return written
  }

  /// Lets a closure write one chunk's payload straight into the session's memory, as `read(2)` can,
  /// through a span that cannot be misused.
  ///
  /// As the form for two buffers, in one piece: where the session's memory wraps, the span is
  /// shorter than `count`, of one byte at least.
  ///
  /// - Parameters:
  ///   - count: The most bytes wanted; at most 64 KiB are reserved.
  ///   - stream: The stream that the bytes were written to.
  ///   - initializer: Appends bytes to the span. If it appends none or throws, no chunk is made and
  ///     ``lastActivity`` stays as it is.
  /// - Returns: The number of bytes appended.
  /// - Throws: What `initializer` throws.
  /// - Precondition: `count` is positive; the session has no ``Producer`` of its own.
  @discardableResult
  @inline(__always)
  public func append<Failure: Error>(
    reserving count: Int, to stream: StandardStream,
    initializingWith initializer: (inout OutputRawSpan) throws(Failure) -> Void
  ) throws(Failure) -> Int {
    try unsafe append(reserving: count, to: stream) { first, _ throws(Failure) in
      var span = unsafe OutputRawSpan(buffer: first, initializedCount: 0)
      try initializer(&span)
      return unsafe span.finalize(for: first)
    }
  }
}

extension RingWriter {
  /// Calls a closure, and returns whether it has appended any chunk.
  mutating func appends(_ body: (inout RingWriter) -> Void) -> Bool {
    let seq = lastSeq
    body(&self)
    return lastSeq > seq
  }
}
