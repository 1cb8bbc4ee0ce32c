public import CoreMetrics
import ProcessHost

extension APIServer {
  /// The configuration of a server.
  public struct Configuration: Sendable {
    /// Whether to listen on ``host`` and ``port``.
    public var listensOnPort = true
    /// The path of a socket to listen on, which only this user may use; nil for none.
    public var unixPath: String?
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 for any free port.
    public var port = 8787
    /// The source of the tokens.
    public var tokens: TokenSource
    /// How long an idle session is kept.
    public var idleTimeout: Duration = .seconds(30 * 60)
    /// The most processes that a workspace may run at a time.
    public var sessionsPerWorkspace = 10
    /// The most bytes of output that the ended sessions of a workspace may retain together before
    /// it may start no more processes.
    public var retainedBytesPerWorkspace = 256 << 20
    /// Names of this machine that clients on its loopback may use in `Host`, in addition to
    /// `localhost` and its addresses. Other names are refused there: otherwise a page in a browser
    /// could reach the server by a name of its own.
    public var allowedHosts: Set<String> = []
    /// The user as which commands run, for a server that runs as root; nil for the server's own.
    public var commandUser: CommandUser?
    /// Whether each command gets a cgroup of its own. Then signals also reach processes that leave
    /// the command's process group, and commands can have limits on their memory and their
    /// processes. It costs some milliseconds and descriptors for each.
    public var controlGroups = ControlGroups.none
    /// What happens to the processes that a token started when the token is revoked.
    public var onRevoke = RevocationPolicy.keep
    /// The name of this server's environment: in a fleet, one that no other server of it has.
    public var environmentName = "local"
    /// How sessions survive the server; nil if they end with it.
    public var holders: HolderSettings?
    /// The fleet that this server is a member of; nil for none.
    public var fleet: FleetMembership?
    /// The limit on open files of commands that are given none; nil for the server's own.
    var openFiles: Command.Limit?
    /// Bounds on what clients can do.
    public var limits = Limits()

    /// The number of log lines that could not be written, for the metrics.
    public var droppedLogLines: @Sendable () -> Int = { 0 }

    /// Receives the metrics, besides `GET /metrics`: the program's backend for swift-metrics,
    /// which does nothing until the program bootstraps another.
    public var metricsFactory: any MetricsFactory = MetricsSystem.factory
    /// Receives a record of each request when its response is written; nil for no access log. It is
    /// called on an event loop, and must not block.
    public var accessLog: (@Sendable (AccessRecord) -> Void)?

    /// Creates a configuration with the defaults.
    public init(tokens: TokenSource) { self.tokens = tokens }
  }

  /// What happens to the processes that a token started when the token is revoked.
  public enum RevocationPolicy: String, Sendable, CaseIterable {
    /// The processes are ended.
    case end
    /// The processes go on, and their workspace's other tokens give access to them.
    case keep
  }

  /// Bounds on what clients can do.
  public struct Limits: Sendable {
    /// The largest body of a request, in bytes.
    public var bodyBytes = 2 << 20
    /// The largest head of a request, in bytes.
    public var headBytes = 16 << 10
    /// The most header fields of a request.
    public var headerFields = 100
    /// The most connections at a time on which a token has arrived. Requests on more are refused.
    public var connections = 1024
    /// The most connections at a time of one workspace.
    public var connectionsPerWorkspace = 512
    /// The most additional connections: for `/healthz`, and for clients that have not sent their
    /// token yet. If there are more, the oldest of them is cut off.
    public var reservedConnections = 32
    /// How long a connection may last before a token has arrived on it.
    public var anonymousTime: Duration = .seconds(10)
    /// The bound on bytes that wait to be sent.
    public var outgoing = Backlog(
      perConnection: 32 << 20, perWorkspace: 128 << 20, total: 256 << 20)
    /// The bound on bytes of bodies that are not complete.
    public var incoming = Backlog(perConnection: 4 << 20, perWorkspace: 32 << 20, total: 64 << 20)
    /// How long a connection may make no progress before it may be cut off to make room for others.
    public var stallAllowance: Duration = .seconds(1)
    /// How many times an address may fail to log in at once.
    public var failedLogins = 20
    /// The time after which an address may fail to log in once more.
    public var failedLoginInterval: Duration = .seconds(1)
    /// How long a request's body may take to arrive.
    public var requestTime: Duration = .seconds(30)
    /// How long a connection may be idle, or a request's head may take to arrive.
    public var idleTime: Duration = .seconds(75)
    /// How long a client may read nothing of a response that it should read.
    public var stallTime: Duration = .seconds(30)
    /// The longest wait of a long poll; a client that asks for more gets this much.
    public var waitTime: Duration = .seconds(60)
    /// The interval at which a stream of events shows that it is alive.
    public var heartbeat: Duration = .seconds(15)
    /// How many bytes may wait for a process to read its stdin.
    public var stdinBytes = 1 << 20
    /// How long writing to stdin waits for the process to read.
    public var stdinPatience: Duration = .milliseconds(250)
    /// The longest time that the tool `shell` gives a command.
    public var shellTime: Duration = .seconds(600)
    /// How long processes that a command of the tool `shell` leaves in the background may write,
    /// unless the client gives a time.
    public var shellLinger: Duration = .milliseconds(250)
    /// The time between the signal that asks a process to end and `SIGKILL`.
    public var grace: Duration = .seconds(2)
    /// How long clients have to take their answers when the server ends and its processes have
    /// ended.
    public var farewell: Duration = .seconds(5)

    /// Creates the default bounds.
    public init() {}

    /// A bound on bytes that wait: for each connection, for each workspace, and in total.
    public struct Backlog: Sendable {
      /// The most bytes of one connection.
      public var perConnection: Int
      /// The most bytes of one workspace's connections.
      public var perWorkspace: Int
      /// The most bytes of all connections.
      public var total: Int

      /// Creates a bound of these numbers of bytes.
      public init(perConnection: Int, perWorkspace: Int, total: Int) {
        self.perConnection = perConnection
        self.perWorkspace = perWorkspace
        self.total = total
      }
    }
  }
}
