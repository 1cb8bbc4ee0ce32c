import OutputRing

/// What the threads that append to a session take turns with.
struct SharedProducer: ~Copyable {
  /// The ring's producing end; nil where a ``Session/Producer`` has it.
  private var writer: RingWriter?

  init(writer: consuming RingWriter?) { self.writer = writer }

  /// The ring's producing end.
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

  /// Gives the producing end away; nil if that has happened before.
  mutating func take() -> RingWriter? { writer.take() }

  /// Takes back what ``take()`` gave.
  mutating func put(back writer: consuming RingWriter) { self.writer = consume writer }
}
