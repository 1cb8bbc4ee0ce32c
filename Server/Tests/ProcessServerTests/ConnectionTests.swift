import Testing

@testable import ProcessServer

/// How many connections there may be, and whose.
@Suite(.timeLimit(.minutes(10))) struct ConnectionTests {
  @Test("The server closes a connection that sends requests but no token")
  func anonymous() async throws {
    try await TestServer.run {
      $0.limits.anonymousTime = .milliseconds(300)
    } _: { server in
      let isCutOff = try await Wire.connect(port: server.port) { wire in
        try? await wire.request("GET", "/healthz")
        return try await wire.isCutOff()
      }
      #expect(isCutOff)
    }
  }

  @Test("The server serves one more client beside any number of connections without a token")
  func manyAnonymous() async throws {
    try await TestServer.run {
      $0.limits.connections = 3
      $0.limits.reservedConnections = 2
      $0.limits.anonymousTime = .seconds(1000)
    } _: { server in
      let silent = (0..<12).map { _ in
        Task { try await Wire.connect(port: server.port) { try await $0.isCutOff() } }
      }
      defer { for task in silent { task.cancel() } }
      // As long as they come, one that asks may be the oldest for a moment.
      while (try? await server.metric("connections")) != 5 {
        try await Task.sleep(for: .milliseconds(5))
      }
      while (try? await server.request("GET", "/healthz", token: nil).status) != 200 {
        try await Task.sleep(for: .milliseconds(5))
      }
      while (try? await server.get("processes").status) != 200 {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  @Test("A workspace has its share of connections, and cannot take the reserved ones")
  func shares() async throws {
    try await TestServer.run {
      $0.limits.connections = 3
      $0.limits.connectionsPerWorkspace = 2
      $0.limits.reservedConnections = 2
    } _: { server in
      func held<T>(_ token: String, _ body: () async throws -> T) async throws -> T {
        try await Wire.connect(port: server.port) { wire in
          try await wire.request("GET", "/api/sdk/processes", token: token)
          #expect(try await wire.response().status == 200)
          return try await body()
        }
      }
      try await held(TestServer.alice) {
        try await held(TestServer.alice) {
          let third = try await server.get("processes")
          #expect(third.status == 429)
          #expect(third.code == "connection_limit")
          #expect(third.headers["retry-after"] == "1")
          try await held(TestServer.bob) {
            let fourth = try await server.get("processes", token: TestServer.bob)
            #expect(fourth.status == 503)
            #expect(fourth.code == "connection_limit")
            #expect(fourth.headers["retry-after"] == "1")
            #expect(try await server.request("GET", "/healthz", token: nil).status == 200)
          }
        }
      }
      while try await server.get("processes").status != 200 {
        try await Task.sleep(for: .milliseconds(5))
      }
    }
  }

  @Test("A connection can carry the tokens of several workspaces in turn")
  func severalWorkspaces() async throws {
    try await TestServer.run {
      $0.limits.connectionsPerWorkspace = 1
    } _: { server in
      try await Wire.connect(port: server.port) { wire in
        for token in [TestServer.alice, TestServer.bob, TestServer.alice] {
          try await wire.request("GET", "/api/sdk/processes", token: token)
          #expect(try await wire.response().status == 200)
        }
        #expect(try await server.get("processes", token: TestServer.bob).status == 200)
        #expect(try await server.get("processes").status == 429)
      }
    }
  }

  @Test("Failed logins are logged without their token, up to a limit")
  func failedLogins() async throws {
    try await TestServer.run {
      $0.limits.failedLogins = 3
      $0.limits.failedLoginInterval = .seconds(1000)
    } _: { server in
      var statuses: [Int] = []
      for _ in 0..<5 {
        statuses.append(try await server.get("processes", token: "a-wrong-token").status)
      }
      #expect(statuses == [401, 401, 401, 429, 429])
      let last = try await server.get("processes", token: "a-wrong-token")
      #expect(last.code == "too_many_failures")
      #expect(last.headers["retry-after"] == "1")
      let lines = server.log.text.split(separator: "\n").filter {
        $0.contains("a token is not known")
      }
      #expect(lines.count == 3)
      #expect(lines.allSatisfy { $0.contains("127.0.0.1") })
      #expect(!server.log.text.contains("a-wrong-token"))
      // A token that is right is not refused for them.
      #expect(try await server.get("processes").status == 200)
    }
  }

  @Test("Failed logins are limited for each address, and allowed again after the interval")
  func addresses() {
    let logins = FailedLogins(burst: 2, interval: .seconds(10))
    let start = ContinuousClock.now
    #expect(logins.failed(from: "a", at: start) == .told(unwritten: 0))
    #expect(logins.failed(from: "a", at: start) == .told(unwritten: 0))
    #expect(logins.failed(from: "a", at: start) == .tooMany)
    #expect(logins.failed(from: "a", at: start + .seconds(9)) == .tooMany)
    #expect(logins.failed(from: "b", at: start) == .told(unwritten: 0))
    #expect(logins.failed(from: "a", at: start + .seconds(10)) == .told(unwritten: 2))
    #expect(logins.failed(from: "a", at: start + .seconds(11)) == .tooMany)
    // Addresses without end do not fill the memory.
    for number in 0..<10_000 { _ = logins.failed(from: "\(number)", at: start + .seconds(11)) }
    #expect(logins.failed(from: "other", at: start + .seconds(11)) == .tooMany)
    #expect(logins.count == 4_097)
  }

  @Test("An address whose failed logins are long past is not remembered")
  func forgottenAddresses() {
    let logins = FailedLogins(burst: 2, interval: .seconds(10))
    let start = ContinuousClock.now
    for number in 0..<10_000 {
      _ = logins.failed(from: "\(number)", at: start + .seconds(number))
    }
    #expect(logins.count <= FailedLogins.leastCleaningSize)
  }
}
