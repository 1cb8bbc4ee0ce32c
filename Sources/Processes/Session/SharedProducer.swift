import OutputRing

/// The ring's writer, as the threads that append to a session share it, in turns.
struct SharedProducer: ~Copyable {
  /// The ring's writer; nil while a ``Session/Producer`` has it.
  private var writer: RingWriter?

  init(writer: consuming RingWriter?) { self.writer = writer }

  /// Calls a closure with the ring's writer.
  ///
  /// - Precondition: no ``Session/Producer`` has it.
  @inline(__always)
  mutating func withWriter<Result, Failure: Error>(
    of id: String, _ body: (inout RingWriter) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    guard writer != nil else {
      // Not a precondition, which says nothing in release builds.
      fatalError(
        "session '\(id)' has an exclusive producer: "
          + "append, set the exit and close through that producer")
    }
    return try body(&writer!)
  }

  /// Gives the writer away; returns nil if it was given away before.
  mutating func take() -> RingWriter? { writer.take() }

  /// Takes back the writer that ``take()`` gave away.
  mutating func put(back writer: consuming RingWriter) { self.writer = consume writer }
}
