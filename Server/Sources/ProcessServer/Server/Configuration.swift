extension APIServer {
  /// What a server is to be like.
  public struct Configuration: Sendable {
    /// The address to listen on.
    public var host = "127.0.0.1"
    /// The port to listen on; 0 for any that is free.
    public var port = 8787
    /// Who may do what.
    public var tokens: TokenSource
    /// How long a session is kept in which nothing happens.
    public var idleTimeout: Duration = .seconds(30 * 60)
    /// The most processes that a workspace may run at a time.
    public var sessionsPerWorkspace = 10
    /// How many bytes of output the ended sessions of a workspace may retain together before it may
    /// start no more processes.
    public var retainedBytesPerWorkspace = 256 << 20
    /// The name of the one environment that there is.
    public var environmentName = "local"
    /// Bounds on what clients can do.
    public var limits = Limits()

    /// A configuration with the defaults.
    public init(tokens: TokenSource) { self.tokens = tokens }
  }

  /// Bounds on what clients can do.
  public struct Limits: Sendable {
    /// The largest body of a request, in bytes.
    public var bodyBytes = 2 << 20
    /// The largest head of a request, in bytes.
    public var headBytes = 16 << 10
    /// The most header fields of a request.
    public var headerFields = 100
    /// The most connections at a time; who comes later has to wait for one to end.
    public var connections = 1024
    /// How long a request's body may take to arrive.
    public var requestTime: Duration = .seconds(30)
    /// How long a connection may lie idle, or a request's head take to arrive.
    public var idleTime: Duration = .seconds(75)
    /// How long a client that is to read a response may read nothing of it.
    public var stallTime: Duration = .seconds(30)
    /// The longest wait of a long poll; who asks for more gets this much.
    public var waitTime: Duration = .seconds(60)
    /// How often a stream of events shows that it is alive.
    public var heartbeat: Duration = .seconds(15)
    /// How many bytes may wait for a process to read its stdin.
    public var stdinBytes = 1 << 20
    /// How long writing to stdin waits for the process to read.
    public var stdinPatience: Duration = .milliseconds(250)
    /// The longest time that the tool `shell` gives a command.
    public var shellTime: Duration = .seconds(600)
    /// How long processes have to end when they are asked to.
    public var grace: Duration = .seconds(2)
    /// How long, when the server ends and its processes have, clients have to take their answers.
    public var farewell: Duration = .seconds(5)

    /// The defaults.
    public init() {}
  }
}
