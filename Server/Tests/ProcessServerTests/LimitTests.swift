import Foundation
import NIOCore
import Testing

@testable import ProcessServer

/// What a client can do is bounded.
@Suite(.timeLimit(.minutes(10))) struct LimitTests {
  @Test("A body above the limit is refused, announced or in chunks, and the connection goes on")
  func bodies() async throws {
    try await TestServer.run {
      $0.limits.bodyBytes = 10_000
    } _: { server in
      let id = try await server.start("cat")
      // Announced, and in parts that announce nothing.
      let large = #"{"data_b64":"\#(String(repeating: "A", count: 12_000))"}"#
      let reply = try await server.post("processes/\(id)/stdin", large)
      #expect(reply.status == 413)
      #expect(reply.code == "body_too_large")
      for path in ["processes/\(id)/stdin", "envs/list", "envs/local/tool/call"] {
        try await Wire.connect(port: server.port) { wire in
          try await wire.request(
            "POST", "/api/sdk/" + path, token: TestServer.alice,
            headers: ["Transfer-Encoding: chunked"])
          for _ in 0..<12 {
            try await wire.send("400\r\n" + String(repeating: " ", count: 1024) + "\r\n")
          }
          let reply = try await wire.response()
          #expect(reply.status == 413, "\(path)")
          #expect(reply.code == "body_too_large", "\(path)")
          // The connection goes on behind the rest of the body.
          try await wire.send("0\r\n\r\n")
          try await wire.request("GET", "/healthz")
          #expect(try await wire.response().status == 200)
        }
      }
      let small = #"{"data_b64":"\#(String(repeating: "A", count: 8_000))","eof":true}"#
      #expect(try await server.post("processes/\(id)/stdin", small).status == 200)
      #expect(
        try await server.output(id) { $0.closed }.chunks.map(\.data.count).reduce(0, +) == 6_000)
    }
  }

  /// A client that asks whether to go on is told to, or why not.
  @Test("A client that expects 100-continue is told to continue, or why it may not")
  func expectations() async throws {
    try await TestServer.run {
      $0.limits.bodyBytes = 10_000
    } _: { server in
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/api/sdk/envs/list", token: TestServer.alice,
          headers: ["Expect: 100-continue", "Content-Length: 2"])
        #expect(try await wire.head()?.status == 100)
        try await wire.send("{}")
        #expect(try await wire.response().status == 200)
      }
      try await Wire.connect(port: server.port) { wire in
        try await wire.request(
          "POST", "/api/sdk/envs/list", token: TestServer.alice,
          headers: ["Expect: 100-continue", "Content-Length: 20000"])
        #expect(try await wire.response().status == 413)
      }
    }
  }

  @Test("A request head above the limits is refused, and the connection ends")
  func heads() async throws {
    try await TestServer.run { server in
      let requests = [
        "GET /healthz HTTP/1.1\r\nX: \(String(repeating: "x", count: 20_000))\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n"
          + (0..<200).map { "X\($0): y\r\n" }.joined() + "\r\n",
        "GET /\(String(repeating: "x", count: 200_000)) HTTP/1.1\r\n\r\n",
      ]
      for request in requests {
        let (status, isCutOff) = try await Wire.connect(port: server.port) { wire in
          try await wire.send(request)
          let reply = try await wire.response()
          return ((reply.status, reply.code), try await wire.isCutOff())
        }
        #expect(status.0 == 431)
        #expect(status.1 == "headers_too_large")
        #expect(isCutOff)
      }
    }
  }

  /// A head that comes a letter at a time, a body that does, and a connection on which nothing
  /// comes.
  @Test("The server closes the connection of a client that sends its request too slowly")
  func slowRequests() async throws {
    try await TestServer.run {
      $0.limits.idleTime = .milliseconds(200)
      $0.limits.requestTime = .milliseconds(200)
    } _: { server in
      let beginnings = [
        "", "GET /healthz HTT",
        "POST /api/sdk/envs/list HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer \(TestServer.alice)\r\nContent-Length: 100000\r\n\r\n{",
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET /healthz HTTP/1.1\r\n",
      ]
      for beginning in beginnings {
        let isCutOff = try await Wire.connect(port: server.port) { wire in
          // It may have been cut off already.
          try? await wire.send(beginning)
          let trickle = wire.trickle()
          defer { trickle.cancel() }
          return try await wire.isCutOff()
        }
        #expect(isCutOff)
      }
    }
  }

  /// A client that waits for an answer is not idle.
  @Test("A client that waits for an answer is not idle")
  func waitingIsNotIdling() async throws {
    try await TestServer.run {
      $0.limits.idleTime = .seconds(6)
      $0.limits.requestTime = .seconds(6)
      $0.limits.stallTime = .seconds(6)
    } _: { server in
      let id = try await server.start("sleep 10; echo done; cat")
      #expect(try await server.output(id, "wait_ms=60000").text == "done\n")
    }
  }

  /// A request that stands behind another is not told to go on in the middle of the other's
  /// response.
  @Test("A pipelined request is told to continue only after the response before it")
  func expectationsBehindOthers() async throws {
    try await TestServer.run { server in
      let id = try await server.start("sleep 0.2; echo done; cat")
      try await Wire.connect(port: server.port) { wire in
        let output = "/api/sdk/processes/\(id)/output?wait_ms=60000"
        try await wire.request("GET", output, token: TestServer.alice)
        try await wire.request(
          "POST", "/api/sdk/envs/list", token: TestServer.alice,
          headers: ["Expect: 100-continue", "Content-Length: 2"])
        #expect(try await wire.response().decode(OutputReply.self).text == "done\n")
        try await wire.send("{}")
        let reply = try await wire.response()
        #expect(reply.status == 200)
        #expect(reply.text.hasPrefix(#"{"envs":"#))
      }
    }
  }

  /// Metrics are for the server's own machine: not for clients that come by another address.
  @Test(
    "The metrics are forbidden to clients from another address",
    .enabled(if: LimitTests.ownAddress != nil, "this machine has no other address"))
  func metricsFromElsewhere() async throws {
    let address = try #require(Self.ownAddress)
    try await TestServer.run {
      $0.host = "0.0.0.0"
    } _: { server in
      try await Wire.connect(host: address, port: server.port) { wire in
        try await wire.request("GET", "/metrics")
        let refused = try await wire.response()
        #expect(refused.status == 403)
        #expect(refused.code == "forbidden")
        try await wire.request("GET", "/healthz")
        #expect(try await wire.response().status == 200)
      }
      #expect(try await server.request("GET", "/metrics", token: nil).status == 200)
    }
  }

  private static let ownAddress: String? = {
    let addresses = (try? System.enumerateDevices())?.compactMap(\.address) ?? []
    return addresses.first { address in
      guard case .v4 = address, let text = address.ipAddress else { return false }
      return !isLoopback(address: text)
    }?.ipAddress
  }()

  /// A client that does not read its response is cut off.
  @Test("The server closes the connection of a client that does not read its response")
  func slowReaders() async throws {
    try await TestServer.run {
      $0.limits.stallTime = .milliseconds(100)
    } _: { server in
      let id = try await server.start("head -c 1000000 /dev/zero; exit 0")
      _ = try await server.output(id) { $0.closed }
      try await Wire.connect(port: server.port, receiveBuffer: 4096) { wire in
        // More than lies in the system's buffers, which nobody reads.
        for _ in 0..<20 {
          try await wire.request(
            "GET", "/api/sdk/processes/\(id)/output", token: TestServer.alice)
        }
        while try await server.metric("connections") > 1 {
          try await Task.sleep(for: .milliseconds(20))
        }
      }
    }
  }

  @Test("Lists have the beginning of a long command")
  func longCommands() async throws {
    try await TestServer.run { server in
      let words = #"["true","\#(String(repeating: "x", count: 100_000))","z"]"#
      let reply = try await server.post(
        "envs/local/tool/call", #"{"tool":"exec_command","arguments":{"command":\#(words)}}"#)
      #expect(reply.status == 200)
      _ = try await server.start("true # " + String(repeating: "y", count: 100_000))
      let list = try await server.get("processes").text
      let beginning = String(repeating: "x", count: 995)
      #expect(list.contains(#""command":["true","\#(beginning)…","…"]"#))
      #expect(list.contains(#""command":"true # \#(String(repeating: "y", count: 993))…""#))
      // What the order takes counts among what ended sessions retain.
      let sizes = server.server.jobs.jobs(of: "alice").map(\.retainedBytes)
      #expect(sizes.count == 2 && sizes.allSatisfy { $0 > 200_000 })
    }
  }
}
