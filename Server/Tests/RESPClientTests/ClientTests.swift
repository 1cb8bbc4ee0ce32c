import NIOCore
import Testing

@testable import RESPClient

/// The client, against a server of which the test plays the part.
@Suite(.timeLimit(.minutes(10))) struct ClientTests {
  /// Runs a client with a connection that is up.
  private func withConnection(
    _ change: (inout RedisConfiguration) -> Void = { _ in },
    _ body: (FakeServer, FakeServer.Peer, RedisClient, Signal) async throws -> Void
  ) async throws {
    try await FakeServer.run { server in
      var configuration = RedisConfiguration.test(server.url)
      change(&configuration)
      try await withClient(configuration) { client, connected in
        let peer = try await server.accept()
        await peer.welcome()
        await connected.wait()
        try await body(server, peer, client, connected)
      }
    }
  }

  @Test("Commands that are sent together arrive together, and their replies keep the order")
  func pipeline() async throws {
    try await withConnection { _, peer, client, _ in
      let replies = Task {
        try await client.send([
          RESPCommand("GET", "a"), RESPCommand("GET", "b"), RESPCommand("INCR", "c"),
        ])
      }
      // Nothing is answered before all have arrived.
      #expect(await peer.next(3) == ["GET a", "GET b", "INCR c"])
      peer.send("$1\r\n1\r\n-WRONGTYPE x\r\n:7\r\n")
      let repliesResult = try await replies.value
      #expect(repliesResult == [.bulk("1"), .error("WRONGTYPE x"), .integer(7)])
    }
  }

  @Test("Commands of many tasks get their own replies")
  func manyTasks() async throws {
    try await withConnection { _, peer, client, _ in
      await withTaskGroup { group in
        for number in 0..<500 {
          group.addTask {
            let reply = try? await client.send(RESPCommand("ECHO", number))
            #expect(reply == .simpleString("ECHO \(number)"))
          }
        }
        for _ in 0..<500 { peer.send("+\(await peer.next() ?? "")\r\n") }
      }
    }
  }

  @Test("An error reply to a single command is thrown")
  func errorReply() async throws {
    try await withConnection { _, peer, client, _ in
      let reply = Task { try await client.send(RESPCommand("GET", "a")) }
      _ = await peer.next()
      peer.send("-WRONGTYPE x\r\n")
      await #expect(throws: RedisError.reply("WRONGTYPE x")) { try await reply.value }
    }
  }

  @Test("A command without a connection fails at once")
  func notConnected() async throws {
    let url = RedisURL(address: .unixSocket(path: "/nonexistent/socket"))
    try await withClient(.test(url)) { client, _ in
      #expect(!client.isConnected)
      await #expect(throws: RedisError.notConnected) { try await client.send(RESPCommand("A")) }
      await #expect(throws: RedisError.notConnected) { try await client.send([]) }
    }
  }

  @Test("All outstanding commands fail when the connection is lost in the middle of a reply")
  func loss() async throws {
    try await withConnection { server, peer, client, connected in
      let first = Task { try await client.send(RESPCommand("A")) }
      _ = await peer.next()
      let others = Task { try await client.send([RESPCommand("B"), RESPCommand("C")]) }
      _ = await peer.next(2)
      peer.send("$5\r\nhel")
      await peer.close()
      await #expect(throws: RedisError.connectionLost) { try await first.value }
      await #expect(throws: RedisError.connectionLost) { try await others.value }

      let next = try await server.accept()
      await next.welcome()
      await connected.wait()
      let reply = Task { try await client.send(RESPCommand("D")) }
      #expect(await next.next() == "D")
      next.send("+OK\r\n")
      let replyResult = try await reply.value
      #expect(replyResult == .simpleString("OK"))
    }
  }

  @Test("A malformed reply ends the connection, and another one is made")
  func malformed() async throws {
    try await withConnection { server, peer, client, connected in
      let reply = Task { try await client.send(RESPCommand("A")) }
      _ = await peer.next()
      peer.send("HTTP/1.1 400 Bad Request\r\n")
      await #expect(throws: RedisError.connectionLost) { try await reply.value }
      #expect(await peer.next() == nil)
      let next = try await server.accept()
      await next.welcome()
      await connected.wait()
    }
  }

  @Test("A cancelled task is told at once, and its reply goes to no other command")
  func cancellation() async throws {
    try await withConnection { _, peer, client, _ in
      let cancelled = Task { try await client.send(RESPCommand("A")) }
      _ = await peer.next()
      let other = Task { try await client.send(RESPCommand("B")) }
      _ = await peer.next()
      cancelled.cancel()
      await #expect(throws: RedisError.cancelled) { try await cancelled.value }
      peer.send("+a\r\n+b\r\n")
      let otherResult = try await other.value
      #expect(otherResult == .simpleString("b"))
    }
  }

  @Test("The command of a task that is cancelled already is not sent")
  func cancelledBefore() async throws {
    try await withConnection { _, peer, client, _ in
      await withTaskGroup(of: Void.self) { group in
        group.cancelAll()
        group.addTask {
          await #expect(throws: RedisError.cancelled) { try await client.send(RESPCommand("A")) }
        }
      }
      let other = Task { try await client.send(RESPCommand("B")) }
      #expect(await peer.next() == "B")
      peer.send("+b\r\n")
      let otherResult = try await other.value
      #expect(otherResult == .simpleString("b"))
    }
  }

  @Test("More outstanding commands than the limit are refused, until there are replies")
  func tooManyCommands() async throws {
    try await withConnection({ $0.outstandingCommands = 2 }) { _, peer, client, _ in
      let first = Task { try await client.send([RESPCommand("A"), RESPCommand("B")]) }
      _ = await peer.next(2)
      await #expect(throws: RedisError.overloaded) { try await client.send(RESPCommand("C")) }
      peer.send("+a\r\n+b\r\n")
      let firstResult = try await first.value
      #expect(firstResult.count == 2)
      let second = Task { try await client.send(RESPCommand("D")) }
      #expect(await peer.next() == "D")
      peer.send("+d\r\n")
      let secondResult = try await second.value
      #expect(secondResult == .simpleString("d"))
    }
  }

  @Test("The commands of cancelled tasks count as outstanding until their replies come")
  func cancelledCommandsCount() async throws {
    try await withConnection({ $0.outstandingCommands = 1 }) { _, peer, client, _ in
      let cancelled = Task { try await client.send(RESPCommand("A")) }
      _ = await peer.next()
      cancelled.cancel()
      _ = await cancelled.result
      await #expect(throws: RedisError.overloaded) { try await client.send(RESPCommand("B")) }
    }
  }

  @Test("More outstanding bytes than the limit are refused")
  func tooManyBytes() async throws {
    try await withConnection({ $0.outstandingBytes = 1000 }) { _, peer, client, _ in
      let bytes = [UInt8](repeating: 0x61, count: 600)
      let first = Task { try await client.send(RESPCommand("SET", "k", bytes)) }
      _ = await peer.next()
      await #expect(throws: RedisError.overloaded) {
        try await client.send(RESPCommand("SET", "k", bytes))
      }
      peer.send("+OK\r\n")
      let firstResult = try await first.value
      #expect(firstResult == .simpleString("OK"))
    }
  }

  @Test("A large payload arrives whole, between those around it")
  func largePayload() async throws {
    try await withConnection { _, peer, client, _ in
      let payload = ByteBuffer(repeating: 0x62, count: 1 << 20)
      let replies = Task {
        try await client.send([RESPCommand("SET", "k", payload), RESPCommand("GET", "k")])
      }
      #expect(await peer.next() == "SET k \(String(buffer: payload))")
      #expect(await peer.next() == "GET k")
      peer.send("+OK\r\n$\(payload.readableBytes)\r\n\(String(buffer: payload))\r\n")
      let repliesResult = try await replies.value
      #expect(repliesResult == [.simpleString("OK"), .bulk(payload)])
    }
  }

  @Test("A script is sent as its hash, and as its source if the server does not know it")
  func scripts() async throws {
    let script = RedisScript(source: "return 1")
    try await withConnection { _, peer, client, _ in
      let first = Task { try await client.eval(script, keys: ["k"], arguments: ["a", 2]) }
      #expect(await peer.next() == "EVALSHA \(script.sha1) 1 k a 2")
      peer.send("-NOSCRIPT No matching script.\r\n")
      #expect(await peer.next() == "EVAL return 1 1 k a 2")
      peer.send(":1\r\n")
      let firstResult = try await first.value
      #expect(firstResult == .integer(1))

      let second = Task { try await client.eval(script, keys: []) }
      #expect(await peer.next() == "EVALSHA \(script.sha1) 0")
      peer.send("-ERR in the script\r\n")
      await #expect(throws: RedisError.reply("ERR in the script")) { try await second.value }
    }
  }
}
