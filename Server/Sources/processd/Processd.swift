public import ArgumentParser
public import Logging
import NIOCore
public import ProcessServer
import ServiceLifecycle
import UnixSignals

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

@main
struct Processd: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "processd",
    abstract: "Starts commands, keeps their output and serves it over HTTP.",
    discussion: """
      Without --tokens, a random token is made and shown once, and only this machine is served. Server/README.md \
      describes the API.
      """)

  @Option(name: .customLong("host"), help: "The address to listen on; 127.0.0.1 unless told.")
  var givenHost: String?

  @Option(
    name: .customLong("port"),
    help: "The port to listen on; 0 for any that is free; 8787 unless told.")
  var givenPort: Int?

  @Option(
    name: .customLong("unix"),
    help: ArgumentHelp(
      "A socket to listen on, which this user alone may use; beside --host and --port if one of them is given, else"
        + " instead.", valueName: "path"))
  var unixPath: String?

  @Option(
    name: .customLong("allowed-host"),
    help: ArgumentHelp(
      "A name that clients of this machine may use for it beside localhost, such as a proxy's.",
      valueName: "name"))
  var allowedHosts: [String] = []

  @Option(
    help: ArgumentHelp(
      "A file of lines “TOKEN WORKSPACE”, which only its owner may read; read again on SIGHUP.",
      valueName: "file"))
  var tokens: String?

  @Option(
    name: .customLong("run-as"),
    help: ArgumentHelp(
      "The user that commands become; for a daemon that runs as root.", valueName: "user"))
  var runAs: String?

  @Flag(
    name: .customLong("cgroups"),
    help: "Give each command a control group of its own, where the system allows it.")
  var usesControlGroups = false

  @Option(
    name: .customLong("on-revoke"),
    help: "What happens to the processes that a token started when it is revoked: end or keep.")
  var onRevoke = APIServer.RevocationPolicy.keep

  @Option(
    name: .customLong("idle-timeout"),
    help: ArgumentHelp(
      "How long a session is kept in which nothing happens: 90s, 30m, 2h.", valueName: "time"))
  var idleTimeout = TimeSpan(duration: .seconds(30 * 60), text: "30m")

  @Option(
    name: .customLong("sessions-per-workspace"),
    help: ArgumentHelp(
      "The most processes that a workspace may run at a time.", valueName: "number"))
  var sessionsPerWorkspace = 10

  @Option(
    name: .customLong("retained-mib-per-workspace"),
    help: ArgumentHelp(
      "The most output that a workspace's ended sessions may retain, in MiB.",
      valueName: "number"))
  var retainedMiBPerWorkspace = 256

  @Option(
    name: .customLong("max-connections"),
    help: ArgumentHelp(
      "The most connections at a time with which a token has come.", valueName: "number"))
  var maxConnections = 1024

  @Option(
    name: .customLong("connections-per-workspace"),
    help: ArgumentHelp(
      "The most connections at a time of one workspace; half of all unless told.",
      valueName: "number"))
  var connectionsPerWorkspace: Int?

  @Option(
    name: .customLong("env-name"),
    help: ArgumentHelp("The name of the environment.", valueName: "name"))
  var envName = "local"

  @Option(
    name: .customLong("log-level"),
    help: ArgumentHelp("How much to log on stderr.", valueName: "level"))
  var logLevel = Logger.Level.info

  private var host: String { givenHost ?? "127.0.0.1" }
  private var port: Int { givenPort ?? 8787 }

  func validate() throws {
    guard (0...65_535).contains(port) else {
      throw ValidationError("--port \(port): must be from 0 to 65535")
    }
    guard sessionsPerWorkspace > 0 else {
      throw ValidationError("--sessions-per-workspace \(sessionsPerWorkspace): must be positive")
    }
    guard (1...(1 << 20)).contains(retainedMiBPerWorkspace) else {
      throw ValidationError(
        "--retained-mib-per-workspace \(retainedMiBPerWorkspace): must be from 1 to 1048576")
    }
    guard maxConnections > 0 else {
      throw ValidationError("--max-connections \(maxConnections): must be positive")
    }
    guard connectionsPerWorkspace ?? 1 > 0 else {
      throw ValidationError(
        "--connections-per-workspace \(connectionsPerWorkspace ?? 0): must be positive")
    }
    guard unixPath?.isEmpty != true, unixPath?.utf8.count ?? 0 <= 100 else {
      throw ValidationError("--unix \(unixPath ?? ""): must have from 1 to 100 bytes")
    }
    guard !envName.isEmpty, !envName.contains("/") else {
      throw ValidationError("--env-name \(envName): must be a name without a slash")
    }
    guard tokens != nil || isLoopback(address: host) else {
      throw ValidationError(
        "--host \(host) can be reached by others: --tokens FILE must say who may do what")
    }
  }

  func run() async throws {
    var made: String?
    let source: TokenSource
    if let tokens {
      source = .file(path: tokens)
    } else {
      let token = TokenTable.makeToken()
      made = token
      source = .fixed(try TokenTable(token: token, workspace: "default"))
    }
    var configuration = APIServer.Configuration(tokens: source)
    configuration.host = host
    configuration.port = port
    configuration.idleTimeout = idleTimeout.duration
    configuration.sessionsPerWorkspace = sessionsPerWorkspace
    configuration.retainedBytesPerWorkspace = retainedMiBPerWorkspace << 20
    configuration.environmentName = envName
    configuration.limits.connections = maxConnections
    configuration.limits.connectionsPerWorkspace =
      connectionsPerWorkspace ?? max(1, maxConnections / 2)
    configuration.onRevoke = onRevoke
    if usesControlGroups { configuration.controlGroups = .dividingOwn() }
    do throws(CommandUserError) {
      configuration.commandUser = try runAs.map { name throws(CommandUserError) in
        try CommandUser(named: name)
      }
    } catch {
      throw ValidationError("--run-as \(runAs ?? ""): \(error)")
    }
    configuration.allowedHosts = Set(allowedHosts.map { $0.lowercased() })
    configuration.unixPath = unixPath
    configuration.listensOnPort = unixPath == nil || givenHost != nil || givenPort != nil

    let log = LogWriter(descriptor: STDERR_FILENO)
    configuration.droppedLogLines = { log.droppedLines }
    var logger = Logger(label: "processd") { LineLogHandler(label: $0, writer: log) }
    logger.logLevel = logLevel
    let server: APIServer
    do {
      server = try APIServer(configuration, logger: logger) { [host, made, unixPath] port in
        let name = host.contains(":") ? "[\(host)]" : host
        if let unixPath { say("processd: listening on \(unixPath)") }
        if port > 0 { say("processd: listening on http://\(name):\(port)") }
        if let made { say("processd: token \(made)") }
      }
    } catch {
      throw ValidationError("--tokens \(error)")
    }
    typealias Member = ServiceGroupConfiguration.ServiceConfiguration
    var members = [
      Member(service: server, successTerminationBehavior: .gracefullyShutdownGroup)
    ]
    var endSignals: [UnixSignal] = [.sigterm, .sigint]
    if tokens == nil {
      // The server probably runs at a terminal; when that is gone, the token is lost.
      endSignals.append(.sighup)
    } else {
      // Handled from now on, so that an early signal does not end the daemon.
      let hangUps = await UnixSignalsSequence(trapping: .sighup)
      members.append(
        Member(service: TokenReloading(server: server, hangUps: hangUps, logger: logger)))
    }
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: members, gracefulShutdownSignals: endSignals, logger: logger))
    if let obstacle = configuration.controlGroups.obstacle {
      logger.notice(
        "max_memory_bytes and max_processes are refused", metadata: ["why": "\(obstacle)"])
    }
    if !hideMemory() { logger.notice("other processes of this user may read this one's memory") }
    do {
      try await group.run()
      await log.flush(upTo: .seconds(1))
    } catch {
      await log.flush(upTo: .seconds(1))
      if let error = error as? ListenError { throw Failure(description: error.description) }
      throw Failure(description: "cannot serve on \(host), port \(port): \(reason(error))")
    }
  }
}

/// Returns the description of an error, in the system's words if the system reported it.
private func reason(_ error: any Error) -> String {
  guard let error = error as? IOError else { return "\(error)" }
  return unsafe String(cString: strerror(error.errnoCode))
}

private struct Failure: Error, CustomStringConvertible { let description: String }

/// Reads the tokens again at each SIGHUP.
private struct TokenReloading: Service {
  let server: APIServer
  let hangUps: UnixSignalsSequence
  let logger: Logger

  func run() async throws {
    for await _ in hangUps.cancelOnGracefulShutdown() {
      do throws(TokenError) {
        try server.reloadTokens()
        logger.notice("tokens read anew")
      } catch {
        logger.error("tokens stay as they were", metadata: ["error": "\(error)"])
      }
    }
  }
}

/// Writes a line to stdout at once.
private func say(_ line: String) {
  print(line)
  fflush(nil)
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
extension APIServer.RevocationPolicy: ExpressibleByArgument {}
