import Processes

/// The output pipes of one child. After the child's exit, other processes may hold them open, and
/// may write to them or stay quiet.
///
/// Used by the event loop's thread alone once the child runs.
final class ChildOutput: Sendable {
  private let pipes: [OutputPipe]
  private let lifecycle: Lifecycle
  private let eventLoop: EventLoop
  /// How long the pipes may stay quiet before the session is closed; nil for no limit.
  private let quietGrace: Duration?
  /// How long the pipes may stay open before the session is closed; nil for no limit.
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
  /// Whether a reader holds up the pipes, so that their silence says nothing and no time counts.
  private var isHeldUp: Bool { pipes.contains(where: \.isHeldUp) }

  func childEnded(_ exit: ProcessExit) {
    // All bytes that the child wrote are in the pipes by now. They must reach the session before
    // the exit does.
    for pipe in pipes { pipe.drain() }
    lifecycle.childExited(exit)
    if haveEnded { return }
    if let quietGrace { waitForQuiet(quietGrace, since: receivedBytes) }
    if let lingerLimit { waitToStopLingering(lingerLimit) }
  }

  /// Returns how long to wait until the next look at the pipes.
  private func step(after elapsed: Duration, of limit: Duration) -> Duration {
    let step = SteppedSleep.step(after: elapsed, of: limit)
    return isHeldUp ? max(step, .milliseconds(10)) : step
  }

  /// Stops lingering after a time limit. Checks from time to time whether the timer is still
  /// needed: a caller may set any limit, and a timer outlives the process that it waits for.
  private func waitToStopLingering(_ limit: Duration, after elapsed: Duration = .zero) {
    let step = self.step(after: elapsed, of: limit)
    eventLoop.schedule(after: step) { [weak self] in
      guard let self, !haveEnded else { return }
      let elapsed = isHeldUp ? elapsed : elapsed + step
      if elapsed < limit { waitToStopLingering(limit, after: elapsed) } else { stopLingering() }
    }
  }

  /// Stops lingering when the pipes have been quiet for a grace period. Checks from time to time
  /// whether the timer is still needed.
  private func waitForQuiet(
    _ grace: Duration, since received: Int, after elapsed: Duration = .zero
  ) {
    let step = self.step(after: elapsed, of: grace)
    eventLoop.schedule(after: step) { [weak self] in
      guard let self, !haveEnded, !hasStoppedLingering else { return }
      let elapsed = elapsed + step
      if elapsed < grace {
        waitForQuiet(grace, since: received, after: elapsed)
      } else if receivedBytes == received, !isHeldUp {
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

  /// Closes the pipes that are still open, even if another process holds the other end. To be
  /// called between two turns of the event loop.
  func abandon() {
    for pipe in pipes where !pipe.hasEnded {
      eventLoop.withdraw(pipe)
      pipe.abandon()
    }
  }
}
