import HTTPTypes
import NIOCore
import NIOEmbedded
import NIOHTTPTypes
import Testing

@testable import ProcessServer

/// What depends on time, with a clock that goes as it is told.
@Suite struct ConnectionGuardTests {
  /// Stands between the guard and the socket.
  private final class Socket: ChannelDuplexHandler {
    typealias InboundIn = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = ByteBuffer
    private var context: ChannelHandlerContext?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }
    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
      promise?.succeed()
    }

    /// So many bytes wait for the client to read them.
    func wait(_ count: Int) {
      context?.write(wrapOutboundOut(ByteBuffer(repeating: 0, count: count)), promise: nil)
    }
  }

  private let loop = EmbeddedEventLoop()
  private let connections: Connections
  private let socket = Socket()
  private let channel: EmbeddedChannel

  init() throws {
    var limits = APIServer.Limits()
    limits.stallTime = .seconds(30)
    limits.requestTime = .seconds(20)
    limits.anonymousTime = .seconds(10)
    connections = Connections(limits)
    channel = EmbeddedChannel(loop: loop)
    try channel.pipeline.syncOperations.addHandlers([
      socket, ConnectionGuard(connections, limits: limits),
    ])
    try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
    try connections.authenticate(connections.connection(of: channel), as: "w")
  }

  @Test("A connection without a token is closed after ten seconds")
  func anonymous() throws {
    let other = EmbeddedChannel(loop: loop)
    try other.pipeline.syncOperations.addHandler(
      ConnectionGuard(connections, limits: APIServer.Limits()))
    try other.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 2)).wait()
    loop.advanceTime(by: .milliseconds(9_999))
    #expect(other.isActive)
    loop.advanceTime(by: .milliseconds(1))
    #expect(!other.isActive)
    #expect(channel.isActive)
  }

  private func setWritable(_ isWritable: Bool) {
    channel.isWritable = isWritable
    channel.pipeline.fireChannelWritabilityChanged()
  }

  /// The client has read what waited, and so many bytes more wait by now.
  private func readAll(more: Int) {
    channel.flush()
    socket.wait(more)
  }

  @Test("A connection whose client reads nothing is closed after the stall time")
  func aClientThatReadsNothing() {
    socket.wait(100_000)
    setWritable(false)
    loop.advanceTime(by: .seconds(59))
    #expect(channel.isActive)
    loop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
    #expect(connections.count == 0)
  }

  /// However slowly it reads, as long as it does.
  @Test("A connection whose client reads slowly stays open")
  func aClientThatReadsSlowly() {
    var count = 100_000
    socket.wait(count)
    setWritable(false)
    for _ in 0..<1000 {
      loop.advanceTime(by: .seconds(30))
      count -= 1
      readAll(more: count)
      #expect(channel.isActive)
    }
    setWritable(true)
    loop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
  }

  /// A response of which nothing has been read yet gets its own time.
  @Test("Each response of a connection has its own stall time")
  func oneResponseAfterAnother() {
    for _ in 0..<10 {
      readAll(more: 100_000)
      setWritable(false)
      loop.advanceTime(by: .seconds(45))
      setWritable(true)
      #expect(channel.isActive)
    }
  }

  private func head(_ length: Int) -> HTTPRequestPart {
    .head(
      HTTPRequest(
        method: .post, scheme: nil, authority: nil, path: "/",
        headerFields: [.contentLength: "\(length)"]))
  }

  @Test("A connection whose request does not arrive in time is closed")
  func aRequestThatDoesNotCome() throws {
    try channel.writeInbound(head(10))
    for _ in 0..<19 {
      loop.advanceTime(by: .seconds(1))
      try channel.writeInbound(HTTPRequestPart.body(ByteBuffer(string: "x")))
    }
    #expect(channel.isActive)
    loop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }

  @Test("A connection whose request has arrived stays open")
  func aRequestThatHasCome() throws {
    try channel.writeInbound(head(0))
    try channel.writeInbound(HTTPRequestPart.end(nil))
    loop.advanceTime(by: .hours(1))
    #expect(channel.isActive)
  }

  /// The time of a request that stands behind another begins with its turn.
  @Test("The time limit of a pipelined request begins with its turn")
  func aRequestBehindAnother() throws {
    try channel.writeInbound(head(0))
    try channel.writeInbound(HTTPRequestPart.end(nil))
    try channel.writeInbound(head(10))
    loop.advanceTime(by: .seconds(119))
    #expect(channel.isActive)
    try channel.writeOutbound(HTTPResponsePart.head(HTTPResponse(status: .ok)))
    try channel.writeOutbound(HTTPResponsePart.end(nil))
    loop.advanceTime(by: .seconds(19))
    #expect(channel.isActive)
    loop.advanceTime(by: .seconds(1))
    #expect(!channel.isActive)
  }
}
