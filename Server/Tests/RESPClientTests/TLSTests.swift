import Foundation
import NIOCore
import NIOPosix
import Testing

@testable import RESPClient

private let openSSL = "/usr/bin/openssl"

private let hasOpenSSL = FileManager.default.isExecutableFile(atPath: openSSL)

/// TLS, towards a server with a certificate of its own.
@Suite(
  .enabled(if: RedisServer.isInstalled, "there is no \(RedisServer.path)"),
  .enabled(if: hasOpenSSL, "there is no \(openSSL)"),
  .timeLimit(.minutes(10)))
struct TLSTests {
  /// Runs a server.
  ///
  /// - Parameters:
  ///   - names: What the certificate is for.
  ///   - body: Has the configuration of a client that trusts the certificate.
  private func withServer(
    names: String, _ body: (RedisConfiguration) async throws -> Void
  ) async throws {
    let port = try await Self.freePort()
    let make = { (directory: URL) in
      let (certificate, key) = (directory.path + "/cert.pem", directory.path + "/key.pem")
      let program = try Program(
        openSSL,
        ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
          + ["-addext", "subjectAltName=\(names)"]
          + ["-keyout", key, "-out", certificate])
      #expect(await program.wait() == 0)
      return ["--tls-port", "\(port)", "--tls-cert-file", certificate, "--tls-key-file", key]
        + ["--tls-ca-cert-file", certificate, "--tls-auth-clients", "no", "--bind", "127.0.0.1"]
    }
    try await RedisServer.run(make) { server in
      var configuration = RedisConfiguration.test(
        RedisURL(address: .host("localhost", port: port), usesTLS: true))
      configuration.certificateAuthorityFile = server.directory.path + "/cert.pem"
      try await body(configuration)
    }
  }

  /// A port that nothing listens on. The system gives those of this range to no client: one of
  /// another test might take it until the server does.
  private static func freePort() async throws -> Int {
    while true {
      let port = Int.random(in: 20_000..<32_000)
      let bootstrap = ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      guard let channel = try? await bootstrap.bind(host: "127.0.0.1", port: port).get() else {
        continue
      }
      try await channel.close()
      return port
    }
  }

  @Test("A certificate that is trusted and has the server's name or address is accepted")
  func accepted() async throws {
    try await withServer(names: "DNS:localhost,IP:127.0.0.1") { configuration in
      for (host, name) in [("localhost", nil), ("127.0.0.1", nil), ("127.0.0.1", "localhost")] {
        var configuration = configuration
        if case .host(_, let port) = configuration.url.address {
          configuration.url.address = .host(host, port: port)
        }
        configuration.serverName = name
        try await withClient(configuration) { client, connected in
          await connected.wait()
          let payload = ByteBuffer(repeating: 0x61, count: 200_000)
          let replies = try await client.send([
            RESPCommand("SET", "k", payload), RESPCommand("GET", "k"),
          ])
          #expect(replies == [.simpleString("OK"), .bulk(payload)])
        }
      }
    }
  }

  @Test("A certificate of another name, or one that is not trusted, is refused")
  func refused() async throws {
    // The address would be enough, whatever the name.
    try await withServer(names: "DNS:localhost") { trusting in
      var configurations = [trusting, trusting]
      configurations[0].serverName = "example.com"
      configurations[1].certificateAuthorityFile = nil
      for var configuration in configurations {
        configuration.firstDelay = .seconds(3600)
        configuration.lastDelay = .seconds(3600)
        let log = Log()
        try await withClient(configuration, logger: log.logger) { client, _ in
          let line = await log.lines.next() ?? ""
          #expect(line.hasPrefix("warning cannot connect to Redis"))
          #expect(line.lowercased().contains("certificate"), "\(line)")
          #expect(!client.isConnected)
        }
      }
    }
  }
}
