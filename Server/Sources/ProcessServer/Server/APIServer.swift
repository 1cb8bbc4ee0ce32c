import Hummingbird
import HummingbirdCore
public import Logging
import NIOCore
public import ServiceLifecycle

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The HTTP API over processes and their sessions.
///
/// ```swift
/// var configuration = APIServer.Configuration(tokens: .file(path: "/etc/processd/tokens"))
/// configuration.port = 8080
/// let server = try APIServer(configuration, logger: logger)
/// try await server.run()
/// ```
///
/// Ends when its task is cancelled or, preferably, its service group is shut down gracefully: then
/// it accepts no more connections, ends all processes, and answers the requests that still wait.
public final class APIServer: Service {
  /// The version of the server and its commands.
  public static let version = "0.1.0"

  /// The configuration of the server.
  public let configuration: Configuration
  private let logger: Logger
  private let access: Access
  private let fleet: Fleet?
  let holders: HolderHost?
  let jobs: JobTable
  let connections: Connections
  private let metrics: Metrics
  private let onRunning: @Sendable (Int) async -> Void

  /// Creates a server that does not listen yet.
  ///
  /// - Parameters:
  ///   - configuration: The configuration of the server.
  ///   - logger: Gets a line for each process that starts or is deleted, but never output or a
  ///     token.
  ///   - onRunning: Called when the server listens, with the port, or 0 if it has none.
  /// - Throws: ``TokenError`` if the tokens cannot be read; ``StateDirectoryError`` if the
  ///   directory of ``Configuration/holders`` cannot be used; an error of NIOSSL if the fleet's
  ///   Redis is to be reached by TLS, and that cannot be set up.
  public init(
    _ configuration: Configuration, logger: Logger,
    onRunning: @escaping @Sendable (_ port: Int) async -> Void = { _ in }
  ) throws {
    self.configuration = configuration
    self.logger = logger
    self.onRunning = onRunning
    access = try Access(configuration.tokens)
    fleet = try configuration.fleet.map {
      try Fleet(
        $0, name: configuration.environmentName, idleTimeout: configuration.idleTimeout,
        logger: logger)
    }
    holders = try configuration.holders.map {
      try HolderHost($0, configuration, logger: logger)
    }
    jobs = JobTable(
      configuration, host: holders ?? OwnHost(configuration), fleet: fleet, logger: logger)
    connections = Connections(configuration.limits)
    metrics = Metrics(report: MetricsReport(to: configuration.metricsFactory))
  }

  /// Reads the file of tokens again.
  ///
  /// Requests that wait or follow with a token that was removed end. ``Configuration/onRevoke``
  /// says what happens to the processes that the token started.
  ///
  /// - Throws: ``TokenError``; the tokens in force then stay in force.
  public func reloadTokens() throws(TokenError) {
    let revoked = try access.reload()
    guard !revoked.isEmpty else { return }
    connections.endRevokedWaits()
    jobs.end(startedBy: revoked)
  }

  /// Serves until the end.
  ///
  /// - Throws: An error if the server cannot listen on the address.
  public func run() async throws {
    // Each session is there for the first request.
    if let holders { jobs.adopt(await holders.adopt(access)) }
    let (listening, listens) = AsyncStream<Void>.makeStream()
    // The others must not send requests before this server takes them.
    let member = Task { [fleet] in
      for await _ in listening { break }
      await fleet?.run()
    }
    defer { member.cancel() }
    do {
      try await withGracefulShutdownHandler {
        try await serve { listens.yield() }
      } onGracefulShutdown: { [jobs, fleet, connections, limits = configuration.limits] in
        // The end of a process answers the clients that wait for it; other waiting clients are
        // answered after that. A client that does not take its answer, or is in the middle of a
        // request, does not delay the end for long.
        Task {
          await jobs.shutDown()
          await fleet?.end()
          connections.endWaits()
          try await Task.sleep(for: limits.farewell)
          connections.cutOff()
        }
      }
    } catch {
      // Such as a port that is in use: no reason to end what survives a crash.
      await jobs.shutDown(isFailure: true)
      await fleet?.end()
      throw error
    }
    await jobs.shutDown()
    await fleet?.end()
  }

  /// Listens on all configured addresses, the socket first.
  ///
  /// - Parameter onListening: Called when the server listens on its port, if it has one.
  private func serve(onListening: @escaping @Sendable () -> Void) async throws {
    let api = API(
      configuration: configuration, access: access,
      failedLogins: FailedLogins(
        burst: configuration.limits.failedLogins,
        interval: configuration.limits.failedLoginInterval),
      jobs: jobs, fleet: fleet, connections: connections, metrics: metrics, logger: logger)
    let server = Responder(api)
    let sweeper = Sweeper(api: api)
    let tcp = application(
      server, at: .hostname(configuration.host, port: configuration.port), services: [sweeper]
    ) { [onRunning] in
      onListening()
      await onRunning($0.localAddress?.port ?? 0)
    }
    guard let path = configuration.unixPath else { return try await tcp.run() }

    let socket = UnixSocket(path: path)
    try await socket.claim()
    // Until the socket exists, nothing else runs that would create files.
    let mask = socket.restrict()
    defer { socket.remove() }
    let (bound, isBound) = AsyncStream<Void>.makeStream()
    let isAlone = !configuration.listensOnPort
    let unix = application(
      server, at: .unixDomainSocket(path: path), services: isAlone ? [sweeper] : []
    ) { [onRunning] _ in
      umask(mask)
      isBound.yield()
      if isAlone { await onRunning(0) }
    }
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        defer {
          umask(mask)
          isBound.finish()
        }
        try await unix.run()
      }
      if !isAlone {
        group.addTask {
          for await _ in bound { return try await tcp.run() }
        }
      }
      try await group.waitForAll()
    }
  }

  private func application(
    _ responder: Responder, at address: BindAddress, services: [any Service],
    onRunning: @escaping @Sendable (any Channel) async -> Void
  ) -> some ApplicationProtocol {
    Application(
      responder: responder,
      server: HTTPServerBuilder { [configuration, connections] httpResponder in
        APIChannel(
          responder: httpResponder, configuration: configuration, connections: connections,
          routes: responder.routes)
      },
      configuration: ApplicationConfiguration(address: address), services: services,
      onServerRunning: onRunning, logger: logger)
  }
}
