public import ArgumentParser
public import Logging
import NIOCore
public import ProcessServer
import ServiceLifecycle
import UnixSignals

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif
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
    abstract:
      "Starts commands, keeps their output and serves it, over HTTP or to one agent over stdio.",
    discussion: """
      Without --tokens, a random token is made and shown once, and only this machine is served. Server/README.md \
      describes the API.
      """,
    version: "processd \(APIServer.version)")

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

  @Flag(
    name: .customLong("stdio"),
    help: "Serve one agent of this machine over stdin and stdout, by MCP, instead of HTTP.")
  var usesStdio = false

  @Option(
    name: .customLong("on-revoke"),
    help: ArgumentHelp(
      "What happens to the processes that a token started when it is revoked: end or keep;"
        + " keep unless told.",
      valueName: "on-revoke"))
  var givenOnRevoke: APIServer.RevocationPolicy?

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
      "The most connections at a time with which a token has come; 1024 unless told.",
      valueName: "number"))
  var givenMaxConnections: Int?

  @Option(
    name: .customLong("connections-per-workspace"),
    help: ArgumentHelp(
      "The most connections at a time of one workspace; half of all unless told.",
      valueName: "number"))
  var connectionsPerWorkspace: Int?

  @Option(
    name: .customLong("env-name"),
    help: ArgumentHelp("The name of the environment; local unless told.", valueName: "name"))
  var givenEnvName: String?

  @Option(
    name: .customLong("state-dir"),
    help: ArgumentHelp(
      "A directory, which this daemon has to itself, by which commands and their output survive it:"
        + " a later daemon with the same directory goes on with them. Made with mode 0700 if it is"
        + " not there.",
      valueName: "dir"))
  var stateDirectory: String?

  @Option(
    name: .customLong("orphan-timeout"),
    help: ArgumentHelp(
      "With --state-dir: how long a command goes on without a daemon: 90s, 30m, 2h; as long as"
        + " --idle-timeout unless told.",
      valueName: "time"))
  var orphanTimeout: TimeSpan?

  @Option(
    name: .customLong("on-shutdown"),
    help: ArgumentHelp(
      "With --state-dir: what happens to the commands when a signal ends the daemon: end or keep;"
        + " end unless told.",
      valueName: "on-shutdown"))
  var givenOnShutdown: APIServer.ShutdownPolicy?

  @Option(
    name: .customLong("fleet"),
    help: ArgumentHelp(
      "The Redis 7 or Valkey of a fleet, all of whose processd answer for each other's sessions:"
        + " redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// for TLS; - reads the URL"
        + " from PROCESSD_FLEET.",
      valueName: "url"))
  var fleetURL: String?

  @Option(
    name: .customLong("advertise"),
    help: ArgumentHelp(
      "The URL at which the others of the fleet reach this one: http://HOST:PORT.",
      valueName: "url"))
  var advertisedURL: String?

  @Option(
    name: .customLong("fleet-lease"),
    help: ArgumentHelp(
      "How long the others of the fleet wait for this one when it is silent, and then how long they"
        + " wait before its sessions are lost: 10s unless told.",
      valueName: "time"))
  var fleetLease: TimeSpan?

  @Option(
    name: .customLong("log-level"),
    help: ArgumentHelp("How much to log on stderr.", valueName: "level"))
  var logLevel = Logger.Level.info

  @Option(
    name: .customLong("access-log"),
    help: ArgumentHelp(
      "A file that gets a line of JSON for each request; - for stdout; opened anew on SIGHUP.",
      valueName: "file"))
  var accessLogPath: String?

  private var host: String { givenHost ?? "127.0.0.1" }
  private var port: Int { givenPort ?? 8787 }
  private var maxConnections: Int { givenMaxConnections ?? 1024 }
  private var envName: String { givenEnvName ?? "local" }

  func validate() throws {
    if usesStdio, let option = optionsOfHTTP.first(where: \.isGiven) {
      throw ValidationError("--\(option.name) is for HTTP: leave it out, or --stdio")
    }
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
    guard fleetURL == nil || advertisedURL != nil && givenEnvName != nil && tokens != nil else {
      throw ValidationError(
        "--fleet needs --advertise URL, where the others reach this processd, --env-name NAME,"
          + " which no other has, and --tokens FILE, the same for all")
    }
    guard fleetURL != nil || advertisedURL == nil && fleetLease == nil else {
      throw ValidationError("--advertise and --fleet-lease are for --fleet: add that")
    }
    guard fleetURL == nil || unixPath == nil || givenHost != nil || givenPort != nil else {
      throw ValidationError("--fleet needs a port that the others reach: give --port beside --unix")
    }
    guard (fleetLease?.duration ?? .seconds(1)) >= .milliseconds(500) else {
      throw ValidationError("--fleet-lease must be at least 500ms")
    }
    guard stateDirectory != nil || orphanTimeout == nil && givenOnShutdown == nil else {
      throw ValidationError("--orphan-timeout and --on-shutdown are for --state-dir: add that")
    }
    guard stateDirectory?.isEmpty != true else {
      throw ValidationError("--state-dir is empty: give a directory")
    }
    guard stateDirectory == nil || fleetURL == nil else {
      throw ValidationError(
        "--state-dir and --fleet exclude each other: a daemon of a fleet begins anew each time")
    }
    guard !envName.isEmpty, !envName.contains("/") else {
      throw ValidationError("--env-name \(envName): must be a name without a slash")
    }
    guard tokens != nil || isLoopback(address: host) else {
      throw ValidationError(
        "--host \(host) can be reached by others: --tokens FILE must say who may do what")
    }
  }

  private var optionsOfHTTP: [(name: String, isGiven: Bool)] {
    [
      ("host", givenHost != nil), ("port", givenPort != nil), ("unix", unixPath != nil),
      ("allowed-host", !allowedHosts.isEmpty), ("tokens", tokens != nil),
      ("on-revoke", givenOnRevoke != nil), ("max-connections", givenMaxConnections != nil),
      ("connections-per-workspace", connectionsPerWorkspace != nil),
      ("env-name", givenEnvName != nil), ("access-log", accessLogPath != nil),
      ("fleet", fleetURL != nil), ("state-dir", stateDirectory != nil),
    ]
  }

  static func main() async {
    // No other file may get the numbers of stdin, stdout and stderr.
    for number in 0...2 as ClosedRange<Int32> where fcntl(number, F_GETFD) < 0 {
      _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
    }
    await main(nil)
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
    configuration.fleet = try fleet()
    let openFiles = configuration.raiseLimitOnOpenFiles()
    guard openFiles >= APIServer.Configuration.leastOpenFiles else {
      throw Failure(
        description: "this process may open \(openFiles) files, and needs"
          + " \(APIServer.Configuration.leastOpenFiles) at least: raise the limit (ulimit -n)")
    }
    if let stateDirectory {
      var holders = APIServer.HolderSettings(
        directory: stateDirectory, executable: try besideThis("processd-holder"))
      holders.orphanTimeout = orphanTimeout?.duration
      holders.onShutdown = givenOnShutdown ?? .end
      configuration.holders = holders
    }
    configuration.limits.connections = maxConnections
    configuration.limits.connectionsPerWorkspace =
      connectionsPerWorkspace ?? max(1, maxConnections / 2)
    configuration.onRevoke = givenOnRevoke ?? .keep
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

    let log = LogWriter(Descriptor(STDERR_FILENO)) {
      "processd: \($0) lines of the log were dropped"
    }
    let accessLog: AccessLogFile?
    do throws(AccessLogFile.OpenError) {
      accessLog = try accessLogPath.map { path throws(AccessLogFile.OpenError) in
        try AccessLogFile(path)
      }
    } catch {
      throw ValidationError("--access-log \(error)")
    }
    if let writer = accessLog?.writer { configuration.accessLog = { writer.write($0.json) } }
    configuration.droppedLogLines = { log.droppedLines + (accessLog?.writer.droppedLines ?? 0) }
    var logger = Logger(label: "processd") { LineLogHandler(label: $0, writer: log) }
    logger.logLevel = logLevel
    typealias Member = ServiceGroupConfiguration.ServiceConfiguration
    if usesStdio {
      // The end of the reader is an error of a write, and must not end this process at once.
      _ = signal(SIGPIPE, SIG_IGN)
      let server = try StdioServer(configuration, logger: logger)
      let members = [
        Member(service: server, successTerminationBehavior: .gracefullyShutdownGroup)
      ]
      return try await serve(
        members, until: [.sigterm, .sigint, .sighup], configuration, logger, [log])
    }
    let server: APIServer
    do {
      server = try APIServer(configuration, logger: logger) { [host, made, unixPath] port in
        let name = host.contains(":") ? "[\(host)]" : host
        if let unixPath { say("processd: listening on \(unixPath)") }
        if port > 0 { say("processd: listening on http://\(name):\(port)") }
        if let made { say("processd: token \(made)") }
      }
    } catch let error as TokenError {
      throw ValidationError("--tokens \(error)")
    } catch let error as StateDirectoryError {
      throw ValidationError("--state-dir \(error)")
    } catch {
      throw ValidationError("--fleet \(error)")
    }
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
        Member(
          service: HangUpHandling(
            server: server, accessLog: accessLog, hangUps: hangUps, logger: logger)))
    }
    try await serve(
      members, until: endSignals, configuration, logger,
      [log] + (accessLog.map { [$0.writer] } ?? []))
  }

  /// Returns the path of a program that is installed in the directory of this one.
  private func besideThis(_ name: String) throws -> String {
    #if os(Linux)
      let link = "/proc/self/exe"
    #else
      let link = ProcessInfo.processInfo.arguments[0]
    #endif
    guard let path = unsafe realpath(link, nil) else {
      throw ValidationError("--state-dir: the directory of \(name) cannot be found")
    }
    defer { unsafe free(path) }
    let own = unsafe String(cString: path)
    return own[..<(own.lastIndex(of: "/") ?? own.startIndex)] + "/" + name
  }

  private func fleet() throws -> APIServer.FleetMembership? {
    guard let fleetURL, let advertisedURL else { return nil }
    // Others can see the arguments of a program, and a URL may hold a password.
    let given = ProcessInfo.processInfo.environment["PROCESSD_FLEET"]
    if fleetURL == "-", given?.isEmpty ?? true {
      throw ValidationError("--fleet -: PROCESSD_FLEET is not set, or empty")
    }
    let redis = fleetURL == "-" ? given ?? "" : fleetURL
    do throws(APIServer.InvalidURL) {
      var fleet = try APIServer.FleetMembership(redis: redis, advertisedURL: advertisedURL)
      if let fleetLease { (fleet.lease, fleet.grace) = (fleetLease.duration, fleetLease.duration) }
      return fleet
    } catch {
      throw ValidationError("--fleet, --advertise: \(error)")
    }
  }

  private func serve(
    _ services: [ServiceGroupConfiguration.ServiceConfiguration], until signals: [UnixSignal],
    _ configuration: APIServer.Configuration, _ logger: Logger, _ logs: [LogWriter]
  ) async throws {
    let group = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: services, gracefulShutdownSignals: signals, logger: logger))
    if let obstacle = configuration.controlGroups.obstacle {
      logger.notice(
        "max_memory_bytes and max_processes are refused", metadata: ["why": "\(obstacle)"])
    }
    if !hideMemory() { logger.notice("other processes of this user may read this one's memory") }
    func flush() async {
      for log in logs { await log.flush(upTo: .seconds(1)) }
    }
    do {
      try await group.run()
      await flush()
    } catch {
      await flush()
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

/// Reads the tokens again, and opens the access log anew, at each SIGHUP.
private struct HangUpHandling: Service {
  let server: APIServer
  let accessLog: AccessLogFile?
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
      guard let accessLog else { continue }
      do throws(AccessLogFile.OpenError) {
        try accessLog.reopen()
        logger.notice("access log opened anew")
      } catch {
        logger.error("the access log stays as it was", metadata: ["error": "\(error)"])
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
extension APIServer.ShutdownPolicy: ExpressibleByArgument {}
