import NIOCore
import Testing

@testable import RESPClient

/// The subscriber, against a server of which the test plays the part.
@Suite(.timeLimit(.minutes(10))) struct SubscriberTests {
  private func confirmation(_ channel: String, _ kind: String = "subscribe") -> String {
    "*3\r\n$\(kind.utf8.count)\r\n\(kind)\r\n$\(channel.utf8.count)\r\n\(channel)\r\n:1\r\n"
  }

  private func message(_ text: String, on channel: String = "c") -> String {
    "*3\r\n$7\r\nmessage\r\n$\(channel.utf8.count)\r\n\(channel)\r\n$\(text.utf8.count)\r\n"
      + "\(text)\r\n"
  }

  @Test("Subscriptions to a channel share one of the server, which ends with the last of them")
  func shared() async throws {
    let (first, second) = (Mailbox<String>(), Mailbox<String>())
    try await FakeServer.run { server in
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        let one = subscriber.subscribe("c", first.add)
        let peer = try await server.accept()
        await peer.welcome()
        #expect(await peer.next() == "SUBSCRIBE c")
        peer.send(confirmation("c"))
        await connected.wait()

        let two = subscriber.subscribe("c", second.add) { second.add("active") }
        // It is active already.
        #expect(await second.next() == "active")
        peer.send(message("1"))
        #expect(await first.next() == "1")
        #expect(await second.next() == "1")

        subscriber.unsubscribe(one)
        subscriber.unsubscribe(one)
        peer.send(message("2"))
        #expect(await second.next() == "2")
        subscriber.unsubscribe(two)
        #expect(await peer.next() == "UNSUBSCRIBE c")
        peer.send(confirmation("c", "unsubscribe"))

        _ = subscriber.subscribe("c", first.add)
        #expect(await peer.next() == "SUBSCRIBE c")
        peer.send(confirmation("c") + message("3"))
        // Neither received what came after its end.
        #expect(await first.next() == "3")
      }
    }
  }

  @Test("A subscription on a connection that is up is active when the server has confirmed it")
  func activation() async throws {
    let events = Mailbox<String>()
    try await FakeServer.run { server in
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        let peer = try await server.accept()
        await peer.welcome()
        await connected.wait()
        let early = subscriber.subscribe("c", events.add) { events.add("early") }
        subscriber.unsubscribe(early)
        _ = subscriber.subscribe("c", events.add) { events.add("late") }
        #expect(await peer.next(3) == ["SUBSCRIBE c", "UNSUBSCRIBE c", "SUBSCRIBE c"])
        // The first confirmation is that of the subscription that has ended.
        peer.send(confirmation("c") + message("1") + confirmation("c", "unsubscribe"))
        #expect(await events.next() == "1")
        peer.send(confirmation("c") + message("2"))
        #expect(await events.next() == "late")
        #expect(await events.next() == "2")
      }
    }
  }

  @Test("All channels are subscribed to again on each new connection")
  func again() async throws {
    let events = Mailbox<String>()
    try await FakeServer.run { server in
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        _ = subscriber.subscribe("a", events.add) { events.add("active") }
        _ = subscriber.subscribe("b", events.add)
        for round in 0..<3 {
          let peer = try await server.accept()
          await peer.welcome()
          #expect(await peer.next(2).sorted() == ["SUBSCRIBE a", "SUBSCRIBE b"])
          peer.send(confirmation("a") + confirmation("b"))
          #expect(await events.next() == "active")
          await connected.wait()
          peer.send(message("\(round)", on: "b"))
          #expect(await events.next() == "\(round)")
          await peer.close()
        }
      }
    }
  }

  @Test("After a loss, no channel is active before the server has confirmed it again")
  func activationAfterALoss() async throws {
    let events = Mailbox<String>()
    try await FakeServer.run { server in
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        _ = subscriber.subscribe("c") { _ in }
        let first = try await server.accept()
        await first.welcome()
        _ = await first.next()
        first.send(confirmation("c"))
        await connected.wait()
        await first.close()

        let second = try await server.accept()
        await second.welcome()
        #expect(await second.next() == "SUBSCRIBE c")
        _ = subscriber.subscribe("c", events.add) { events.add("active") }
        second.send(message("1") + confirmation("c"))
        #expect(await events.next() == "1")
        #expect(await events.next() == "active")
      }
    }
  }

  @Test("A subscription that the server refuses ends the connection")
  func refused() async throws {
    try await FakeServer.run { server in
      try await withSubscriber(.test(server.url)) { subscriber, connected in
        _ = subscriber.subscribe("c") { _ in }
        let peer = try await server.accept()
        await peer.welcome()
        _ = await peer.next()
        peer.send("-NOPERM no\r\n")
        #expect(await peer.next() == nil)
        let next = try await server.accept()
        await next.welcome()
        #expect(await next.next() == "SUBSCRIBE c")
        next.send(confirmation("c"))
        await connected.wait()
      }
    }
  }

  @Test("The subscriber sends PINGs, and ends a connection on which they get no reply")
  func pings() async throws {
    try await FakeServer.run { server in
      var configuration = RedisConfiguration.test(server.url)
      configuration.pingInterval = .milliseconds(5)
      configuration.timeLimit = .milliseconds(500)
      try await withSubscriber(configuration) { _, _ in
        var pings = 0
        // A slow machine may exceed the time limit on some connections.
        while pings < 4 {
          let peer = try await server.accept()
          pings = 0
          while pings < 4, await peer.next() == "PING" {
            pings += 1
            peer.send(pings == 1 ? "+PONG\r\n" : "*2\r\n$4\r\npong\r\n$0\r\n\r\n")
          }
          // From now on there is no reply.
          while await peer.next() != nil {}
        }
        // Another connection is made, or several: such a machine may give one up before its PING.
        while await (try server.accept()).next() != "PING" {}
      }
    }
  }
}
