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

    /// Creates settings with the defaults.
    public init(directory: String, executable: String) {
      self.directory = directory
      self.executable = executable
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
