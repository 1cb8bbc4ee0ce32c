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

  init(_ limits: APIServer.Limits) {
    self.limits = limits
    outgoing = Backlog(limits.outgoing, stallTime: limits.stallAllowance)
    incoming = Backlog(
      limits.incoming, stallTime: limits.stallAllowance, growthIsProgress: true)
  }

  /// The number of open connections.
  var count: Int { state.withLock { $0.open.count } }

  /// The number of connections that have been closed since the server started.
  var closedCount: Int { state.withLock(\.closedCount) }

  /// The number of entries about open connections.
  var entryCount: Int {
    state.withLock { $0.open.count + $0.counts.count + $0.authenticated } + outgoing.entryCount
      + incoming.entryCount
  }

  /// The number of waits on behalf of clients.
  var waitCount: Int {
    let open = state.withLock { Array($0.open.values) }
    return open.reduce(0) { $0 + $1.waitCount }
  }

  /// Records that a connection was opened.
  ///
  /// If there are more than the limit and the reserve allow, cuts off the oldest anonymous
  /// connection.
  func opened(_ channel: any Channel) -> Connection {
    let (connection, mayWait, superfluous) = state.withLock { state in
      state.lastNumber += 1
      let connection = Connection(channel, number: state.lastNumber)
      state.open[ObjectIdentifier(channel)] = connection
      var superfluous: Connection?
      if state.open.count > limits.connections + limits.reservedConnections {
        superfluous = state.open.values.filter { $0.workspace == nil }
          .min { $0.number < $1.number }
        // Not counted any more, although it takes a moment to close.
        if let superfluous { state.open[superfluous.id] = nil }
      }
      return (connection, state.mayWait, superfluous)
    }
    superfluous?.endWaits()
    superfluous?.cutOff()
    if !mayWait { connection.endWaits() }
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
    outgoing.closed(connection)
    incoming.closed(connection)
    connection.endWaits()
  }

  /// Returns the connection of a channel; one that is gone if the channel is closed.
  func connection(of channel: any Channel) -> Connection {
    if let connection = state.withLock({ $0.open[ObjectIdentifier(channel)] }) { return connection }
    let connection = Connection(channel, number: 0)
    connection.noteClosed()
    connection.endWaits()
    return connection
  }

  /// Ends all waits, and allows no more.
  func endWaits() {
    let open = state.withLock { state in
      state.mayWait = false
      return Array(state.open.values)
    }
    for connection in open { connection.endWaits() }
  }

  /// Ends the waits of grants that have been revoked.
  func endRevokedWaits() {
    let open = state.withLock { Array($0.open.values) }
    for connection in open { connection.endRevokedWaits() }
  }

  /// Cuts off all connections that are still open.
  func cutOff() {
    let open = state.withLock { Array($0.open.values) }
    for connection in open { connection.cutOff() }
  }
}

/// A client's connection, for the waits on its behalf.
final class Connection: Sendable {
  private struct State {
    var workspace: String?
    var mayWait = true
    var isClosed = false
    var lastTicket = 0
    var waits: [Int: Wait] = [:]
  }

  private struct Wait: Sendable {
    let grant: Grant
    let end: @Sendable () -> Void
  }

  /// A number that increases with each connection that is opened.
  let number: Int
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

  /// Whether the client is connected and the server is not about to end.
  var mayWait: Bool { state.withLock(\.mayWait) }

  var isClosed: Bool { state.withLock(\.isClosed) }

  fileprivate func noteClosed() { state.withLock { $0.isClosed = true } }

  /// The number of waits on behalf of the client.
  var waitCount: Int { state.withLock(\.waits.count) }

  /// Waits on behalf of the client. The wait is cancelled when the client hangs up, its token is
  /// revoked, or the server ends.
  func waiting<Value: Sendable>(
    with grant: Grant, _ wait: @escaping @Sendable () async -> Value
  ) async -> Value {
    let task = Task { await wait() }
    let ticket = state.withLock { state -> Int? in
      guard state.mayWait, grant.isInForce else { return nil }
      state.lastTicket += 1
      state.waits[state.lastTicket] = Wait(grant: grant) { task.cancel() }
      return state.lastTicket
    }
    if ticket == nil { task.cancel() }
    defer { if let ticket { state.withLock { _ = $0.waits.removeValue(forKey: ticket) } } }
    return await withTaskCancellationHandler {
      await task.value
    } onCancel: {
      task.cancel()
    }
  }

  func endWaits() {
    let waits = state.withLock { state in
      state.mayWait = false
      defer { state.waits = [:] }
      return Array(state.waits.values)
    }
    for wait in waits { wait.end() }
  }

  fileprivate func endRevokedWaits() {
    let waits = state.withLock { state in state.waits.values.filter { !$0.grant.isInForce } }
    for wait in waits { wait.end() }
  }
}
