import Logging
import NIOCore

@testable import RESPClient

/// What happens, in order, for a test to wait for.
struct Mailbox<Element: Sendable>: Sendable {
  private let stream: AsyncStream<Element>
  private let continuation: AsyncStream<Element>.Continuation

  init() { (stream, continuation) = AsyncStream.makeStream() }

  func add(_ element: Element) { continuation.yield(element) }

  /// Takes the next element, or waits for it; returns nil if the task is cancelled.
  func next() async -> Element? {
    var iterator = stream.makeAsyncIterator()
    return await iterator.next()
  }
}

typealias Signal = Mailbox<Void>

extension Signal {
  func send() { add(()) }
  func wait() async { _ = await next() }
}

extension Mailbox<String> {
  func add(_ bytes: ByteBuffer) { add(String(buffer: bytes)) }
}

extension RedisConfiguration {
  /// For tests: without a time limit that a slow machine could reach, and with short delays.
  static func test(_ url: RedisURL) -> RedisConfiguration {
    var configuration = RedisConfiguration(url: url)
    configuration.timeLimit = .seconds(3600)
    configuration.firstDelay = .milliseconds(1)
    configuration.lastDelay = .milliseconds(10)
    configuration.pingInterval = .seconds(3600)
    return configuration
  }
}

let silent = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs a client while the body runs; returns when ``RedisClient/run()`` has returned.
///
/// - Parameter body: Has a signal for each connection that was made.
func withClient(
  _ configuration: RedisConfiguration, logger: Logger = silent,
  _ body: (RedisClient, Signal) async throws -> Void
) async throws {
  let connected = Signal()
  let client = try RedisClient(configuration, logger: logger) { _ in connected.send() }
  let running = Task { await client.run() }
  try await attempt {
    try await body(client, connected)
  } finally: {
    running.cancel()
    await running.value
  }
}

/// Runs a subscriber while the body runs; returns when ``RedisSubscriber/run()`` has returned.
func withSubscriber(
  _ configuration: RedisConfiguration, _ body: (RedisSubscriber, Signal) async throws -> Void
) async throws {
  let connected = Signal()
  let subscriber = try RedisSubscriber(configuration, logger: silent) { connected.send() }
  let running = Task { await subscriber.run() }
  try await attempt {
    try await body(subscriber, connected)
  } finally: {
    running.cancel()
    await running.value
  }
}

/// Runs a body, and what must follow it however it ends.
func attempt(_ body: () async throws -> Void, finally: () async -> Void) async throws {
  do {
    try await body()
  } catch {
    await finally()
    throw error
  }
  await finally()
}
