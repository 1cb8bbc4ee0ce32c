import NIOCore
import NIOPosix
import Synchronization

/// A proxy before a server, which cuts connections.
final class CuttingProxy: Sendable {
  private typealias Wires = NIOAsyncChannel<ByteBuffer, ByteBuffer>

  private struct State {
    /// How many bytes the next connections bring to their clients before they are cut.
    var allowances: [Int]
    var channels: [any Channel] = []
    var delivered = 0
  }

  let port: Int
  private let target: Int
  private let state: Mutex<State>

  /// The number of bytes that all clients have got.
  var delivered: Int { state.withLock { $0.delivered } }

  private init(port: Int, target: Int, _ allowances: [Int]) {
    self.port = port
    self.target = target
    state = Mutex(State(allowances: allowances))
  }

  /// Serves while the body runs.
  ///
  /// - Parameter allowances: How many bytes each of the first connections brings; later ones are
  ///   not cut by themselves.
  static func run(
    to target: Int, cuttingAfter allowances: [Int] = [],
    _ body: @Sendable (CuttingProxy) async throws -> Void
  ) async throws {
    let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .bind(host: "127.0.0.1", port: 0) { channel in
        channel.eventLoop.makeCompletedFuture { try Wires(wrappingChannelSynchronously: channel) }
      }
    let port = server.channel.localAddress?.port ?? 0
    let proxy = CuttingProxy(port: port, target: target, allowances)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        try await server.executeThenClose { clients in
          try await withThrowingDiscardingTaskGroup { connections in
            for try await client in clients {
              // A connection that is cut ends with an error.
              connections.addTask { try? await proxy.serve(client) }
            }
          }
        }
      }
      defer { group.cancelAll() }
      try await body(proxy)
    }
  }

  /// Cuts all connections that there are.
  func cut() {
    let channels = state.withLock { state in
      defer { state.channels = [] }
      return state.channels
    }
    for channel in channels { channel.close(promise: nil) }
  }

  private func serve(_ client: Wires) async throws {
    let server = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: target) { channel in
        channel.eventLoop.makeCompletedFuture { try Wires(wrappingChannelSynchronously: channel) }
      }
    let allowance = state.withLock { state in
      state.channels += [client.channel, server.channel]
      return state.allowances.isEmpty ? Int.max : state.allowances.removeFirst()
    }
    try await client.executeThenClose { fromClient, toClient in
      try await server.executeThenClose { fromServer, toServer in
        try await withThrowingTaskGroup(of: Void.self) { group in
          group.addTask { for try await bytes in fromClient { try await toServer.write(bytes) } }
          group.addTask { [self] in
            var left = allowance
            for try await var bytes in fromServer {
              let part = bytes.readSlice(length: min(left, bytes.readableBytes)) ?? ByteBuffer()
              left -= part.readableBytes
              state.withLock { $0.delivered += part.readableBytes }
              try await toClient.write(part)
              if left == 0 { return }
            }
          }
          defer { group.cancelAll() }
          _ = try await group.next()
        }
      }
    }
  }
}
