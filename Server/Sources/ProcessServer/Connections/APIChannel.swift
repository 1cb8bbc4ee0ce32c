import HummingbirdCore
import Logging
import NIOCore
import NIOHTTP1
import NIOHTTPTypes
import NIOHTTPTypesHTTP1

/// A connection's pipeline, from bytes to requests and back: Hummingbird's for HTTP/1, with
/// ``FramingCount`` before the parser, ``HTTP1Rules`` behind it and ``ConnectionGuard`` where parts
/// are those of any HTTP.
struct APIChannel: ServerChildChannel, HTTPChannelHandler {
  typealias Value = NIOAsyncChannel<HTTPRequestPart, HTTPResponsePart>

  let responder: HTTPChannelHandler.Responder
  let configuration: APIServer.Configuration
  let connections: Connections
  let routes: RouteTable

  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
    channel.eventLoop.makeCompletedFuture {
      let limits = configuration.limits
      var parsing = NIOHTTPDecoderLimitConfiguration()
      parsing.maxHeaderFieldSize = limits.headBytes
      parsing.maxHeaderListSize = limits.headBytes
      parsing.maxHeaderFieldCount = limits.headerFields
      let framing = FramingCount(limit: limits.headBytes)
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(framing)
      try pipeline.configureHTTPServerPipeline(
        withPipeliningAssistance: false, withErrorHandling: false,
        withOutboundHeaderValidation: false, withEncoderConfiguration: .init(),
        withDecoderLimitConfiguration: parsing)
      try pipeline.addHandler(
        HTTP1Rules(allowedHosts: configuration.allowedHosts, framing: framing))
      try pipeline.addHandler(HTTP1ToHTTPServerCodec(secure: false))
      if let log = configuration.accessLog {
        try pipeline.addHandler(AccessLogger(connections, routes: routes, log: log))
      }
      try pipeline.addHandler(ConnectionGuard(connections, limits: limits))
      try pipeline.addHandler(
        HTTPConnectionStateHandler(idleTimeout: limits.idleTime, logger: logger))
      return try NIOAsyncChannel(
        wrappingChannelSynchronously: channel,
        configuration: .init(isOutboundHalfClosureEnabled: true))
    }
  }

  func handle(value: Value, logger: Logger) async {
    await handleHTTP(asyncChannel: value, logger: logger)
  }
}
