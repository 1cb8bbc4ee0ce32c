import Testing

@testable import RESPClient

/// How the client makes connections.
@Suite(.timeLimit(.minutes(10))) struct ConnectingTests {
  @Test("The client logs in, selects its database and says its name in one pipeline")
  func introduction() async throws {
    try await FakeServer.run { server in
      var configuration = RedisConfiguration.test(server.url)
      configuration.url.user = "u"
      configuration.url.password = "p"
      configuration.url.database = 3
      configuration.clientName = "processd"
      try await withClient(configuration) { client, connected in
        let peer = try await server.accept()
        // Nothing is answered before all have arrived.
        #expect(await peer.next(4) == ["AUTH u p", "SELECT 3", "PING", "CLIENT SETNAME processd"])
        #expect(!client.isConnected)
        peer.send("+OK\r\n+OK\r\n+PONG\r\n-ERR unknown subcommand\r\n")
        await connected.wait()
        #expect(client.isConnected)
      }
    }
  }

  @Test("A password without a user is sent alone")
  func passwordAlone() async throws {
    try await FakeServer.run { server in
      var configuration = RedisConfiguration.test(server.url)
      configuration.url.password = "p"
      try await withClient(configuration) { _, _ in
        let peer = try await server.accept()
        #expect(await peer.next(2) == ["AUTH p", "PING"])
      }
    }
  }

  @Test(
    "A client whose introduction is refused is not connected, and tries again",
    arguments: [
      "-WRONGPASS hidden\r\n+OK\r\n-NOAUTH\r\n", "+OK\r\n-ERR hidden\r\n+PONG\r\n",
      "+OK\r\n+OK\r\n-LOADING hidden\r\n",
      "+OK\r\n-ERR unknown command, with args: hidden\r\n:x\r\n",
    ])
  func refused(replies: String) async throws {
    let log = Log()
    try await FakeServer.run { server in
      var configuration = RedisConfiguration.test(server.url)
      configuration.url.password = "hidden"
      configuration.url.database = 1
      try await withClient(configuration, logger: log.logger) { client, connected in
        for _ in 0..<3 {
          let peer = try await server.accept()
          _ = await peer.next(3)
          #expect(!client.isConnected)
          peer.send(replies)
          #expect(await peer.next() == nil)
        }
        let peer = try await server.accept()
        _ = await peer.next(3)
        peer.send("+OK\r\n+OK\r\n+PONG\r\n")
        await connected.wait()
        #expect(client.isConnected)
      }
    }
    let lines = log.contents.split(separator: "\n")
    #expect(lines.filter { $0.hasPrefix("warning") }.count == 1)
    #expect(lines.contains { $0.hasPrefix("info connected to Redis") })
    #expect(!log.contents.contains("hidden"))
  }

  @Test("What ends a connection is logged, without payloads")
  func logging() async throws {
    let log = Log()
    try await FakeServer.run { server in
      try await withClient(.test(server.url), logger: log.logger) { client, connected in
        let peer = try await server.accept()
        await peer.welcome()
        await connected.wait()
        let reply = Task { try await client.send(RESPCommand("SET", "hidden", "hidden")) }
        _ = await peer.next()
        peer.send(":hidden\r\n")
        _ = try? await reply.value
        _ = try await server.accept()
      }
    }
    #expect(log.contents.contains("warning the connection to Redis is closed"))
    #expect(log.contents.contains("an integer is not one of 64 bits"))
    #expect(!log.contents.contains("hidden"))
  }

  @Test("The run ends, and closes the connection, when its task is cancelled")
  func cancellation() async throws {
    try await FakeServer.run { server in
      var peer: FakeServer.Peer?
      try await withClient(.test(server.url)) { _, connected in
        peer = try await server.accept()
        await peer?.welcome()
        await connected.wait()
      }
      #expect(await peer?.next() == nil)
    }
  }

  @Test("The run ends when its task is cancelled while the server does not answer")
  func cancellationDuringIntroduction() async throws {
    try await FakeServer.run { server in
      var peer: FakeServer.Peer?
      try await withClient(.test(server.url)) { _, _ in
        peer = try await server.accept()
        #expect(await peer?.next() == "PING")
      }
      #expect(await peer?.next() == nil)
    }
  }

  @Test("The run ends when its task is cancelled while the server cannot be reached")
  func cancellationWhileConnecting() async throws {
    var configuration = RedisConfiguration.test(
      RedisURL(address: .unixSocket(path: "/nonexistent/socket")))
    configuration.firstDelay = .seconds(3600)
    configuration.lastDelay = .seconds(3600)
    try await withClient(configuration) { client, _ in #expect(!client.isConnected) }
  }

  @Test("A file of certificates that does not exist is refused at once")
  func missingFile() throws {
    var configuration = RedisConfiguration(url: try RedisURL(parsing: "rediss://localhost"))
    configuration.certificateAuthorityFile = "/nonexistent.pem"
    #expect(throws: (any Error).self) { try RedisClient(configuration, logger: silent) }
  }
}
