import Processes

/// What a child writes to, from its exit on: others may hold it open, and write, or do nothing.
///
/// Used by the event loop's thread alone once the child runs.
final class ChildOutput: Sendable {
  private let pipes: [OutputPipe]
  private let lifecycle: Lifecycle
  private let eventLoop: EventLoop
  /// How long nothing may come before the session is closed; nil for as long as it takes.
  private let quietGrace: Duration?
  /// How long anything may come; nil likewise.
  private let lingerLimit: Duration?

  init(
    _ pipes: [OutputPipe], of lifecycle: Lifecycle, on eventLoop: EventLoop, quietGrace: Duration?,
    lingerLimit: Duration? = nil
  ) {
    self.lingerLimit = lingerLimit
    self.pipes = pipes
    self.lifecycle = lifecycle
    self.eventLoop = eventLoop
    self.quietGrace = quietGrace
  }

  private var receivedBytes: Int { pipes.reduce(0) { $0 + $1.receivedBytes } }
  private var haveEnded: Bool { pipes.allSatisfy(\.hasEnded) }

  func childEnded(_ exit: ProcessExit) {
    // All that the child wrote itself is in the pipes by now, and must be in the session before its
    // exit is.
    for pipe in pipes { pipe.drain() }
    lifecycle.childExited(exit)
    if haveEnded { return }
    if let quietGrace { waitForQuiet(quietGrace, since: receivedBytes) }
    if let lingerLimit { waitToStopLingering(lingerLimit) }
  }

  /// Stops lingering after some time. Looks now and then whether that is still needed: a caller may
  /// set any limit, and a timer outlives what it waits for.
  private func waitToStopLingering(_ limit: Duration, after elapsed: Duration = .zero) {
    let step = SteppedSleep.step(after: elapsed, of: limit)
    eventLoop.schedule(after: step) { [weak self] in
      guard let self, !haveEnded else { return }
      let elapsed = elapsed + step
      if elapsed < limit { waitToStopLingering(limit, after: elapsed) } else { stopLingering() }
    }
  }

  /// Stops lingering when nothing has come for some time; looks now and then as well whether that
  /// is still needed.
  private func waitForQuiet(
    _ grace: Duration, since received: Int, after elapsed: Duration = .zero
  ) {
    let step = SteppedSleep.step(after: elapsed, of: grace)
    eventLoop.schedule(after: step) { [weak self] in
      guard let self, !haveEnded, !hasStoppedLingering else { return }
      let elapsed = elapsed + step
      if elapsed < grace {
        waitForQuiet(grace, since: received, after: elapsed)
      } else if receivedBytes == received {
        stopLingering()
      } else {
        waitForQuiet(grace, since: receivedBytes)
      }
    }
  }

  private var hasStoppedLingering: Bool { pipes.contains(where: \.isDropping) }

  private func stopLingering() {
    if haveEnded || hasStoppedLingering { return }
    for pipe in pipes { pipe.startDropping() }
    lifecycle.stopLingering()
  }

  /// Closes what is still open, whichever other process has it; between two turns of the event
  /// loop.
  func abandon() {
    for pipe in pipes where !pipe.hasEnded {
      eventLoop.withdraw(pipe)
      pipe.abandon()
    }
  }
}
