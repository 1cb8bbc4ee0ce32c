package import Logging
package import NIOCore
import Synchronization

/// Receives what is published on channels of Redis, over a connection of its own, which it makes
/// again whenever it is lost.
///
/// There is a connection only while ``run()`` runs; channels can be subscribed to at any time. What
/// is published while there is none is lost: `onActive` and `onConnect` tell users when to look for
/// what they missed by other means.
///
/// The closures of a subscription run on the connection's event loop: they must not block.
package final class RedisSubscriber: Sendable {
  /// What ``unsubscribe(_:)`` ends.
  package struct Subscription: Sendable, Hashable {
    package let channel: String
    fileprivate let id: Int
  }

  private struct Listener {
    let receive: @Sendable (ByteBuffer) -> Void
    let onActive: @Sendable () -> Void
  }

  /// A channel with at least one listener.
  private struct Topic {
    /// Differs from that of every other topic, even if it has the same channel and is gone.
    let id: Int
    var listeners: [Int: Listener] = [:]
    /// Whether the server has confirmed the subscription, on this connection.
    var isActive = false
  }

  private struct State {
    var connection: Connection?
    var topics: [String: Topic] = [:]
    var lastID = 0
  }

  private let connector: Connector
  private let onConnect: @Sendable () async -> Void
  private let state = Mutex(State())

  /// - Parameter onConnect: Called each time a connection has been made and the server has
  ///   confirmed all subscriptions; after a loss, the next connection is made when it has returned.
  /// - Throws: An error of NIOSSL if the file of certificates cannot be used.
  package init(
    _ configuration: RedisConfiguration, logger: Logger,
    onConnect: @escaping @Sendable () async -> Void = {}
  ) throws {
    connector = try Connector(configuration, logger: logger)
    self.onConnect = onConnect
  }

  /// Keeps a connection up until the task is cancelled; closes it then.
  ///
  /// - Precondition: It is called once.
  package func run() async {
    await connector.run(take: { [self] in take($0) }) { [self] connection in
      await withTaskGroup { group in
        group.addTask { await connection.closed() }
        group.addTask { [self] in await ping(connection) }
        if await attach(connection) { await onConnect() }
        await group.next()
        group.cancelAll()
      }
      detach()
    }
  }

  // MARK: Subscriptions

  /// Subscribes to a channel; the server is asked once, however many subscriptions there are.
  ///
  /// - Parameters:
  ///   - receive: Called with each message, in the order in which they were published.
  ///   - onActive: Called when the server has confirmed the subscription, on this connection and on
  ///     each later one. What is published from then on is received, up to the next loss of the
  ///     connection. If the channel is active already, it is called before this method returns.
  package func subscribe(
    _ channel: String, _ receive: @escaping @Sendable (ByteBuffer) -> Void,
    onActive: @escaping @Sendable () -> Void = {}
  ) -> Subscription {
    let (id, isActive) = state.withLock { state in
      state.lastID += 1
      let isNew = state.topics[channel] == nil
      var topic = state.topics[channel] ?? Topic(id: state.lastID)
      topic.listeners[state.lastID] = Listener(receive: receive, onActive: onActive)
      state.topics[channel] = topic
      if isNew, let connection = state.connection {
        // Within the lock, so that commands for a channel are sent in the order of their causes.
        send("SUBSCRIBE", [(channel, topic.id)], on: connection)
      }
      return (state.lastID, topic.isActive)
    }
    if isActive { onActive() }
    return Subscription(channel: channel, id: id)
  }

  /// Ends a subscription. A message that arrives at the same time may still be received.
  ///
  /// Does nothing if the subscription has ended already.
  package func unsubscribe(_ subscription: Subscription) {
    let channel = subscription.channel
    state.withLock { state in
      state.topics[channel]?.listeners[subscription.id] = nil
      guard let topic = state.topics[channel], topic.listeners.isEmpty else { return }
      state.topics[channel] = nil
      if let connection = state.connection {
        send("UNSUBSCRIBE", [(channel, topic.id)], on: connection)
      }
    }
  }

  // MARK: The connection

  /// Subscribes to all channels on a new connection, and waits for the confirmations.
  private func attach(_ connection: Connection) async -> Bool {
    let answer = Answer<Bool>()
    state.withLock { state in
      state.connection = connection
      send("SUBSCRIBE", state.topics.map { ($0, $1.id) }, on: connection) { answer.supply($0) }
    }
    return await answer.value(ifCancelled: false)
  }

  private func detach() {
    state.withLock { state in
      state.connection = nil
      for channel in state.topics.keys { state.topics[channel]?.isActive = false }
    }
  }

  /// Sends a command for each channel. The reply to each is one confirmation.
  private func send(
    _ command: String, _ topics: [(channel: String, id: Int)], on connection: Connection,
    completion: @escaping @Sendable (Bool) -> Void = { _ in }
  ) {
    let output = RESPOutput(topics.map { RESPCommand(command, $0.channel) })
    connection.submit(output, topics.count) { [self] result in
      guard case .success(let replies) = result else { return completion(false) }
      guard replies.allSatisfy({ $0.errorText == nil }) else {
        connection.close(because: "the server refused \(command)")
        return completion(false)
      }
      for topic in topics where command == "SUBSCRIBE" { activate(topic.channel, topic.id) }
      completion(true)
    }
  }

  private func activate(_ channel: String, _ id: Int) {
    let listeners = state.withLock { state in
      guard var topic = state.topics[channel], topic.id == id else { return [Listener]() }
      topic.isActive = true
      state.topics[channel] = topic
      return Array(topic.listeners.values)
    }
    for listener in listeners { listener.onActive() }
  }

  /// Checks that the server replies, until it does not.
  private func ping(_ connection: Connection) async {
    while (try? await Task.sleep(for: connector.configuration.pingInterval)) != nil,
      (try? await connection.send([RESPCommand("PING")])) != nil
    {}
  }

  /// Takes a message, which is no reply.
  private func take(_ value: RESPValue) -> Bool {
    guard case .array(let parts) = value, parts.count == 3, parts[0].string == "message",
      let channel = parts[1].string, let message = parts[2].bytes
    else { return false }
    let topic = state.withLock { $0.topics[channel] }
    for listener in topic?.listeners.values.map(\.receive) ?? [] { listener(message) }
    return true
  }
}
