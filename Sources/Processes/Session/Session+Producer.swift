public import OutputRing

extension Session {
  /// The only producer of a session: appends, and sets its exit, without a lock.
  ///
  /// It cannot be copied, so the compiler sees to it that one thread at a time uses it.
  ///
  /// ```swift
  /// var producer = Session.Producer(id: "build-7")
  /// let session = producer.session  // for readers
  /// producer.append("compiling…\n")
  /// producer.setExit(0)
  /// ```
  ///
  /// Everything that appends to the session goes through its producer:
  /// ``Session/append(_:to:)-(RawSpan,_)``, ``Session/setExit(_:closing:)`` and ``Session/close()``
  /// of the session itself end the program. When the producer is gone, the session is closed, since
  /// no more output can come.
  public struct Producer: ~Copyable, Sendable {
    /// The session, for readers.
    public let session: Session
    /// nil only after it was given back.
    private var writer: RingWriter?
    /// The session's own, beside the writer.
    private let startTime: Int64

    /// Creates a session without output, and its only producer.
    ///
    /// The parameters, the precondition and the complexity are those of
    /// ``Session/init(id:workspaceID:capacity:headCapacity:timestamps:clock:)``.
    public init(
      id: String = Session.uniqueID(), workspaceID: String = "",
      capacity: Int = Session.maxBufferBytes, headCapacity: Int = 0, timestamps: Bool = false,
      clock: ActivityClock = .system
    ) {
      let writer = RingWriter(
        Session.layout(capacity: capacity, headCapacity: headCapacity, timestamps: timestamps))
      let session = Session(
        id: id, workspaceID: workspaceID, clock: clock, reader: writer.reader,
        SharedProducer(writer: nil))
      self.init(of: session, writer)
    }

    init(of session: Session, _ writer: consuming RingWriter) {
      self.session = session
      startTime = session.startTime
      self.writer = consume writer
    }

    deinit {
      guard writer != nil, !session.isClosed else { return }
      var status = SessionStatus(word: session.reader.status)
      status.close()
      writer!.storeStatus(status.word)
      session.waiters.wakeIfAwaited()
    }
  }

  /// Makes a session's producer an exclusive one, for good unless it is given back.
  ///
  /// - Returns: nil if the session has one already.
  package func takeProducer() -> Producer? {
    guard let writer = producers.withLock({ $0.take() }) else { return nil }
    return Producer(of: self, writer)
  }
}

extension Session.Producer {
  /// Appends one chunk; see ``Session/append(_:to:)-(RawSpan,_)``.
  ///
  /// - Parameters:
  ///   - bytes: The chunk's payload, stored as it is.
  ///   - stream: The stream that it was written to.
  ///   - time: The present, as the session's clock has it; nil to read that clock. A producer that
  ///     appends many chunks at a time reads it once for all of them.
  /// - Complexity: O(`bytes.byteCount`); no lock and no allocation, unless readers wait and have to
  ///   be woken: see ``Session/append(_:to:)-(RawSpan,_)``.
  @inline(__always)
  public mutating func append(
    _ bytes: RawSpan, to stream: StandardStream, at time: ActivityClock.Instant? = nil
  ) {
    unsafe bytes.withUnsafeBytes { unsafe append($0, to: stream, at: time) }
  }

  /// Appends one chunk, from a buffer; see ``append(_:to:at:)-(RawSpan,_,_)``.
  ///
  /// - Safety: the buffer must be valid for the call.
  @unsafe
  @inlinable @inline(__always)
  public mutating func append(
    _ bytes: UnsafeRawBufferPointer, to stream: StandardStream,
    at time: ActivityClock.Instant? = nil
  ) {
    unsafe append(bytes, to: stream, now: time ?? session.now)
  }

  @usableFromInline
  mutating func append(
    _ bytes: UnsafeRawBufferPointer, to stream: StandardStream, now: ActivityClock.Instant
  ) {
    guard bytes.count > 0 else { return session.noteActivity(at: now) }
    // Whether the ring keeps timestamps or not: a store costs less than to ask.
    writer!.timestamp = now.nanoseconds &- startTime
    unsafe writer!.append(bytes, tag: stream.tag)
    noteAppend(at: now)
  }

  /// Appends one chunk, from any collection of bytes, such as `[UInt8]` or `"text".utf8`; see
  /// ``append(_:to:at:)-(RawSpan,_,_)``.
  ///
  /// - Complexity: as there, plus a copy of `bytes` if they are not contiguous in memory.
  @inlinable
  public mutating func append(
    _ bytes: some Collection<UInt8>, to stream: StandardStream,
    at time: ActivityClock.Instant? = nil
  ) {
    let done: Void? = bytes.withContiguousStorageIfAvailable { buffer in
      unsafe append(UnsafeRawBufferPointer(buffer), to: stream, at: time)
    }
    if done == nil {
      unsafe Array(bytes).withUnsafeBytes { unsafe append($0, to: stream, at: time) }
    }
  }

  /// Appends a text's UTF-8 as one chunk; see ``append(_:to:at:)-(RawSpan,_,_)``.
  ///
  /// - Complexity: as there, plus a copy of `text` if it is not contiguous in memory.
  @inlinable
  public mutating func append(
    _ text: some StringProtocol, to stream: StandardStream = .stdout,
    at time: ActivityClock.Instant? = nil
  ) {
    append(text.utf8, to: stream, at: time)
  }

  /// Appends several chunks, and publishes up to 512 of them at once; see
  /// ``Session/append(contentsOf:to:)``.
  ///
  /// - Parameters:
  ///   - chunks: The chunks' payloads, in order. The collection is iterated twice.
  ///   - stream: The stream that they were written to.
  ///   - time: The present, as the session's clock has it; nil to read that clock.
  /// - Precondition: the collections do not change during the call.
  /// - Complexity: O(bytes + chunks); no lock, and no allocation unless readers wait.
  @inlinable
  public mutating func append<Bytes: Collection<UInt8>>(
    contentsOf chunks: some Collection<Bytes>, to stream: StandardStream,
    at time: ActivityClock.Instant? = nil
  ) {
    var index = chunks.startIndex
    if index == chunks.endIndex { appendGroup(at: time) { _ in } }
    while index < chunks.endIndex {
      appendGroup(at: time) { $0.appendGroup(of: chunks, from: &index, tag: stream.tag) }
    }
  }

  @usableFromInline
  mutating func appendGroup(
    at time: ActivityClock.Instant?, _ body: (inout RingWriter) -> Void
  ) {
    let now = time ?? session.now
    writer!.timestamp = now.nanoseconds &- startTime
    let hasAppended = writer!.appends(body)
    if hasAppended { noteAppend(at: now) } else { session.noteActivity(at: now) }
  }

  /// Lets a closure write one chunk's payload straight into the session's memory, as `readv(2)`
  /// can; see `RingWriter.append(reserving:tag:initializingWith:)`.
  ///
  /// - Parameters:
  ///   - count: The most bytes wanted; at most 64 KiB are reserved.
  ///   - stream: The stream that the bytes were written to.
  ///   - time: The present, as the session's clock has it; nil to read that clock.
  ///   - initializer: Fills the first buffer, then the second, and returns the number of bytes
  ///     written. If it returns 0 or throws, no chunk is made and the session's activity stays as
  ///     it is.
  /// - Returns: The number of bytes appended.
  /// - Throws: What `initializer` throws.
  /// - Precondition: `count` is positive; `initializer` returns no more than it was given room for.
  @discardableResult
  @inline(__always)
  public mutating func append<Failure: Error>(
    reserving count: Int, to stream: StandardStream, at time: ActivityClock.Instant? = nil,
    initializingWith initializer: (
      _ first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer
    ) throws(Failure) -> Int
  ) throws(Failure) -> Int {
    let time = time ?? (session.hasTimestamps ? session.now : nil)
    if let time { writer!.timestamp = time.nanoseconds &- startTime }
    let written = try unsafe writer!.append(
      reserving: count, tag: stream.tag, initializingWith: initializer)
    if written > 0 { noteAppend(at: time ?? session.now) }
    return written
  }

  /// Lets a closure write one chunk's payload straight into the session's memory, through a span;
  /// see the same method of ``Session``.
  @discardableResult
  @inline(__always)
  public mutating func append<Failure: Error>(
    reserving count: Int, to stream: StandardStream, at time: ActivityClock.Instant? = nil,
    initializingWith initializer: (inout OutputRawSpan) throws(Failure) -> Void
  ) throws(Failure) -> Int {
    try unsafe append(reserving: count, to: stream, at: time) { first, _ throws(Failure) in
      var span = unsafe OutputRawSpan(buffer: first, initializedCount: 0)
      try initializer(&span)
      return unsafe span.finalize(for: first)
    }
  }

  /// Notes activity, and wakes the readers that wait.
  @inline(__always)
  private func noteAppend(at time: ActivityClock.Instant) {
    // Without counting a reference, which would take longer than all the rest of an append.
    unsafe Unmanaged.passUnretained(session)._withUnsafeGuaranteedRef { session in
      session.noteActivity(at: time)
      session.waiters.wakeIfAwaited()
    }
  }

  /// Records that the process has an exit status; see ``Session/setExit(_:closing:)``.
  public mutating func setExit(_ code: Int32, closing: Bool = true) {
    writer!.setExit(code, closing: closing)
    session.noteActivity()
    session.waiters.wakeIfAwaited()
  }

  /// Records that no more output can ever come. Cannot be undone.
  public mutating func close() {
    writer!.close()
    session.waiters.wakeIfAwaited()
  }

  /// Lets several producers take turns with the session again.
  package consuming func giveBack() {
    var writer = writer.take()
    session.producers.withLock { $0.put(back: writer.take()!) }
  }
}
