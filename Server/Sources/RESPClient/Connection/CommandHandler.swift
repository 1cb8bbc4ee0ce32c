import NIOCore

/// Writes commands, and gives each reply to the oldest command without one.
///
/// When a command has waited for too long, or when a reply is malformed, it closes the connection:
/// only so can no later reply be taken for that of another command.
final class CommandHandler: ChannelInboundHandler {
  typealias InboundIn = RESPValue
  typealias OutboundOut = ByteBuffer
  typealias Take = @Sendable (RESPValue) -> Bool
  typealias Completion = @Sendable (Result<[RESPValue], RedisError>) -> Void

  /// Commands that were sent together.
  private struct Batch {
    let count: Int
    var replies: [RESPValue] = []
    let deadline: NIODeadline
    let completion: Completion
  }

  private let timeLimit: TimeAmount
  /// Takes what is no reply, and returns whether it was that.
  private let take: Take
  private var outstanding: CircularBuffer<Batch> = []
  private var timer: Scheduled<Void>?
  private var context: ChannelHandlerContext?
  /// Why the connection was closed.
  private(set) var closeReason: String?

  init(timeLimit: Duration, take: @escaping Take) {
    self.timeLimit = TimeAmount(timeLimit)
    self.take = take
  }

  // MARK: Commands

  /// Writes commands; the completion is called with a reply for each.
  func send(_ count: Int, _ parts: [ByteBuffer], _ completion: @escaping Completion) {
    guard let context, closeReason == nil else { return completion(.failure(.notConnected)) }
    guard count > 0 else { return completion(.success([])) }
    let deadline = context.eventLoop.now + timeLimit
    outstanding.append(Batch(count: count, deadline: deadline, completion: completion))
    if timer == nil { watch(until: deadline, context) }
    for part in parts { context.write(wrapOutboundOut(part), promise: nil) }
    context.flush()
  }

  /// Waits for the deadline of the oldest command.
  private func watch(until deadline: NIODeadline, _ context: ChannelHandlerContext) {
    timer = context.eventLoop.assumeIsolated().scheduleTask(deadline: deadline) {
      self.timer = nil
      guard let oldest = self.outstanding.first?.deadline else { return }
      if oldest > context.eventLoop.now {
        self.watch(until: oldest, context)
      } else {
        self.close(.timedOut, because: "a command got no reply within the time limit")
      }
    }
  }

  // MARK: Replies

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let value = unwrapInboundIn(data)
    if closeReason != nil || take(value) { return }
    guard var batch = outstanding.popFirst() else {
      return close(.connectionLost, because: "a reply came that belongs to no command")
    }
    batch.replies.append(value)
    if batch.replies.count < batch.count {
      outstanding.prepend(batch)
    } else {
      batch.completion(.success(batch.replies))
    }
  }

  // MARK: Coming and going

  func handlerAdded(context: ChannelHandlerContext) { self.context = context }

  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    close(.connectionLost, because: "\(error)")
  }

  func channelInactive(context: ChannelHandlerContext) {
    close(.connectionLost, because: "the server closed it")
    context.fireChannelInactive()
  }

  /// Closes the connection, and fails what is outstanding.
  func close(_ error: RedisError, because reason: String) {
    guard closeReason == nil else { return }
    closeReason = reason
    timer?.cancel()
    timer = nil
    let failed = outstanding
    outstanding = []
    for batch in failed { batch.completion(.failure(error)) }
    context?.close(promise: nil)
  }
}
