/// What a client and a subscriber are told.
package struct RedisConfiguration: Sendable {
  package var url: RedisURL
  /// The name by which `CLIENT LIST` shows the connection.
  package var clientName: String?
  /// With TLS: a PEM file of the certificates that are trusted, instead of the system's.
  package var certificateAuthorityFile: String?
  /// With TLS: the name that SNI sends, and that the certificate must have unless it has the
  /// server's address; nil for the URL's host.
  package var serverName: String?
  /// How long a command may be outstanding, and how long a connection may take to be made.
  package var timeLimit = Duration.seconds(5)
  /// How many commands of a client may be outstanding; more than that at once are always refused.
  package var outstandingCommands = 16_384
  /// How many bytes the outstanding commands of a client may have.
  package var outstandingBytes = 64 << 20
  /// How large a reply may be.
  package var replies = RESPDecoder.Limits()
  /// How often a subscriber checks that the server is there.
  package var pingInterval = Duration.seconds(3)
  /// The longest delay before the first attempt to connect again; it doubles with each attempt.
  package var firstDelay = Duration.milliseconds(50)
  /// What the longest delay doubles up to.
  package var lastDelay = Duration.seconds(2)

  package init(url: RedisURL, clientName: String? = nil) {
    self.url = url
    self.clientName = clientName
  }
}
