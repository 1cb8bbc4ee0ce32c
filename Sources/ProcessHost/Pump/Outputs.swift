/// What a child writes to, from its exit on: others may hold it open, and write, or do nothing.
///
/// Used by the pump's thread alone once the child runs.
final class Outputs: Sendable {
  private let pipes: [OutputPipe]
  private let lifecycle: Lifecycle
  private let pump: Pump
  /// How long nothing may come before the session is closed; nil for as long as it takes.
  private let quietGrace: Duration?

  init(_ pipes: [OutputPipe], of lifecycle: Lifecycle, on pump: Pump, quietGrace: Duration?) {
    self.pipes = pipes
    self.lifecycle = lifecycle
    self.pump = pump
    self.quietGrace = quietGrace
  }

  private var receivedBytes: Int { pipes.reduce(0) { $0 + $1.receivedBytes } }
  private var haveEnded: Bool { pipes.allSatisfy(\.hasEnded) }

  func childEnded(_ exit: ProcessExit) {
    // All that the child wrote itself is in the pipes by now, and must be in the session before its
    // exit is.
    for pipe in pipes { pipe.drain() }
    lifecycle.exited(exit)
    if let quietGrace, !haveEnded { waitForQuiet(quietGrace, since: receivedBytes) }
  }

  private func waitForQuiet(_ grace: Duration, since received: Int) {
    pump.schedule(after: grace) { [self] in
      if haveEnded { return }
      if receivedBytes != received { return waitForQuiet(grace, since: receivedBytes) }
      for pipe in pipes { pipe.startDropping() }
      lifecycle.fellQuiet()
    }
  }

  /// Closes what is still open, whoever else has it; between two turns of the pump.
  func abandon() {
    for pipe in pipes where !pipe.hasEnded {
      pump.withdraw(pipe)
      pipe.abandon()
    }
  }
}
