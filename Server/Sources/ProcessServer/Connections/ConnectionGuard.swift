import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Guards one connection, at the point of the pipeline through which its HTTP parts pass:
///
/// - cuts it off if a request takes too long to arrive, its client too long to read a response, or
///   no token has come with it for too long;
/// - subtracts the bytes of large responses that have been sent;
/// - detects that the client has hung up while a request waits;
/// - answers `Expect: 100-continue`;
/// - answers input that is not HTTP with an error that says so.
///
/// Hummingbird limits how long a connection may be idle, and how long a head may take.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  private let connections: Connections
  private let limits: APIServer.Limits
  private var connection: Connection?
  /// The requests whose head has arrived, and whose response has not been written completely.
  private var unanswered = 0
  private var requestTimer: Scheduled<Void>?
  private var stallTimer: Scheduled<Void>?
  private var anonymousTimer: Scheduled<Void>?
  /// The error of a request that has no route.
  private var fault: APIError?

  init(_ connections: Connections, limits: APIServer.Limits) {
    self.connections = connections
    self.limits = limits
  }

  // MARK: Coming and going

  func handlerAdded(context: ChannelHandlerContext) {
    let connection = connections.opened(context.channel)
    self.connection = connection
    anonymousTimer = context.eventLoop.assumeIsolated().scheduleTask(
      in: limits.anonymousTime.amount
    ) {
      if connection.workspace == nil { context.close(promise: nil) }
    }
  }

  func handlerRemoved(context: ChannelHandlerContext) { leave(context) }

  func channelInactive(context: ChannelHandlerContext) {
    leave(context)
    context.fireChannelInactive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case ChannelEvent.inputClosed = event { connection?.waits.end() }
    if let event = event as? RequestFault { fault = event.error }
    context.fireUserInboundEventTriggered(event)
  }

  private func leave(_ context: ChannelHandlerContext) {
    requestTimer?.cancel()
    stallTimer?.cancel()
    anonymousTimer?.cancel()
    if let connection { connections.closed(connection) }
    connection = nil
  }

  // MARK: Requests

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      unanswered += 1
      expectBody(context)
      // In the middle of another response it would become part of that.
      if unanswered == 1, head.headerFields[.expect]?.lowercased() == "100-continue",
        head.headerFields[.contentLength].flatMap({ Int($0) }) ?? 0 <= limits.bodyBytes
      {
        context.writeAndFlush(
          wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
      }
    case .body: break
    case .end:
      requestTimer?.cancel()
      requestTimer = nil
    }
    context.fireChannelRead(data)
  }

  /// Starts the time limit for the rest of a request. A request behind others may not be read until
  /// they have been answered; its time starts then.
  private func expectBody(_ context: ChannelHandlerContext) {
    requestTimer?.cancel()
    requestTimer = context.eventLoop.assumeIsolated().scheduleTask(in: limits.requestTime.amount) {
      if self.unanswered > 1 { self.expectBody(context) } else { context.close(promise: nil) }
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if let error = error as? HTTPParserError, fault == nil { fault = error.apiError }
    context.fireErrorCaught(error)
  }

  // MARK: Responses

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(let head) where head.status.kind != .informational:
      guard let error = fault, head.status == .badRequest,
        head.headerFields[.contentLength] == "0"
      else { break }
      var response = error.response.head
      response.headerFields[.connection] = "close"
      context.write(wrapOutboundOut(.head(response)), promise: nil)
      context.write(wrapOutboundOut(.body(ByteBuffer(string: error.json.text))), promise: promise)
      return
    case .body(let body):
      guard let connection, connections.outgoing.holds(connection) else { break }
      // Until the system has taken them, they occupy memory.
      let written = promise ?? context.eventLoop.makePromise()
      let count = body.readableBytes
      written.futureResult.whenComplete { [connections] _ in
        connections.outgoing.give(count, of: connection)
      }
      context.write(data, promise: written)
      return
    case .end:
      unanswered = max(0, unanswered - 1)
      // The next request's turn begins.
      if requestTimer != nil { expectBody(context) }
    default: break
    }
    context.write(data, promise: promise)
  }

  /// Cuts off a client that reads too slowly: it must at least keep reading.
  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stallTimer?.cancel()
    stallTimer = nil
    if !context.channel.isWritable { watch(context, last: .max) }
    context.fireChannelWritabilityChanged()
  }

  private func watch(_ context: ChannelHandlerContext, last: Int) {
    stallTimer = context.eventLoop.assumeIsolated().scheduleTask(in: limits.stallTime.amount) {
      let option = ChannelOptions.bufferedWritableBytes
      let waiting =
        (try? context.channel.syncOptions?.getOption(option)) ?? 0
      if waiting >= last { context.close(promise: nil) } else { self.watch(context, last: waiting) }
    }
  }
}

extension HTTPParserError {
  /// The answer to a request that is not HTTP.
  fileprivate var apiError: APIError {
    switch self {
    case .headerOverflow:
      APIError(
        .requestHeaderFieldsTooLarge, "headers_too_large", "the request's head is too large")
    default: APIError.badRequest("this is not an HTTP/1.1 request")
    }
  }
}

extension Duration {
  fileprivate var amount: TimeAmount { TimeAmount(self) }
}
