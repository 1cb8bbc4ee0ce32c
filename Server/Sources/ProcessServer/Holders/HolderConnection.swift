import HolderProtocol
import NIOCore
import NIOPosix
import Synchronization

/// A connection to a holder.
///
/// All work is done by its event loop, never within a call: a caller may hold a lock.
final class HolderConnection: Sendable {
  private typealias Completion = @Sendable (HolderMessage?) -> Void

  private struct State {
    /// The requests without an answer. What the holder answers at once has a time limit.
    var requests: [UInt32: (completion: Completion, isLimited: Bool)] = [:]
    var lastNumber: UInt32 = 0
    var isClosed = false
  }

  private let channel: any Channel
  private let onNews: @Sendable () -> Void
  private let state = Mutex(State())
  /// Opened when the connection is closed.
  let closed = Latch()

  /// Takes over a connected socket.
  ///
  /// - Parameters:
  ///   - descriptor: The socket, which is closed with the connection, also if this fails.
  ///   - onNews: Called when the holder says that there may be news.
  static func adopt(
    _ descriptor: Int32, onNews: @escaping @Sendable () -> Void
  ) async throws -> HolderConnection {
    let made = Mutex<HolderConnection?>(nil)
    _ = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .channelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let connection = HolderConnection(channel, onNews)
          made.withLock { $0 = connection }
          try channel.pipeline.syncOperations.addHandler(Receiver(connection))
        }
      }
      .withConnectedSocket(descriptor).get()
    return made.withLock { $0 }!
  }

  private init(_ channel: any Channel, _ onNews: @escaping @Sendable () -> Void) {
    self.channel = channel
    self.onNews = onNews
  }

  /// Sends a message that has no answer.
  func send(_ message: HolderMessage) {
    channel.writeAndFlush(ByteBuffer(bytes: message.encoded), promise: nil)
  }

  /// Sends a message, and waits for its answer.
  ///
  /// - Parameter limit: The longest time to wait; nil for as long as the connection lasts.
  /// - Returns: The answer; nil if the time is up, or the connection is closed.
  func request(_ message: HolderMessage, upTo limit: Duration?) async -> HolderMessage? {
    await withCheckedContinuation { continuation in
      ask(message, upTo: limit) { continuation.resume(returning: $0) }
    }
  }

  /// Sends a message, and calls a closure with its answer, or with nil: once, and never within this
  /// call.
  func ask(
    _ message: HolderMessage, upTo limit: Duration?,
    _ completion: @escaping @Sendable (HolderMessage?) -> Void
  ) {
    let number = state.withLock { state -> UInt32? in
      guard !state.isClosed else { return nil }
      repeat { state.lastNumber &+= 1 } while state.requests[state.lastNumber] != nil
      state.requests[state.lastNumber] = (completion, limit != nil)
      return state.lastNumber
    }
    guard let number else { return channel.eventLoop.execute { completion(nil) } }
    var message = message
    message.number = number
    if let limit {
      channel.eventLoop.scheduleTask(in: TimeAmount(limit)) { [weak self] in
        self?.answer(number, with: nil)
      }
    }
    send(message)
  }

  /// Waits until all requests that have a time limit are answered, the connection is closed, or a
  /// time is up.
  func waitUntilAnswered(upTo limit: Duration) async {
    let deadline = ContinuousClock.now + limit
    while .now < deadline, !Task.isCancelled, hasLimitedRequests {
      _ = await closed.wait(upTo: .milliseconds(5))
    }
  }

  private var hasLimitedRequests: Bool {
    state.withLock { $0.requests.values.contains(where: \.isLimited) }
  }

  private func answer(_ number: UInt32, with message: HolderMessage?) {
    state.withLock { $0.requests.removeValue(forKey: number) }?.completion(message)
  }

  func close() { channel.close(promise: nil) }

  fileprivate func receive(_ message: HolderMessage) {
    if message.kind == .news { onNews() } else { answer(message.number, with: message) }
  }

  fileprivate func noteClosed() {
    let requests = state.withLock { state in
      state.isClosed = true
      defer { state.requests = [:] }
      return state.requests.values
    }
    for request in requests { request.completion(nil) }
    closed.open()
  }

  /// Takes messages out of what is received.
  private final class Receiver: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let connection: HolderConnection
    private var received: ArraySlice<UInt8> = []

    init(_ connection: HolderConnection) { self.connection = connection }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      received += unwrapInboundIn(data).readableBytesView
      do throws(MalformedMessage) {
        while let message = try HolderMessage.take(from: &received) {
          connection.receive(message)
        }
      } catch {
        context.close(promise: nil)
      }
    }

    func channelInactive(context: ChannelHandlerContext) { connection.noteClosed() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
      context.close(promise: nil)
    }
  }
}
