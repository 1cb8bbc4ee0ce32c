import Processes

/// The destination of one process's output: the exclusive producer of a session, which the
/// process's pipes and its exit share.
///
/// Once the process runs, only the event loop's thread uses it.
final class OutputSink: @unchecked Sendable {
  let session: Session
  /// The gates that hold the process up, one for each reader that must get everything.
  let gates: [OutputGate]
  private var producer: Session.Producer?

  /// Takes a session's producer; nil if another process or another part of the program has taken it
  /// before.
  init?(_ session: Session, heldUpBy gates: [OutputGate] = []) {
    self.session = session
    self.gates = gates
    guard let producer = session.takeProducer() else { return nil }
    self.producer = consume producer
    for gate in gates { gate.begin(for: session) }
  }

  /// Gives the producer back, since no process has come to use it. The session is as it was.
  func giveBack() { producer.take()?.giveBack() }

  /// Appends the bytes that a closure reads; see
  /// ``Session/Producer/append(reserving:to:at:initializingWith:)``.
  ///
  /// - Parameter time: The current time of the system's activity clock.
  func append(
    reserving count: Int, to stream: StandardStream, at time: ActivityClock.Instant,
    initializingWith initializer: (UnsafeMutableRawBufferPointer, UnsafeMutableRawBufferPointer) ->
      Int
  ) -> Int {
    unsafe producer!.append(
      reserving: count, to: stream, at: session.clock.isSystem ? time : nil,
      initializingWith: initializer)
  }

  /// Records the process's exit code, while other processes may still hold its output open.
  func setExit(_ code: Int32) { producer!.setExit(code, closing: false) }

  /// Records that no more output can come.
  func close() { producer!.close() }
}
