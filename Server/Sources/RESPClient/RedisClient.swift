package import Logging
import Synchronization

/// Sends commands to Redis over one connection, which it makes again whenever it is lost.
///
/// There is a connection only while ``run()`` runs. Commands of all tasks go into one pipeline, in
/// the order in which they were sent; a command that blocks holds up those behind it.
package final class RedisClient: Sendable {
  private let connector: Connector
  private let onConnect: @Sendable (RedisClient) async -> Void
  private let connection = Mutex<Connection?>(nil)

  /// - Parameter onConnect: Called each time a connection has been made. The client can be used
  ///   before it returns; after a loss, the next connection is made when it has returned.
  /// - Throws: An error of NIOSSL if the file of certificates cannot be used.
  package init(
    _ configuration: RedisConfiguration, logger: Logger,
    onConnect: @escaping @Sendable (RedisClient) async -> Void = { _ in }
  ) throws {
    connector = try Connector(configuration, logger: logger)
    self.onConnect = onConnect
  }

  /// Keeps a connection up until the task is cancelled; closes it then.
  ///
  /// - Precondition: It is called once.
  package func run() async {
    await connector.run { [self] connection in
      self.connection.withLock { $0 = connection }
      await onConnect(self)
      await connection.closed()
      self.connection.withLock { $0 = nil }
    }
  }

  /// Whether there is a connection; it may be lost before its loss is noticed.
  package var isConnected: Bool { connection.withLock { $0 != nil } }

  /// Sends a command, and waits for its reply.
  ///
  /// - Throws: ``RedisError``; `.reply` if the reply is an error.
  package func send(_ command: RESPCommand) async throws(RedisError) -> RESPValue {
    let reply = try await send([command])[0]
    if case .error(let text) = reply { throw .reply(text) }
    return reply
  }

  /// Sends commands with one write, and waits for all replies.
  ///
  /// Other commands can be executed between them.
  ///
  /// - Returns: A reply for each command; an error reply is ``RESPValue/error(_:)``.
  /// - Throws: ``RedisError``, but no `.reply`.
  package func send(_ commands: [RESPCommand]) async throws(RedisError) -> [RESPValue] {
    guard let connection = connection.withLock({ $0 }) else { throw .notConnected }
    return try await connection.send(commands)
  }

  /// Executes a script; sends its source only if the server does not know it.
  ///
  /// - Throws: ``RedisError``; `.reply` if the script fails.
  package func eval(
    _ script: RedisScript, keys: [String], arguments: [any RESPArgument] = []
  ) async throws(RedisError) -> RESPValue {
    do throws(RedisError) {
      return try await send(script.evalSHA(keys: keys, arguments: arguments))
    } catch {
      guard case .reply(let text) = error, text.hasPrefix("NOSCRIPT") else { throw error }
      return try await send(script.eval(keys: keys, arguments: arguments))
    }
  }
}
