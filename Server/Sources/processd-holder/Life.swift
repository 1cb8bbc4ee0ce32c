import HolderProtocol
import Synchronization

/// The life of a holder, from the start of its command until nothing is left to do.
///
/// ```
///  serving --+- all is over -----------------------------------+-> files stay
///            +- SIGTERM, SIGINT ------> command ended ---------+
///            +- too long an orphan, --> command ended --+- a daemon has come -> files stay
///               or its socket gone                      +- none has come -----> files removed
/// ```
struct Life {
  typealias Instant = SuspendingClock.Instant

  /// Why a holder ends its command by itself.
  private enum Reason { case shutdown, orphaned, unreachable }

  /// How often a holder without a daemon looks whether its socket is still there.
  private static let lookInterval: Duration = .seconds(1)
  /// How long to wait, after the grace, for processes that the system does not end.
  private static let patience: Duration = .seconds(15)
  /// How long to wait at the end for a daemon that does not read its answers.
  private static let farewell: Duration = .seconds(2)

  private let session: HeldSession
  private let loop: Loop
  private var connections: ConnectionTable
  private var reason: Reason?
  /// Since when there was no daemon as the holder began to end its command.
  private var orphanedSince: Instant?
  /// When the holder ends although processes of the command live on.
  private var deadline: Instant?
  private var nextLook: Instant
  /// Whether another file has the name of the socket.
  private var isReplaced = false
  private let over = Flag()

  init(_ session: HeldSession, _ connections: ConnectionTable, on loop: Loop) {
    self.session = session
    self.connections = connections
    self.loop = loop
    nextLook = .now + Self.lookInterval
  }

  /// Serves daemons until all is over.
  mutating func run() {
    Task { [session, over, loop] in
      await session.waitUntilOver()
      over.raise()
      loop.wake()
    }
    let serve = { [session] (message: HolderMessage, channel: Channel) in
      session.serve(message, on: channel)
    }
    connections.begin(serve)
    while !over.isRaised, deadline.map({ .now < $0 }) ?? true {
      if reason == nil, let found = reasonToEnd() { end(for: found) }
      connections.turn(upTo: timeToWait, serve)
    }
    connections.stopAccepting()
    bidFarewell(serve)
    // A daemon that has come meanwhile knows the session, though it may have gone again.
    if let reason, reason != .shutdown, connections.daemon == nil,
      connections.orphanedSince == orphanedSince
    {
      session.removeFiles(keepsRecord: isReplaced)
    }
  }

  /// Sends the daemon all answers that are due.
  private mutating func bidFarewell(_ serve: (HolderMessage, Channel) -> Void) {
    let end = Instant.now + Self.farewell
    while let daemon = connections.daemon, !daemon.channel.isIdle, .now < end {
      connections.turn(upTo: end - .now, serve)
    }
  }

  // MARK: Ending

  private mutating func reasonToEnd() -> Reason? {
    if Shutdown.isRequested { return .shutdown }
    guard let start = connections.orphanedSince else { return nil }
    let now = Instant.now
    if start.duration(to: now) >= session.orphanTimeout { return .orphaned }
    guard nextLook <= now else { return nil }
    nextLook = now + Self.lookInterval
    let place = connections.place
    isReplaced = place == .replaced
    return place == .own ? nil : .unreachable
  }

  private mutating func end(for reason: Reason) {
    self.reason = reason
    orphanedSince = connections.orphanedSince
    deadline = .now + max(session.grace, .zero) + Self.patience
    Task { [session, over, loop] in
      await session.end()
      over.raise()
      loop.wake()
    }
  }

  /// How long nothing has to be done unless something happens; nil for ever.
  private var timeToWait: Duration? {
    if let deadline { return deadline - .now }
    guard let start = connections.orphanedSince else { return nil }
    return min(start + max(session.orphanTimeout, .zero), nextLook) - .now
  }
}

/// Says once that something has happened.
private final class Flag: Sendable {
  private let raised = Atomic(false)
  var isRaised: Bool { raised.load(ordering: .acquiring) }
  func raise() { raised.store(true, ordering: .releasing) }
}
