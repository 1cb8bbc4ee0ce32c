import NIOCore
import NIOPosix

@testable import RESPClient

/// A server of which a test plays the part.
final class FakeServer: Sendable {
  /// The server's end of a connection.
  struct Peer: Sendable {
    fileprivate let channel: any Channel
    fileprivate let commands: AsyncStream<RESPValue>

    /// Waits for the next command, and returns its words; nil if the client closed the connection.
    func next() async -> String? {
      var iterator = commands.makeAsyncIterator()
      return await iterator.next()?.array?.map { $0.string ?? "?" }.joined(separator: " ")
    }

    /// Waits for commands, and returns their words.
    func next(_ count: Int) async -> [String] {
      var words: [String] = []
      while words.count < count, let command = await next() { words.append(command) }
      return words
    }

    /// Sends text as it is.
    func send(_ text: String) { channel.writeAndFlush(ByteBuffer(string: text), promise: nil) }

    func close() async { try? await channel.close() }

    /// Answers the PING with which a client begins.
    func welcome() async {
      _ = await next()
      send("+PONG\r\n")
    }
  }

  private final class Receiver: ChannelInboundHandler {
    typealias InboundIn = RESPValue
    private let commands: AsyncStream<RESPValue>.Continuation

    init(_ commands: AsyncStream<RESPValue>.Continuation) { self.commands = commands }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      commands.yield(unwrapInboundIn(data))
    }

    func channelInactive(context: ChannelHandlerContext) { commands.finish() }
  }

  private let channel: any Channel
  private let peers: AsyncStream<Peer>

  private init(_ channel: any Channel, _ peers: AsyncStream<Peer>) {
    self.channel = channel
    self.peers = peers
  }

  /// Listens while the body runs.
  static func run(_ body: (FakeServer) async throws -> Void) async throws {
    let (peers, found) = AsyncStream.makeStream(of: Peer.self)
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let (commands, receiver) = AsyncStream.makeStream(of: RESPValue.self)
          try channel.pipeline.syncOperations.addHandlers([
            ByteToMessageHandler(RESPDecoder()), Receiver(receiver),
          ])
          found.yield(Peer(channel: channel, commands: commands))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    try await attempt {
      try await body(FakeServer(channel, peers))
    } finally: {
      try? await channel.close()
    }
  }

  var url: RedisURL {
    RedisURL(address: .host("127.0.0.1", port: channel.localAddress?.port ?? 0))
  }

  /// Waits for the next connection of a client.
  func accept() async throws -> Peer {
    var iterator = peers.makeAsyncIterator()
    guard let peer = await iterator.next() else { throw CancellationError() }
    return peer
  }
}
