import HTTPTypes
import NIOCore
import NIOHTTPTypes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Records each request of a connection when its response has been written, or the connection ends.
///
/// It stands before ``ConnectionGuard``, so that it also sees the errors with which that answers
/// what is no request.
final class AccessLogger: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// The field by which a response tells the workspace of its request's token, up to here. The
  /// connection's own may be that of the next request already.
  static let workspace = HTTPField.Name("Processd-Workspace")!

  private struct Exchange {
    var record: AccessRecord
    let start = ContinuousClock.now
  }

  private let connections: Connections
  private let routes: RouteTable
  private let log: @Sendable (AccessRecord) -> Void
  /// The requests whose response has not been written completely.
  private var exchanges: CircularBuffer<Exchange> = []

  init(
    _ connections: Connections, routes: RouteTable, log: @escaping @Sendable (AccessRecord) -> Void
  ) {
    self.connections = connections
    self.routes = routes
    self.log = log
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if case .head(let head) = unwrapInboundIn(data) {
      let path = String(head.path?.prefix { $0 != "?" } ?? "")
      let route = try? routes.route(head.method.rawValue, ofPath: path).0.path
      exchanges.append(begin(context, method: head.method.rawValue, route: route))
    }
    context.fireChannelRead(data)
  }

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head) where head.status.kind != .informational:
      if exchanges.isEmpty { exchanges.append(begin(context, method: nil, route: nil)) }
      exchanges[exchanges.startIndex].record.status = head.status.code
      exchanges[exchanges.startIndex].record.workspace = head.headerFields[Self.workspace]
      head.headerFields[Self.workspace] = nil
      context.write(wrapOutboundOut(.head(head)), promise: promise)
      return
    case .end:
      if let exchange = exchanges.popFirst() { end(exchange, isComplete: true) }
    default: break
    }
    context.write(data, promise: promise)
  }

  func channelInactive(context: ChannelHandlerContext) {
    while let exchange = exchanges.popFirst() { end(exchange, isComplete: false) }
    context.fireChannelInactive()
  }

  private func begin(
    _ context: ChannelHandlerContext, method: String?, route: String?
  ) -> Exchange {
    Exchange(
      record: AccessRecord(
        time: Date(), address: connections.connection(of: context.channel).address,
        method: method, route: route, duration: .zero))
  }

  private func end(_ exchange: Exchange, isComplete: Bool) {
    var record = exchange.record
    record.duration = .now - exchange.start
    record.isComplete = isComplete
    log(record)
  }
}
