import NIOCore
import NIOSSL

/// TLS towards a server of which the certificate is verified completely.
struct TransportSecurity: Sendable {
  private let context: NIOSSLContext
  /// The name that the certificate must have; nil for the address itself.
  private let serverName: String?

  /// - Throws: An error of NIOSSL if the file of certificates cannot be used.
  init(_ configuration: RedisConfiguration) throws {
    var settings = TLSConfiguration.makeClientConfiguration()
    settings.minimumTLSVersion = .tlsv12
    // A peer that is gone says no goodbye, and the next connection waits for that.
    settings.shutdownTimeout = .milliseconds(500)
    if let file = configuration.certificateAuthorityFile {
      settings.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
    }
    context = try NIOSSLContext(configuration: settings)
    serverName =
      if let name = configuration.serverName {
        name
      } else if case .host(let host, _) = configuration.url.address,
        (try? SocketAddress(ipAddress: host, port: 0)) == nil
      {
        host
      } else {
        nil
      }
  }

  func handler() throws -> NIOSSLClientHandler {
    try NIOSSLClientHandler(context: context, serverHostname: serverName)
  }
}
