import RESPClient

extension APIServer {
  /// How a server takes part in a fleet: any number of servers that share one Redis 7 or Valkey, of
  /// which each answers for the sessions of all.
  public struct FleetMembership: Sendable {
    let redis: RedisConfiguration
    /// The URL at which the other servers of the fleet reach this one.
    public let advertisedURL: String
    /// How long the others take this server for reachable after it was last heard of.
    public var lease: Duration = .seconds(10)
    /// How long after that they take its sessions for alive. Then they are lost: closed for good.
    public var grace: Duration = .seconds(10)
    /// The most batches of output that wait to be stored at a time, of 64 KiB or of one larger
    /// chunk.
    public var batchesInFlight = 64
    /// The most sessions of other servers that are copied at a time: about 1.7 MiB each, if they
    /// are full.
    public var copies = 512

    /// Creates the configuration of a member.
    ///
    /// - Parameters:
    ///   - redis: The URL of the Redis: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or
    ///     `rediss://…` for TLS.
    ///   - advertisedURL: The URL at which the other servers reach this one: `http://HOST:PORT`.
    /// - Throws: ``InvalidURL`` if one of them is not valid.
    public init(redis: String, advertisedURL: String) throws(InvalidURL) {
      do {
        self.redis = RedisConfiguration(url: try RedisURL(parsing: redis), clientName: "processd")
      } catch {
        throw InvalidURL(description: "\(error)")
      }
      let isHTTP = ["http://", "https://"].contains { advertisedURL.hasPrefix($0) }
      let rest = advertisedURL.drop { $0 != ":" }.dropFirst(3)
      guard isHTTP, !rest.isEmpty, !rest.contains("/"), !rest.contains("?"), !rest.contains("@"),
        !rest.utf8.contains(where: { $0 <= 0x20 || $0 >= 0x7f })
      else {
        throw InvalidURL(
          description: "“\(advertisedURL)” is no address of a server: give http://HOST:PORT")
      }
      self.advertisedURL = advertisedURL
    }
  }

  /// An error that says why a URL cannot be used.
  public struct InvalidURL: Error, Sendable, CustomStringConvertible {
    /// What was wrong, and what to do. Never holds a password.
    public let description: String
  }
}
