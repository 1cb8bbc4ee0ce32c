import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import RESPClient

/// Time limits and replies, with a clock that goes as it is told.
@Suite struct HandlerTests {
  /// What completions have got.
  private final class Results: Sendable {
    private let all = Mutex([Result<[RESPValue], RedisError>]())
    var values: [Result<[RESPValue], RedisError>] { all.withLock { $0 } }
    func add(_ result: Result<[RESPValue], RedisError>) { all.withLock { $0.append(result) } }
  }

  private let loop = EmbeddedEventLoop()
  private let channel: EmbeddedChannel
  private let handler: CommandHandler
  private let results = Results()

  init() throws {
    handler = CommandHandler(timeLimit: .seconds(5)) { value in
      if case .push = value { true } else { false }
    }
    channel = EmbeddedChannel(loop: loop)
    try channel.pipeline.syncOperations.addHandlers([
      ByteToMessageHandler(RESPDecoder()), handler,
    ])
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
  }

  private func send(_ commands: RESPCommand...) {
    handler.send(commands.count, RESPOutput(commands).parts) { [results] in results.add($0) }
  }

  private func receive(_ text: String) throws {
    try channel.writeInbound(ByteBuffer(string: text))
  }

  @Test("Replies go to commands in the order in which those were sent")
  func order() throws {
    send(RESPCommand("A"))
    send(RESPCommand("B"), RESPCommand("C"))
    send(RESPCommand("D"))
    try receive(":1\r\n:2\r\n:")
    #expect(results.values == [.success([.integer(1)])])
    try receive("3\r\n-ERR x\r\n")
    let expected: [Result<[RESPValue], RedisError>] = [
      .success([.integer(1)]), .success([.integer(2), .integer(3)]), .success([.error("ERR x")]),
    ]
    #expect(results.values == expected)
  }

  @Test("The connection is closed when the oldest command has waited for the time limit")
  func timeLimit() throws {
    send(RESPCommand("A"))
    loop.advanceTime(by: .seconds(3))
    send(RESPCommand("B"))
    loop.advanceTime(by: .milliseconds(1999))
    #expect(channel.isActive)
    #expect(results.values == [])
    loop.advanceTime(by: .milliseconds(1))
    #expect(!channel.isActive)
    #expect(results.values == [.failure(.timedOut), .failure(.timedOut)])
  }

  @Test("The time limit of each command begins when it is sent")
  func slidingLimit() throws {
    for _ in 0..<10 {
      send(RESPCommand("A"))
      loop.advanceTime(by: .seconds(3))
      send(RESPCommand("B"))
      try receive(":1\r\n")
      loop.advanceTime(by: .seconds(4))
      try receive(":2\r\n")
      #expect(channel.isActive)
    }
    loop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
    send(RESPCommand("C"))
    loop.advanceTime(by: .milliseconds(4999))
    #expect(channel.isActive)
    loop.advanceTime(by: .milliseconds(1))
    #expect(!channel.isActive)
  }

  @Test("A batch with some of its replies can still exceed the time limit")
  func partOfABatch() throws {
    send(RESPCommand("A"), RESPCommand("B"))
    try receive(":1\r\n")
    loop.advanceTime(by: .seconds(5))
    #expect(results.values == [.failure(.timedOut)])
  }

  @Test("A reply without a command closes the connection")
  func unexpectedReply() throws {
    try receive(":1\r\n")
    #expect(!channel.isActive)
    #expect(handler.closeReason == "a reply came that belongs to no command")
  }

  @Test("What is no reply is not taken for one")
  func pushes() throws {
    send(RESPCommand("A"))
    try receive(">1\r\n+x\r\n:1\r\n>1\r\n+y\r\n")
    #expect(channel.isActive)
    #expect(results.values == [.success([.integer(1)])])
  }

  @Test("A malformed reply closes the connection, with the reason")
  func malformed() throws {
    send(RESPCommand("A"))
    send(RESPCommand("B"))
    try receive(":1\r\n:x\r\n:2\r\n")
    #expect(!channel.isActive)
    #expect(results.values == [.success([.integer(1)]), .failure(.connectionLost)])
    #expect(handler.closeReason == "an integer is not one of 64 bits")
  }

  @Test("A command on a closed connection is not sent")
  func closed() throws {
    _ = try channel.finish()
    send(RESPCommand("A"))
    #expect(results.values == [.failure(.notConnected)])
  }

  @Test("No commands have no replies")
  func nothing() throws {
    send()
    #expect(results.values == [.success([])])
    #expect(try channel.readOutbound(as: ByteBuffer.self) == nil)
  }
}
