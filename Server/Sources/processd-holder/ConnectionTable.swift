import HolderProtocol

/// The connections of a holder: that of its daemon, if it has one, and those of programs that have
/// not said yet that they are daemons. The main thread alone uses it.
struct ConnectionTable {
  typealias Instant = SuspendingClock.Instant

  /// The most connections without a `hello`. Another closes the oldest of them.
  private static let maxNewcomers = 16
  /// How long a connection may be without a `hello`.
  private static let helloTime: Duration = .seconds(10)
  /// How long to accept no connections after the system had no descriptor for one.
  private static let pause: Duration = .milliseconds(100)

  private struct Newcomer {
    let connection: Connection
    let deadline: Instant
  }

  private let loop: Loop
  private var listener: Listener?
  private var newcomers: [Newcomer] = []
  private var pauseEnd: Instant?
  private(set) var daemon: Connection?
  /// Since when there has been no daemon; nil while there is one.
  private(set) var orphanedSince: Instant?

  init(_ listener: Listener, daemon: Connection, on loop: Loop) {
    self.loop = loop
    self.listener = listener
    self.daemon = daemon
  }

  /// What the name of the socket stands for; nil if the holder accepts no more connections.
  var place: Listener.Place? { listener?.place }

  /// Removes the socket, and closes the connections of all but the daemon.
  mutating func stopAccepting() {
    listener?.remove()
    listener = nil
    newcomers = []
  }

  /// Sends what waits, and waits for messages and connections.
  ///
  /// - Parameters:
  ///   - limit: The longest time to wait; nil for as long as it takes.
  ///   - serve: What to do with a message of the daemon, and with its channel.
  mutating func turn(upTo limit: Duration?, _ serve: (HolderMessage, Channel) -> Void) {
    daemon?.send()
    dropDaemonIfOver()
    var poll = Poll(loop)
    let daemonPlace = daemon.map { poll.add($0) }
    let newcomerPlaces = newcomers.map { poll.add($0.connection) }
    let listenerPlace = pauseEnd == nil ? listener.map { poll.add($0.descriptor) } : nil
    // A daemon that has gone just now changes how long to wait.
    poll.wait(upTo: remainingTime(upTo: daemon == nil && limit == nil ? .zero : limit))

    if let daemon, let daemonPlace, poll.isReady(daemonPlace) {
      daemon.read()
      receive(from: daemon, serve)
    }
    for (newcomer, place) in zip(newcomers, newcomerPlaces) where poll.isReady(place) {
      meet(newcomer.connection, serve)
    }
    let now = Instant.now
    if let pauseEnd, pauseEnd <= now { self.pauseEnd = nil }
    newcomers.removeAll { $0.connection.isOver || $0.deadline <= now }
    if let listenerPlace, poll.isReady(listenerPlace) { accept(serve) }
    dropDaemonIfOver()
  }

  /// Serves the messages that the daemon had sent before.
  mutating func begin(_ serve: (HolderMessage, Channel) -> Void) {
    if let daemon { receive(from: daemon, serve) }
  }

  private func remainingTime(upTo limit: Duration?) -> Duration? {
    var ends = newcomers.map(\.deadline)
    if let pauseEnd { ends.append(pauseEnd) }
    guard let first = ends.min() else { return limit }
    let rest = first - .now
    return limit.map { min($0, rest) } ?? rest
  }

  private func receive(from daemon: Connection, _ serve: (HolderMessage, Channel) -> Void) {
    while let message = daemon.next() { serve(message, daemon.channel) }
  }

  private mutating func dropDaemonIfOver() {
    guard let daemon, daemon.isOver else { return }
    daemon.close()
    self.daemon = nil
    orphanedSince = .now
  }

  // MARK: Newcomers

  private mutating func accept(_ serve: (HolderMessage, Channel) -> Void) {
    // A bounded number, so that a flood of connections holds up nothing else.
    for _ in 0..<Self.maxNewcomers {
      switch listener?.next() ?? .none {
      case .connection(let descriptor):
        let connection = Connection(descriptor, loop)
        if newcomers.count == Self.maxNewcomers { newcomers.removeFirst() }
        newcomers.append(Newcomer(connection: connection, deadline: .now + Self.helloTime))
        meet(connection, serve)
      case .stranger: continue
      case .none: return
      case .impossible:
        // One of those without a hello may have taken the last descriptor.
        if !newcomers.isEmpty { newcomers.removeFirst() }
        pauseEnd = .now + Self.pause
        return
      }
    }
  }

  /// Reads a newcomer's `hello`, if it has come, and makes the newcomer the daemon.
  private mutating func meet(
    _ connection: Connection, _ serve: (HolderMessage, Channel) -> Void
  ) {
    connection.read(upTo: Connection.maxHelloBytes)
    // One that has gone again must not take the place of a daemon.
    guard let hello = connection.nextHello(), !connection.isOver else { return }
    newcomers.removeAll { $0.connection === connection }
    daemon?.close()
    daemon = connection
    orphanedSince = nil
    serve(hello, connection.channel)
    receive(from: connection, serve)
  }
}
