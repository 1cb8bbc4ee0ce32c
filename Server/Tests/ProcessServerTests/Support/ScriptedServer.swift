import NIOCore
import NIOPosix

/// A server that answers each request as a closure says, whatever HTTP and the API demand.
enum ScriptedServer {
  /// Serves while the body runs.
  ///
  /// - Parameter answer: Returns the pieces of the answer to a request, which are sent a tenth of a
  ///   second after one another; none to send nothing.
  static func run(
    _ answer: @escaping @Sendable (_ request: String) -> [String],
    _ body: (_ url: String) async throws -> Void
  ) async throws {
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(Handler(answer))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    do {
      try await body("http://127.0.0.1:\(channel.localAddress?.port ?? 0)")
    } catch {
      try await channel.close()
      throw error
    }
    try await channel.close()
  }

  /// An answer with a body of JSON.
  static func json(_ body: String) -> [String] {
    ["HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"]
  }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let answer: (String) -> [String]

    init(_ answer: @escaping (String) -> [String]) { self.answer = answer }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let channel = context.channel
      for (index, piece) in answer(String(buffer: unwrapInboundIn(data))).enumerated() {
        channel.eventLoop.scheduleTask(in: .milliseconds(Int64(100 * index))) {
          channel.writeAndFlush(ByteBuffer(string: piece), promise: nil)
        }
      }
    }
  }
}
