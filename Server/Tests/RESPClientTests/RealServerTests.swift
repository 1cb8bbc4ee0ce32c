import Foundation
import NIOCore
import Testing

@testable import RESPClient

/// The client and the subscriber, against Redis itself.
@Suite(
  .enabled(if: RedisServer.isInstalled, "there is no \(RedisServer.path)"),
  .timeLimit(.minutes(10)))
struct RealServerTests {
  /// Runs a server, and a client that is connected to it.
  private func withServer(
    _ arguments: [String] = [], _ body: (RedisServer, RedisClient, Signal) async throws -> Void
  ) async throws {
    try await RedisServer.run({ _ in arguments }) { server in
      try await withClient(.test(server.url)) { client, connected in
        await connected.wait()
        try await body(server, client, connected)
      }
    }
  }

  @Test("What SET stores, GET returns, whatever bytes it has")
  func binary() async throws {
    try await withServer { _, client, _ in
      for count in [0, 1, 256, 100_000, 5_000_000] {
        let bytes = ByteBuffer(bytes: (0..<count).map { UInt8(truncatingIfNeeded: $0) })
        let stored = try await client.send(RESPCommand("SET", "k", bytes))
        #expect(stored == .simpleString("OK"))
        let value = try await client.send(RESPCommand("GET", "k"))
        #expect(value == .bulk(bytes))
      }
      let absent = try await client.send(RESPCommand("GET", "absent"))
      #expect(absent == .null)
    }
  }

  @Test("Streams are written and read")
  func streams() async throws {
    try await withServer { _, client, _ in
      let payload = ByteBuffer(bytes: [0, 13, 10, 255])
      let id = try await client.send(RESPCommand("XADD", "s", "1-1", "d", payload))
      #expect(id.string == "1-1")
      let entries = try await client.send(RESPCommand("XRANGE", "s", "-", "+"))
      #expect(entries == .array([.array([.bulk("1-1"), .array([.bulk("d"), .bulk(payload)])])]))
      let blocked = try await client.send(
        RESPCommand("XREAD", "BLOCK", 1, "STREAMS", "s", "1-1"))
      #expect(blocked == .null)
    }
  }

  @Test("A pipeline returns errors among other replies")
  func pipeline() async throws {
    try await withServer { _, client, _ in
      let replies = try await client.send([
        RESPCommand("SET", "k", "text"), RESPCommand("INCR", "k"), RESPCommand("LPUSH", "l", 1),
        RESPCommand("NOSUCHCOMMAND"),
      ])
      #expect(replies[0] == .simpleString("OK"))
      #expect(replies[1].errorText?.hasPrefix("ERR value is not an integer") == true)
      #expect(replies[2] == .integer(1))
      #expect(replies[3].errorText?.hasPrefix("ERR unknown command") == true)
    }
  }

  @Test("Ten thousand commands of a hundred tasks get their own replies")
  func manyTasks() async throws {
    try await withServer { _, client, _ in
      await withTaskGroup { group in
        for task in 0..<100 {
          group.addTask {
            for number in 0..<100 {
              let reply = try? await client.send(RESPCommand("ECHO", "\(task).\(number)"))
              #expect(reply == .bulk("\(task).\(number)"))
            }
          }
        }
      }
    }
  }

  @Test("A script runs whether the server knows it or not")
  func scripts() async throws {
    let script = RedisScript(source: "return {KEYS[1], ARGV[1] + 1, redis.error_reply('E x')}")
    try await withServer { _, client, _ in
      let expected = RESPValue.array([.bulk("k"), .integer(3), .error("E x")])
      for _ in 0..<2 {
        #expect(try await client.eval(script, keys: ["k"], arguments: [2]) == expected)
      }
      _ = try await client.send(RESPCommand("SCRIPT", "FLUSH"))
      #expect(try await client.eval(script, keys: ["k"], arguments: [2]) == expected)
      let known = try await client.send(script.evalSHA(keys: ["k"], arguments: [2]))
      #expect(known == expected)
    }
  }

  @Test("Every type of RESP3 that the server sends is decoded")
  func resp3() async throws {
    try await withServer { _, client, _ in
      let replies = try await client.send([
        RESPCommand("HELLO", 3), RESPCommand("DEBUG", "PROTOCOL", "string"),
        RESPCommand("DEBUG", "PROTOCOL", "integer"), RESPCommand("DEBUG", "PROTOCOL", "double"),
        RESPCommand("DEBUG", "PROTOCOL", "null"), RESPCommand("DEBUG", "PROTOCOL", "array"),
        RESPCommand("DEBUG", "PROTOCOL", "set"), RESPCommand("DEBUG", "PROTOCOL", "map"),
        RESPCommand("DEBUG", "PROTOCOL", "verbatim"), RESPCommand("DEBUG", "PROTOCOL", "true"),
        RESPCommand("DEBUG", "PROTOCOL", "bignum"),
      ])
      guard case .map(let pairs) = replies[0] else {
        Issue.record("HELLO answers with \(replies[0])")
        return
      }
      #expect(pairs.contains(.init(.bulk("proto"), .integer(3))))
      #expect(replies[1...2] == [.bulk("Hello World"), .integer(12345)])
      #expect(replies[3...4] == [.double(3.141), .null])
      let numbers: [RESPValue] = [.integer(0), .integer(1), .integer(2)]
      #expect(replies[5...6] == [.array(numbers), .set(numbers)])
      guard case .map(let map) = replies[7] else {
        Issue.record("the map is \(replies[7])")
        return
      }
      #expect(map.map(\.key) == numbers)
      let text = ByteBuffer(string: "This is a verbatim\nstring")
      #expect(replies[8...9] == [.verbatim(format: "txt", text), .boolean(true)])
      #expect(replies[10] == .bigNumber("1234567999999999999999999999999999999"))
    }
  }

  @Test("Published messages reach the subscriptions of their channel")
  func publishing() async throws {
    try await withServer { server, client, _ in
      let (received, active) = (Mailbox<String>(), Signal())
      var configuration = RedisConfiguration.test(server.url)
      configuration.pingInterval = .milliseconds(1)
      try await withSubscriber(configuration) { subscriber, connected in
        await connected.wait()
        let subscription = subscriber.subscribe("a", received.add) { active.send() }
        await active.wait()
        #expect(try await client.send(RESPCommand("PUBLISH", "a", "1")) == .integer(1))
        #expect(try await client.send(RESPCommand("PUBLISH", "b", "no")) == .integer(0))
        #expect(await received.next() == "1")
        for number in 0..<1000 { _ = try await client.send(RESPCommand("PUBLISH", "a", number)) }
        for number in 0..<1000 { #expect(await received.next() == "\(number)") }
        subscriber.unsubscribe(subscription)
        while try await client.send(RESPCommand("PUBLISH", "a", "late")) != .integer(0) {}
      }
    }
  }

  @Test("A subscriber of many channels has them all again after the connection was killed")
  func manyChannels() async throws {
    try await withServer { server, client, _ in
      let received = Mailbox<String>()
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        for number in 0..<30_000 {
          _ = subscriber.subscribe("channel-\(number)", received.add)
        }
        await connected.wait()
        let killed = try await client.send(RESPCommand("CLIENT", "KILL", "TYPE", "pubsub"))
        #expect(killed == .integer(1))
        await connected.wait()
        for number in [0, 15_000, 29_999] {
          let publish = RESPCommand("PUBLISH", "channel-\(number)", "\(number)")
          let receivers = try await client.send(publish)
          #expect(receivers == .integer(1))
          #expect(await received.next() == "\(number)")
        }
      }
    }
  }

  @Test("The right password is accepted, and a wrong one or none is not")
  func passwords() async throws {
    let users = ["--requirepass", "right", "--user", "u", "on", ">theirs", "~*", "+@all"]
    try await RedisServer.run({ _ in users }) { server in
      for (user, password) in [(nil, "right"), ("default", "right"), ("u", "theirs")] {
        var configuration = RedisConfiguration.test(server.url)
        configuration.url.user = user
        configuration.url.password = password
        try await withClient(configuration) { client, connected in
          await connected.wait()
          let reply = try await client.send(RESPCommand("SET", "k", "v"))
          #expect(reply == .simpleString("OK"))
        }
      }
      for (user, password) in [(nil, nil), (nil, "wrong"), ("u", "right"), ("x", "right")] {
        var configuration = RedisConfiguration.test(server.url)
        configuration.url.user = user
        configuration.url.password = password
        configuration.firstDelay = .seconds(3600)
        configuration.lastDelay = .seconds(3600)
        let log = Log()
        try await withClient(configuration, logger: log.logger) { client, _ in
          #expect(await log.lines.next()?.hasPrefix("warning cannot connect to Redis") == true)
          #expect(!client.isConnected)
        }
      }
    }
  }

  @Test("The database and the client's name are those of the configuration")
  func introduction() async throws {
    try await withServer { server, other, _ in
      var configuration = RedisConfiguration.test(server.url)
      configuration.url.database = 5
      configuration.clientName = "processd"
      try await withClient(configuration) { client, connected in
        await connected.wait()
        #expect(
          try await client.send(RESPCommand("CLIENT", "GETNAME")).string == "processd")
        _ = try await client.send(RESPCommand("SET", "k", "v"))
        #expect(try await other.send(RESPCommand("GET", "k")) == .null)
      }
    }
  }

  @Test("A command times out when the server is paused")
  func pause() async throws {
    try await withServer { server, admin, _ in
      var configuration = RedisConfiguration.test(server.url)
      configuration.timeLimit = .seconds(1)
      try await withClient(configuration) { client, connected in
        await connected.wait()
        _ = try await admin.send(RESPCommand("CLIENT", "PAUSE", 3_600_000))
        let error = await #expect(throws: RedisError.self) {
          try await client.send(RESPCommand("GET", "k"))
        }
        #expect(error == .timedOut)
      }
    }
  }

  @Test("The client and the subscriber come back when the server does")
  func restart() async throws {
    try await withServer { server, client, clientConnected in
      let received = Mailbox<String>()
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        _ = subscriber.subscribe("c", received.add)
        await connected.wait()
        await #expect(throws: RedisError.connectionLost) {
          try await client.send(RESPCommand("SHUTDOWN", "NOSAVE"))
        }
        while client.isConnected { try await Task.sleep(for: .milliseconds(1)) }
        await #expect(throws: RedisError.notConnected) {
          try await client.send(RESPCommand("PING"))
        }
        try await server.whileRunning {
          await clientConnected.wait()
          await connected.wait()
          let receivers = try await client.send(RESPCommand("PUBLISH", "c", "back"))
          #expect(receivers == .integer(1))
          #expect(await received.next() == "back")
        }
      }
    }
  }
}
