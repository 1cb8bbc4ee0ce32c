import NIOCore
import Synchronization

/// The open connections, and whether requests may still wait.
///
/// Each connection belongs to the workspace of the last token that arrived on it. A connection
/// without a token so far is anonymous: it has a few seconds to send one, and is cut off first when
/// there are too many.
final class Connections: Sendable {
  private struct State {
    var open: [ObjectIdentifier: Connection] = [:]
    /// The number of connections of each workspace.
    var counts: [String: Int] = [:]
    var authenticated = 0
    var lastNumber = 0
    var closedCount = 0
    var mayWait = true

    mutating func leave(_ workspace: String) {
      authenticated -= 1
      let rest = (counts[workspace] ?? 1) - 1
      counts[workspace] = rest > 0 ? rest : nil
    }
  }

  private let state = Mutex(State())
  private let limits: APIServer.Limits
  /// The bytes that wait to be sent to clients.
  let outgoing: Backlog
  /// The bytes of requests' bodies that are not complete.
  let incoming: Backlog
  /// The bytes of large bodies that are complete, and of requests that are not answered yet.
  let bodies: Backlog

  init(_ limits: APIServer.Limits) {
    self.limits = limits
    outgoing = Backlog(limits.outgoing, stallTime: limits.stallAllowance)
    incoming = Backlog(
      limits.incoming, stallTime: limits.stallAllowance, growthIsProgress: true)
    // A request that waits does not stall.
    bodies = Backlog(limits.incoming, stallTime: .seconds(1 << 40))
  }

  /// The number of open connections.
  var count: Int { state.withLock { $0.open.count } }

  /// The number of connections that have been closed since the server started.
  var closedCount: Int { state.withLock(\.closedCount) }

  /// The number of entries about open connections.
  var entryCount: Int {
    state.withLock { $0.open.count + $0.counts.count + $0.authenticated } + outgoing.entryCount
      + incoming.entryCount + bodies.entryCount
  }

  /// The number of waits on behalf of clients.
  var waitCount: Int {
    let open = state.withLock { Array($0.open.values) }
    return open.reduce(0) { $0 + $1.waits.count }
  }

  /// Records that a connection was opened.
  ///
  /// If there are more than the limit and the reserve allow, or this program can hardly open any
  /// more, cuts off the oldest anonymous connection, which may be this one.
  func opened(_ channel: any Channel) -> Connection {
    let hasFew = count < limits.reservedConnections
    let isScarce = OpenFiles.areScarce(for: hasFew ? .fewConnections : .connection)
    let (connection, mayWait, superfluous) = state.withLock { state in
      state.lastNumber += 1
      let connection = Connection(channel, number: state.lastNumber)
      state.open[ObjectIdentifier(channel)] = connection
      var superfluous: Connection?
      if isScarce || state.open.count > limits.connections + limits.reservedConnections {
        superfluous = state.open.values.filter { $0.workspace == nil }
          .min { $0.number < $1.number }
        // Not counted any more, although it takes a moment to close.
        if let superfluous { state.open[superfluous.id] = nil }
      }
      return (connection, state.mayWait, superfluous)
    }
    superfluous?.waits.end()
    superfluous?.cutOff()
    if !mayWait { connection.waits.end() }
    return connection
  }

  /// Records that a connection belongs to a workspace from now on.
  ///
  /// - Throws: ``APIError``: 429 if the workspace has reached its limit on connections, 503 if all
  ///   workspaces together have.
  func authenticate(_ connection: Connection, as workspace: String) throws(APIError) {
    try state.withLock { state throws(APIError) in
      let before = connection.workspace
      guard before != workspace, state.open[connection.id] != nil else { return }
      guard state.counts[workspace, default: 0] < limits.connectionsPerWorkspace else {
        throw APIError(
          .tooManyRequests, "connection_limit",
          "this workspace has \(limits.connectionsPerWorkspace) connections, and may have no more")
      }
      guard before != nil || state.authenticated < limits.connections else {
        throw APIError(
          .serviceUnavailable, "connection_limit",
          "this server has \(limits.connections) connections, and may have no more")
      }
      if let before { state.leave(before) }
      state.counts[workspace, default: 0] += 1
      state.authenticated += 1
      connection.workspace = workspace
    }
  }

  func closed(_ connection: Connection) {
    connection.noteClosed()
    state.withLock { state in
      state.open[connection.id] = nil
      state.closedCount += 1
      if let workspace = connection.workspace { state.leave(workspace) }
      connection.workspace = nil
    }
    outgoing.giveAll(of: connection)
    incoming.giveAll(of: connection)
    bodies.giveAll(of: connection)
    connection.waits.end()
  }

  /// Returns the connection of a channel; one that is gone if the channel is closed.
  func connection(of channel: any Channel) -> Connection {
    if let connection = state.withLock({ $0.open[ObjectIdentifier(channel)] }) { return connection }
    let connection = Connection(channel, number: 0)
    connection.noteClosed()
    connection.waits.end()
    return connection
  }

  /// Ends all waits, and allows no more.
  func endWaits() {
    let open = state.withLock { state in
      state.mayWait = false
      return Array(state.open.values)
    }
    for connection in open { connection.waits.end() }
  }

  /// Ends the waits of grants that have been revoked.
  func endRevokedWaits() {
    let open = state.withLock { Array($0.open.values) }
    for connection in open { connection.waits.endRevoked() }
  }

  /// Cuts off all connections that are still open.
  func cutOff() {
    let open = state.withLock { Array($0.open.values) }
    for connection in open { connection.cutOff() }
  }
}

/// A client's connection.
final class Connection: Sendable {
  private struct State {
    var workspace: String?
    var isClosed = false
  }

  /// A number that increases with each connection that is opened.
  let number: Int
  /// The waits on behalf of the client.
  let waits = Waits()
  private let channel: any Channel
  private let state = Mutex(State())

  init(_ channel: any Channel, number: Int) {
    self.channel = channel
    self.number = number
  }

  var id: ObjectIdentifier { ObjectIdentifier(channel) }

  /// The workspace of the last token that arrived on the connection; nil if none has arrived.
  var workspace: String? {
    get { state.withLock(\.workspace) }
    set { state.withLock { $0.workspace = newValue } }
  }

  /// The client's address, without its port; `unix` for a socket of this machine.
  var address: String { channel.remoteAddress?.ipAddress ?? "unix" }

  /// Whether the client is on this machine.
  var isLocal: Bool { channel.remoteAddress?.ipAddress.map(isLoopback(address:)) ?? true }

  func cutOff() { channel.close(promise: nil) }

  var isClosed: Bool { state.withLock(\.isClosed) }

  fileprivate func noteClosed() { state.withLock { $0.isClosed = true } }
}
