import NIOCore
import NIOHTTP1

/// The error for which a request is refused before it reaches its route; sent along the pipeline as
/// an event.
struct RequestFault: Sendable {
  let error: APIError
}

/// Enforces rules of HTTP/1 that the parser does not:
///
/// - one `Host`, which must name this machine if the connection comes from this machine;
/// - no chunked body, no chunked response and no persistent connection in HTTP/1.0, unless the
///   client asks to keep the connection;
/// - no more bytes between the chunks of a body than a client needs.
///
/// Tells the handlers behind it by the header field `Connection: close` that the connection ends.
final class HTTP1Rules: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private struct Exchange {
    let version: HTTPVersion
    let isKeptAlive: Bool
  }

  private let allowedHosts: Set<String>
  private let framing: FramingCount
  /// The requests whose head has arrived, and whose response has not been written completely.
  private var exchanges: CircularBuffer<Exchange> = []
  private var isFaulty = false
  private var closesAfterResponse = false

  /// - Parameters:
  ///   - allowedHosts: Names of this machine, in lower case, in addition to those of its loopback.
  ///   - framing: Counts the bytes that arrive.
  init(allowedHosts: Set<String>, framing: FramingCount) {
    self.allowedHosts = allowedHosts
    self.framing = framing
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard !isFaulty else { return }
    switch unwrapInboundIn(data) {
    case .head(var head):
      if let error = fault(in: head, isLocal: isLocal(context.channel)) {
        return refuse(error, context: context)
      }
      let isKeptAlive = head.isKeepAlive
      exchanges.append(Exchange(version: head.version, isKeptAlive: isKeptAlive))
      if !isKeptAlive { head.headers.replaceOrAdd(name: "connection", value: "close") }
      if head.version.isOld { head.headers.remove(name: "expect") }
      framing.beginBody()
      context.fireChannelRead(wrapInboundOut(.head(head)))
    case .body(let bytes):
      framing.gotBody(bytes.readableBytes)
      context.fireChannelRead(data)
    case .end:
      framing.endBody()
      context.fireChannelRead(data)
    }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    if framing.isExcessive, !isFaulty {
      refuse(
        .badRequest("the body's chunks have too much between them: chunk extensions, or trailers"),
        context: context)
    }
    context.fireChannelReadComplete()
  }

  private func refuse(_ error: APIError, context: ChannelHandlerContext) {
    isFaulty = true
    context.fireUserInboundEventTriggered(RequestFault(error: error))
    context.fireErrorCaught(HTTPParserError.unknown)
  }

  private func isLocal(_ channel: any Channel) -> Bool {
    channel.localAddress?.ipAddress.map(isLoopback(address:)) ?? false
  }

  private func fault(in head: HTTPRequestHead, isLocal: Bool) -> APIError? {
    let hosts = head.headers["host"]
    guard hosts.count == 1 || (hosts.isEmpty && head.version.isOld) else {
      return .badRequest("a request has exactly one Host, not \(hosts.count)")
    }
    if head.version.isOld, head.headers.contains(name: "transfer-encoding") {
      return .badRequest("HTTP/1.0 has no Transfer-Encoding")
    }
    guard isLocal, let host = hosts.first else { return nil }
    guard isOwn(host: host, orOneOf: allowedHosts) else {
      return APIError(
        .forbidden, "forbidden",
        "Host \(host.prefix(100)) is none of this machine's names: see --allowed-host")
    }
    return nil
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head) where head.status.code >= 200:
      closesAfterResponse = !head.isKeepAlive
      if let exchange = exchanges.first {
        let hasLength = head.headers.contains(name: "content-length") || head.status == .noContent
        if exchange.version.isOld {
          head.version = .http1_0
          if !hasLength { closesAfterResponse = true }
        }
        if !exchange.isKeptAlive { closesAfterResponse = true }
        if closesAfterResponse {
          head.headers.replaceOrAdd(name: "connection", value: "close")
        } else if exchange.version.isOld {
          head.headers.replaceOrAdd(name: "connection", value: "keep-alive")
        }
      }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .end:
      _ = exchanges.popFirst()
      guard closesAfterResponse else { return context.write(data, promise: promise) }
      let written = promise ?? context.eventLoop.makePromise()
      let channel = context.channel
      written.futureResult.whenComplete { _ in channel.close(mode: .output, promise: nil) }
      context.writeAndFlush(data, promise: written)
    default:
      context.write(data, promise: promise)
    }
  }
}

/// Counts the bytes of a request's body that are not its content. Placed before the parser, which
/// consumes them.
final class FramingCount: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  /// The most bytes, in addition to a few for each byte of content.
  private let limit: Int
  private var count = 0
  private var isInBody = false

  init(limit: Int) { self.limit = limit }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    count += unwrapInboundIn(data).readableBytes
    context.fireChannelRead(data)
  }

  /// The bytes that the parser still holds belong to the body, or to what follows it.
  func beginBody() {
    count = 0
    isInBody = true
  }

  /// A chunk of one byte needs five more bytes.
  func gotBody(_ bytes: Int) { count = max(0, count - 8 * bytes) }

  func endBody() { isInBody = false }

  var isExcessive: Bool { isInBody && count > limit }
}

extension HTTPVersion {
  /// Whether the version is before HTTP/1.1.
  fileprivate var isOld: Bool { (major, minor) < (1, 1) }
}
