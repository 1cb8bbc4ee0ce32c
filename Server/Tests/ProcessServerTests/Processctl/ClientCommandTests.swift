import Foundation
import NIOCore
import NIOPosix
import ProcessHost
import Processes
import Testing

@testable import ProcessServer

/// How `processctl` finds the daemon, and what it says when it cannot do what it was told.
@Suite(.timeLimit(.minutes(10))) struct ClientCommandTests {
  @Test("A unix socket serves like a port")
  func unixSocket() async throws {
    let path = NSTemporaryDirectory() + "processctl-\(randomID()).sock"
    try await TestServer.run {
      $0.unixPath = path
    } _: { server in
      let result = try await Processctl("unix://" + path).run("run", "echo", "x")
      #expect(result.stdout == "x\n")
      #expect(result.status == 0)
    }
  }

  @Test("--server goes before PROCESSD_URL")
  func serverOption() async throws {
    try await TestServer.run { server in
      let url = "http://localhost:\(server.port)/"
      let result = try await Processctl("http://127.0.0.1:1").run("list", "--server", url)
      #expect(result.status == 0)
    }
  }

  @Test("--token-file is read as the daemon's own file of tokens")
  func tokenFile() async throws {
    try await TestServer.run { server in
      let path = server.go
      defer { try? FileManager.default.removeItem(atPath: path) }
      let lines = "# ours\n\nsha256:00 w\n\(TestServer.alice) alice\n"
      try lines.write(toFile: path, atomically: true, encoding: .utf8)
      var processctl = Processctl(server)
      processctl.token = nil
      #expect(try await processctl.run("list", "--token-file", path).status == 0)
    }
  }

  @Test("A wrong token ends it with 77, and so does none", arguments: ["wrong", nil, "a\nb"])
  func wrongToken(token: String?) async throws {
    try await TestServer.run { server in
      var processctl = Processctl(server)
      processctl.token = token
      let result = try await processctl.run("run", "echo", "x")
      #expect(result.status == 77)
      #expect(result.stdout == "")
      #expect(result.stderr.hasPrefix("processctl: "))
    }
  }

  @Test("Another workspace's session is denied with 77")
  func foreignSession() async throws {
    try await TestServer.run { server in
      let id = try await server.start("echo x", token: TestServer.bob)
      #expect(try await Processctl(server).run("read", id).status == 77)
    }
  }

  @Test("No daemon ends it with 69", arguments: ["http://127.0.0.1:1", "unix:///nonexistent/x"])
  func noDaemon(url: String) async throws {
    let result = try await Processctl(url).run("list")
    #expect(result.status == 69)
    #expect(result.stderr.hasPrefix("processctl: no daemon answers at \(url): "))
  }

  @Test(
    "An unknown session ends it with 66",
    arguments: [
      ["read"], ["follow"], ["write", "x"], ["signal", "INT"], ["end"], ["wait"],
      ["wait", "--for", "x"],
    ])
  func noSession(arguments: [String]) async throws {
    try await TestServer.run { server in
      let id = String(repeating: "0", count: 32)
      let words = [arguments[0], id] + arguments.dropFirst()
      let process = try await Processctl(server).launch(words)
      #expect(try await process.waitUntilClosed() == .exited(66))
    }
  }

  @Test("An id that none can be ends it with 66 without a request")
  func impossibleSession() async throws {
    #expect(try await Processctl("http://127.0.0.1:1").run("read", "../x").status == 66)
  }

  @Test(
    "A usage error ends it with 64",
    arguments: [
      ["run"], ["run", "--jsn", "x"], ["run", "--timeout", "soon", "x"], ["write", "00"],
      ["run", "--detach", "--json", "x"], ["read", "00", "--tail", "1", "--since", "1"],
      ["read", "00", "--plain", "--json"], ["wait", "00", "--since", "1"],
      ["follow", "00", "--since", "x"], ["list", "--server", "ftp://x"],
    ])
  func usage(arguments: [String]) async throws {
    let process = try await Processctl("http://127.0.0.1:1").launch(arguments)
    #expect(try await process.waitUntilClosed() == .exited(64))
  }

  @Test("What is no processd, or too old, ends it with 76")
  func otherServer() async throws {
    for answer in [
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nhi",
    ] {
      let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .childChannelInitializer { channel in
          channel.eventLoop.makeCompletedFuture {
            try channel.pipeline.syncOperations.addHandler(FixedAnswer(answer))
          }
        }
        .bind(host: "127.0.0.1", port: 0).get()
      let port = channel.localAddress?.port ?? 0
      #expect(try await Processctl("http://127.0.0.1:\(port)").run("list").status == 76)
      try await channel.close()
    }
  }
}

/// Answers whatever comes with one text.
private final class FixedAnswer: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  private let answer: String

  init(_ answer: String) { self.answer = answer }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
  }
}
