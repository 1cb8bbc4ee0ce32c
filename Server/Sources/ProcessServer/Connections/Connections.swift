import NIOCore
import Synchronization

/// The connections that are open, and whether anything may still be waited for.
final class Connections: Sendable {
  private struct State {
    var open: [ObjectIdentifier: Connection] = [:]
    var mayWait = true
  }

  private let state = Mutex(State())

  /// How many are open.
  var count: Int { state.withLock { $0.open.count } }

  /// How many waits there are on clients' behalf.
  var waitCount: Int {
    let open = state.withLock { Array($0.open.values) }
    return open.reduce(0) { $0 + $1.waitCount }
  }

  func opened(_ channel: any Channel) -> Connection {
    let connection = Connection(channel)
    let mayWait = state.withLock { state in
      state.open[ObjectIdentifier(channel)] = connection
      return state.mayWait
    }
    if !mayWait { connection.endWaits() }
    return connection
  }

  func closed(_ channel: any Channel) {
    state.withLock { $0.open.removeValue(forKey: ObjectIdentifier(channel)) }?.endWaits()
  }

  /// The connection of a channel; one that is gone if the channel is closed.
  func connection(of channel: any Channel) -> Connection {
    if let connection = state.withLock({ $0.open[ObjectIdentifier(channel)] }) { return connection }
    let connection = Connection(channel)
    connection.endWaits()
    return connection
  }

  /// From now on nothing is waited for.
  func endWaits() {
    let open = state.withLock { state in
      state.mayWait = false
      return Array(state.open.values)
    }
    for connection in open { connection.endWaits() }
  }

  /// Cuts off who is still connected.
  func cutOff() {
    let open = state.withLock { Array($0.open.values) }
    for connection in open { connection.cutOff() }
  }
}

/// A client's connection, for those who wait on its behalf.
final class Connection: Sendable {
  private struct State {
    var mayWait = true
    var lastTicket = 0
    var waits: [Int: @Sendable () -> Void] = [:]
  }

  private let channel: any Channel
  private let state = Mutex(State())

  init(_ channel: any Channel) { self.channel = channel }

  func cutOff() { channel.close(promise: nil) }

  /// Whether there is a client to wait for, and the server not about to end.
  var mayWait: Bool { state.withLock(\.mayWait) }

  /// How many waits there are on the client's behalf.
  var waitCount: Int { state.withLock(\.waits.count) }

  /// Waits on the client's behalf: as if cancelled when the client has hung up, or the server ends.
  func waiting<Value: Sendable>(
    _ wait: @escaping @Sendable () async -> Value
  ) async -> Value {
    let task = Task { await wait() }
    let ticket = state.withLock { state -> Int? in
      guard state.mayWait else { return nil }
      state.lastTicket += 1
      state.waits[state.lastTicket] = { task.cancel() }
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
    for end in waits { end() }
  }
}
