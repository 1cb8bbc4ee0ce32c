import Logging
import NIOCore
import NIOPosix
import NIOSSL

/// Makes connections, and makes a new one whenever one was lost.
struct Connector: Sendable {
  /// Why a connection was not made.
  private struct Failure: Error {
    let reason: String
  }

  let configuration: RedisConfiguration
  private let security: TransportSecurity?
  private let logger: Logger

  /// - Throws: An error of NIOSSL if the file of certificates cannot be used.
  init(_ configuration: RedisConfiguration, logger: Logger) throws {
    self.configuration = configuration
    self.logger = logger
    security = configuration.url.usesTLS ? try TransportSecurity(configuration) : nil
  }

  /// Keeps a connection up until the task is cancelled.
  ///
  /// The delays before attempts begin again with the first one after a connection that lasted for
  /// longer than the last one.
  ///
  /// - Parameters:
  ///   - take: Takes what is no reply to a command, and returns whether it was that.
  ///   - use: What is done with each connection, until it is closed.
  func run(
    take: @escaping CommandHandler.Take = { _ in false },
    use: @Sendable (Connection) async -> Void
  ) async {
    var backoff = Backoff(first: configuration.firstDelay, last: configuration.lastDelay)
    var generator = SystemRandomNumberGenerator()
    var isFirstFailure = true
    while !Task.isCancelled {
      do throws(Failure) {
        let connection = try await connect(take)
        let start = ContinuousClock.now
        isFirstFailure = true
        log(.info, "connected to Redis")
        await use(connection)
        let reason = await connection.end(because: "it is not needed any more")
        log(Task.isCancelled ? .info : .warning, "the connection to Redis is closed", reason)
        if .now - start > configuration.lastDelay { backoff.reset() }
      } catch {
        guard !Task.isCancelled else { return }
        // One line for an outage, however long it lasts.
        log(isFirstFailure ? .warning : .debug, "cannot connect to Redis", error.reason)
        isFirstFailure = false
      }
      try? await Task.sleep(for: backoff.delay(using: &generator))
    }
  }

  private func log(_ level: Logger.Level, _ message: Logger.Message, _ reason: String? = nil) {
    var metadata: Logger.Metadata = ["server": "\(configuration.url)"]
    if let reason { metadata["reason"] = "\(reason)" }
    logger.log(level: level, message, metadata: metadata)
  }

  // MARK: One connection

  private func connect(
    _ take: @escaping CommandHandler.Take
  ) async throws(Failure) -> Connection {
    let answer = Answer<Result<Connection, Failure>>()
    open(take).whenComplete { result in
      switch result {
      case .success(let connection):
        if !answer.supply(.success(connection)) { connection.close(because: "it came too late") }
      case .failure(let error): answer.supply(.failure(Failure(reason: "\(error)")))
      }
    }
    let connection = try await answer.value(
      ifCancelled: .failure(Failure(reason: "cancelled"))
    ).get()
    do throws(Failure) {
      try await introduce(connection)
      return connection
    } catch {
      throw Failure(reason: await connection.end(because: error.reason))
    }
  }

  private func open(_ take: @escaping CommandHandler.Take) -> EventLoopFuture<Connection> {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(TimeAmount(configuration.timeLimit))
      .channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          if let security { try pipeline.addHandler(security.handler()) }
          try pipeline.addHandler(
            ByteToMessageHandler(RESPDecoder(limits: configuration.replies)))
          try pipeline.addHandler(CommandHandler(timeLimit: configuration.timeLimit, take: take))
        }
      }
    let channel =
      switch configuration.url.address {
      case .host(let host, let port): bootstrap.connect(host: host, port: port)
      case .unixSocket(let path): bootstrap.connect(unixDomainSocketPath: path)
      }
    return channel.flatMapThrowing { [configuration] channel in
      let handler = try channel.pipeline.syncOperations.handler(type: CommandHandler.self)
      let bound = NIOLoopBound(handler, eventLoop: channel.eventLoop)
      return Connection(channel, bound, configuration)
    }
  }

  /// Logs in, selects the database, checks that the server executes commands, and says the
  /// client's name, in one pipeline.
  private func introduce(_ connection: Connection) async throws(Failure) {
    let url = configuration.url
    var commands: [RESPCommand] = []
    if let user = url.user {
      commands.append(RESPCommand("AUTH", user, url.password ?? ""))
    } else if let password = url.password {
      commands.append(RESPCommand("AUTH", password))
    }
    if url.database != 0 { commands.append(RESPCommand("SELECT", url.database)) }
    // The error of a server that still loads its data, or that wants a password.
    commands.append(RESPCommand("PING"))
    let required = commands.count
    if let name = configuration.clientName {
      commands.append(RESPCommand("CLIENT", "SETNAME", name))
    }
    let replies: [RESPValue]
    do throws(RedisError) {
      replies = try await connection.send(commands)
    } catch {
      throw Failure(reason: error.description)
    }
    for (reply, command) in zip(replies, commands).prefix(required) {
      guard let text = reply.errorText else { continue }
      // Some servers quote a command that they refuse, which may be AUTH: log the code alone.
      let code = text.prefix { $0 != " " }
      throw Failure(reason: "the server refused \(command.arguments[0]): \(code)")
    }
  }
}
