import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle

/// The HTTP API over processes and their sessions.
///
/// ```swift
/// var configuration = APIServer.Configuration(tokens: .file(path: "/etc/processd/tokens"))
/// configuration.port = 8080
/// let server = try APIServer(configuration, logger: logger)
/// try await server.run()
/// ```
///
/// Ends when its task is cancelled or, better, its service group shut down gracefully: then it takes no more
/// connections, ends all processes, and answers who still waits.
public final class APIServer: Service {
  /// What it is like.
  public let configuration: Configuration
  private let logger: Logger
  private let access: Access
  let jobs: JobTable
  private let connections = Connections()
  private let metrics = Metrics()
  private let onRunning: @Sendable (Int) async -> Void

  /// A server that does not listen yet.
  ///
  /// - Parameters:
  ///   - configuration: What it is to be like.
  ///   - logger: Gets a line for each process that starts or is deleted, and never output or a token.
  ///   - onRunning: Called with the port when it listens.
  /// - Throws: ``TokenError`` if the tokens cannot be read.
  public init(
    _ configuration: Configuration, logger: Logger,
    onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) throws(TokenError) {
    self.configuration = configuration
    self.logger = logger
    self.onRunning = onRunning
    access = try Access(configuration.tokens)
    jobs = JobTable(configuration, logger: logger)
  }

  /// Reads the file of tokens anew. Who has no token any more finds out with the next request.
  ///
  /// - Throws: ``TokenError``; the tokens in force stay in force then.
  public func reloadTokens() throws(TokenError) { try access.reload() }

  /// Serves until the end.
  ///
  /// - Throws: If the address cannot be listened on.
  public func run() async throws {
    do {
      try await withGracefulShutdownHandler {
        try await application.run()
      } onGracefulShutdown: { [jobs, connections, limits = configuration.limits] in
        // Who waits for a process is answered by its end; who waits for anything else, then. Who takes
        // no answer, or is in the middle of a request, does not hold up the end for long.
        Task {
          await jobs.shutDown()
          connections.endWaits()
          try await Task.sleep(for: limits.farewell)
          connections.cutOff()
        }
      }
    } catch {
      await jobs.shutDown()
      throw error
    }
    await jobs.shutDown()
  }

  private var application: some ApplicationProtocol {
    let limits = configuration.limits
    let connections = connections
    let onRunning = onRunning
    return Application(
      router: makeRouter(
        API(
          configuration: configuration, access: access, jobs: jobs, connections: connections,
          metrics: metrics, logger: logger)),
      server: .http1(
        configuration: HTTP1Channel.Configuration(
          additionalChannelHandlers: [ConnectionGuard(connections, limits: limits)],
          idleTimeout: TimeAmount(limits.idleTime),
          httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
            maxHeaderFieldSize: limits.headBytes, maxHeaderListSize: limits.headBytes,
            maxHeaderFieldCount: limits.headerFields))),
      configuration: ApplicationConfiguration(
        address: .hostname(configuration.host, port: configuration.port),
        availableConnectionsDelegate: MaximumAvailableConnections(limits.connections)),
      services: [Sweeper(jobs: jobs, idleTimeout: configuration.idleTimeout)],
      onServerRunning: { channel in await onRunning(channel.localAddress?.port ?? 0) },
      logger: logger)
  }
}
