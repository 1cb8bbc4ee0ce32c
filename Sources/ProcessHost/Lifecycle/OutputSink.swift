import Processes

/// Where the output of one process goes: the exclusive producer of a session, which the process's
/// pipes and its exit have in common.
///
/// Only the event loop's thread uses it, from when the process runs.
final class OutputSink: @unchecked Sendable {
  let session: Session
  /// What holds the process up, if it is to be held up at all.
  let gate: OutputGate?
  private var producer: Session.Producer?

  /// Takes a session's producer; nil if another process, or somebody else, has taken it before.
  init?(_ session: Session, heldUpBy gate: OutputGate? = nil) {
    self.session = session
    self.gate = gate
    guard let producer = session.takeProducer() else { return nil }
    self.producer = consume producer
  }

  /// Leaves the session as it was: no process has come to write to it.
  func giveBack() { producer.take()?.giveBack() }

  /// Appends what a closure reads; see
  /// ``Session/Producer/append(reserving:to:at:initializingWith:)``.
  ///
  /// - Parameter time: The present, by the system's clock.
  func append(
    reserving count: Int, to stream: StandardStream, at time: ActivityClock.Instant,
    initializingWith initializer: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) ->
      Int
  ) -> Int {
    unsafe producer!.append(
      reserving: count, to: stream, at: session.clock.isSystem ? time : nil,
      initializingWith: initializer)
  }

  /// Records the process's exit status, while others may still hold its output open.
  func setExit(_ code: Int32) { producer!.setExit(code, closing: false) }

  /// Records that no more output can come.
  func close() { producer!.close() }
}
