import Foundation
import NIOEmbedded
import Testing

@testable import ProcessServer

/// Bounds on bytes that wait.
@Suite(.timeLimit(.minutes(10))) struct BacklogTests {
  private let backlog = Backlog(
    APIServer.Limits.Backlog(perConnection: 100, perWorkspace: 250, total: 400),
    stallTime: .seconds(1))
  private let channels = (0..<6).map { _ in EmbeddedChannel() }
  private let start = ContinuousClock.now

  private func connections() throws -> [Connection] {
    try channels.enumerated().map { index, channel in
      try channel.connect(to: .init(ipAddress: "127.0.0.1", port: 1)).wait()
      return Connection(channel, number: index + 1)
    }
  }

  @Test("A backlog has a bound for each connection, each workspace and all of them")
  func bounds() throws {
    let c = try connections()
    #expect(backlog.take(60, for: c[0], in: "a", at: start))
    #expect(!backlog.take(60, for: c[0], in: "a", at: start))
    #expect(backlog.take(100, for: c[1], in: "a", at: start))
    #expect(!backlog.take(100, for: c[2], in: "a", at: start))
    #expect(backlog.take(100, for: c[3], in: "b", at: start))
    #expect(backlog.take(100, for: c[4], in: "c", at: start))
    #expect(!backlog.take(100, for: c[5], in: "d", at: start))
    #expect(backlog.total == 360)
    #expect(backlog.counts.refusals == 3)
    backlog.give(60, of: c[0], at: start)
    #expect(backlog.take(100, for: c[5], in: "d", at: start))
  }

  @Test("A response above a bound is admitted where nothing else waits")
  func large() throws {
    let c = try connections()
    #expect(backlog.take(1000, for: c[0], in: "a", at: start))
    #expect(!backlog.take(1, for: c[1], in: "b", at: start))
  }

  @Test("Without room the connection that has stalled for longest is closed")
  func theSlowest() throws {
    let c = try connections()
    for (index, connection) in c.prefix(4).enumerated() {
      let workspace = index < 2 ? "a" : "b"
      #expect(
        backlog.take(100, for: connection, in: workspace, at: start + .milliseconds(10 * index)))
    }
    backlog.give(10, of: c[0], at: start + .seconds(2))
    #expect(backlog.take(90, for: c[4], in: "c", at: start + .seconds(2)))
    #expect(channels.map(\.isActive) == [true, false, true, true, true, true])
    // A workspace's own go for it, where it has too much.
    #expect(backlog.take(90, for: c[5], in: "a", at: start + .milliseconds(2500)))
    #expect(channels.map(\.isActive) == [true, false, false, true, true, true])
  }

  @Test("A closed connection no longer counts, and cannot take room again")
  func closed() throws {
    let connections = Connections(APIServer.Limits())
    let channel = channels[0]
    try channel.connect(to: .init(ipAddress: "127.0.0.1", port: 1)).wait()
    let connection = connections.opened(channel)
    #expect(connections.outgoing.take(100, for: connection, in: "a"))
    connections.closed(connection)
    #expect(connections.outgoing.total == 0)
    #expect(!connections.outgoing.take(100, for: connection, in: "a"))
  }

  @Test("Clients that do not read do not fill the memory")
  func stalledReaders() async throws {
    try await TestServer.run {
      $0.limits.outgoing = APIServer.Limits.Backlog(
        perConnection: 2 << 20, perWorkspace: 4 << 20, total: 8 << 20)
      $0.limits.stallAllowance = .milliseconds(100)
    } _: { server in
      let id = try await server.start("head -c 1000000 /dev/zero; exec sleep 1000")
      _ = try await server.output(id) { $0.next_since > 0 }
      let wires = (0..<12).map { index in
        Task {
          try await Wire.connect(port: server.port, receiveBuffer: 4096) { wire in
            let what = index % 2 == 0 ? "output" : "events"
            for _ in 0..<3 {
              try await wire.request(
                "GET", "/api/sdk/processes/\(id)/\(what)?since=0", token: TestServer.alice)
            }
            try await Task.sleep(for: .seconds(1000))
          }
        }
      }
      defer { for wire in wires { wire.cancel() } }
      while try await server.metric("cut_off_total") + server.metric("overloads_total") < 3 {
        #expect(try await server.metric("outgoing_bytes") <= 4 << 20)
        try await Task.sleep(for: .milliseconds(20))
      }
      // One that reads is served.
      while try await server.get("processes/\(id)/output").status != 200 {
        try await Task.sleep(for: .milliseconds(50))
      }
      for wire in wires { wire.cancel() }
      while try await server.metric("outgoing_bytes") > 0 {
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  @Test("Unfinished request bodies do not fill the memory")
  func unfinishedBodies() async throws {
    try await TestServer.run {
      $0.limits.incoming = APIServer.Limits.Backlog(
        perConnection: 1 << 20, perWorkspace: 1 << 20, total: 2 << 20)
      $0.limits.stallAllowance = .seconds(1000)
    } _: { server in
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/api/sdk/envs/list", token: TestServer.alice,
          headers: ["Content-Length: 2000000"])
        try await wire.send(String(repeating: " ", count: 900_000))
        while try await server.metric("incoming_bytes") < 900_000 {
          try await Task.sleep(for: .milliseconds(5))
        }
        let reply = try await server.post(
          "envs/list", String(repeating: " ", count: 300_000) + "{}")
        #expect(reply.status == 503)
        #expect(reply.code == "overloaded")
        #expect(reply.headers["retry-after"] == "1")
        // Another workspace has its own share.
        let other = try await server.post(
          "envs/list", String(repeating: " ", count: 300_000) + "{}", token: TestServer.bob)
        #expect(other.status == 200)
      }
      while try await server.metric("incoming_bytes") > 0 {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }
}
