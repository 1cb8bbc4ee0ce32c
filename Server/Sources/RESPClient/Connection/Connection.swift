import NIOCore
import Synchronization

/// A connection that is up, or was.
///
/// All work is done by later runs of its event loop, never within a call: a caller may hold a lock.
final class Connection: Sendable {
  private struct Outstanding {
    var commands = 0
    var bytes = 0
  }

  private let channel: any Channel
  private let handler: NIOLoopBound<CommandHandler>
  private let configuration: RedisConfiguration
  private let outstanding = Mutex(Outstanding())

  init(
    _ channel: any Channel, _ handler: NIOLoopBound<CommandHandler>,
    _ configuration: RedisConfiguration
  ) {
    self.channel = channel
    self.handler = handler
    self.configuration = configuration
  }

  /// Sends commands, and waits for their replies.
  ///
  /// - Throws: `.overloaded` if too much is outstanding, and other errors.
  func send(_ commands: [RESPCommand]) async throws(RedisError) -> [RESPValue] {
    guard !Task.isCancelled else { throw .cancelled }
    let output = RESPOutput(commands)
    let (count, bytes) = (commands.count, output.count)
    guard take(count, bytes) else { throw .overloaded }
    let answer = Answer<Result<[RESPValue], RedisError>>()
    submit(output, count) { [self] result in
      outstanding.withLock {
        $0.commands -= count
        $0.bytes -= bytes
      }
      answer.supply(result)
    }
    return try await answer.value(ifCancelled: .failure(.cancelled)).get()
  }

  private func take(_ count: Int, _ bytes: Int) -> Bool {
    outstanding.withLock {
      guard $0.commands + count <= configuration.outstandingCommands,
        $0.bytes + bytes <= configuration.outstandingBytes
      else { return false }
      $0.commands += count
      $0.bytes += bytes
      return true
    }
  }

  /// Sends commands, and does not count them as outstanding. The event loop calls the completion.
  func submit(
    _ output: RESPOutput, _ count: Int, _ completion: @escaping CommandHandler.Completion
  ) {
    channel.eventLoop.execute { [handler] in handler.value.send(count, output.parts, completion) }
  }

  /// Closes the connection.
  func close(because reason: String) {
    channel.eventLoop.execute { [handler] in
      handler.value.close(.connectionLost, because: reason)
    }
  }

  /// Returns when the connection is closed or the task is cancelled.
  func closed() async {
    let answer = Answer<Void>()
    channel.closeFuture.whenComplete { _ in answer.supply(()) }
    await answer.value(ifCancelled: ())
  }

  /// Closes the connection, and waits until that is done.
  ///
  /// - Returns: Why the connection was closed; that may have been earlier.
  func end(because reason: String) async -> String {
    close(because: reason)
    try? await channel.closeFuture.get()
    return await withCheckedContinuation { continuation in
      channel.eventLoop.execute { [handler] in
        continuation.resume(returning: handler.value.closeReason ?? reason)
      }
    }
  }
}
