package import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension APIServer {
  /// How sessions survive the server.
  public struct HolderSettings: Sendable {
    /// The directory of the sessions' files, which the server has to itself.
    public var directory: String
    /// The path of `processd-holder`.
    public var executable: String
    /// How long a session goes on without a server; nil for the server's idle timeout.
    public var orphanTimeout: Duration?
    /// What happens to the processes when the server is shut down.
    public var onShutdown = ShutdownPolicy.end
    /// The limit on open files of commands that are given none; nil for the server's own.
    package var openFiles: Command.Limit?

    /// Creates settings with the defaults.
    public init(directory: String, executable: String) {
      self.directory = directory
      self.executable = executable
    }

    /// Raises this program's limit on open files as far as it may, since each session that runs
    /// takes two. Commands get the limit as it was.
    public mutating func raiseLimitOnOpenFiles() {
      #if canImport(Glibc)
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
      #else
        let resource = RLIMIT_NOFILE
      #endif
      var limit = rlimit()
      guard unsafe getrlimit(resource, &limit) == 0, limit.rlim_cur < limit.rlim_max else { return }
      openFiles = Command.Limit(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
      limit.rlim_cur = limit.rlim_max
      unsafe setrlimit(resource, &limit)
    }
  }

  /// What happens to the processes of a server that is shut down.
  public enum ShutdownPolicy: String, Sendable, CaseIterable {
    /// They are ended. Their output stays for the next server.
    case end
    /// They go on, for the next server.
    case keep
  }
}
