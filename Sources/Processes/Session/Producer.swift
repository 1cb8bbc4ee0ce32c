import OutputRing

/// What the producers of a session take turns with.
struct Producer: ~Copyable {
  var writer: RingWriter
  /// Whether someone may be waiting for news: see `WaitList`, which sets it.
  var isAwaited = false

  init(_ writer: consuming RingWriter) { self.writer = writer }

  /// Whether to wake who waits, now that there is news or not; one load if nobody does.
  @inline(__always)
  mutating func takesCall(thereIsNews: Bool) -> Bool {
    guard isAwaited, thereIsNews else { return false }
    isAwaited = false
    return true
  }
}
