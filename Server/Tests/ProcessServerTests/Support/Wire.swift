import Foundation
import NIOCore
import NIOPosix

/// A client's end of a connection, which sees every byte.
struct Wire {
  private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
  private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  private var received: [UInt8] = []
  private var position = 0

  /// Connects, and hangs up in the end.
  static func connect<Result>(
    host: String = "127.0.0.1", port: Int, receiveBuffer: Int32? = nil,
    _ body: (inout Wire) async throws -> Result
  ) async throws -> Result {
    // Many tests run at once, and a busy machine takes its time to accept a connection.
    var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connectTimeout(.seconds(300))
    if let receiveBuffer {
      bootstrap = bootstrap.channelOption(
        ChannelOptions.socketOption(.so_rcvbuf),
        value: ChannelOptions.Types.SocketOption.Value(receiveBuffer))
    }
    let channel = try await bootstrap.connect(host: host, port: port) { channel in
      channel.eventLoop.makeCompletedFuture {
        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
      }
    }
    return try await use(channel, body)
  }

  /// Connects to a socket in the file system.
  static func connect<Result>(
    unix path: String, _ body: (inout Wire) async throws -> Result
  ) async throws -> Result {
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    let channel = try await bootstrap.connect(unixDomainSocketPath: path) { channel in
      channel.eventLoop.makeCompletedFuture {
        try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
      }
    }
    return try await use(channel, body)
  }

  private static func use<Result>(
    _ channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>,
    _ body: (inout Wire) async throws -> Result
  ) async throws -> Result {
    return try await channel.executeThenClose { inbound, outbound in
      var wire = Wire(inbound: inbound.makeAsyncIterator(), outbound: outbound)
      return try await body(&wire)
    }
  }

  private init(
    inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
    outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
  ) {
    self.inbound = inbound
    self.outbound = outbound
  }

  func send(_ text: String) async throws { try await outbound.write(ByteBuffer(string: text)) }

  func send(_ bytes: [UInt8]) async throws { try await outbound.write(ByteBuffer(bytes: bytes)) }

  /// Sends a byte now and then, until cancelled or cut off.
  func trickle() -> Task<Void, any Error> {
    Task { [outbound] in
      while !Task.isCancelled {
        try await outbound.write(ByteBuffer(string: "x"))
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  /// Sends a request with a body.
  func request(
    _ method: String, _ path: String, token: String? = nil, headers: [String] = [],
    body: String? = nil
  ) async throws {
    var lines = ["\(method) \(path) HTTP/1.1", "Host: localhost"] + headers
    if let token { lines.append("Authorization: Bearer \(token)") }
    if let body { lines.append("Content-Length: \(body.utf8.count)") }
    try await send(lines.joined(separator: "\r\n") + "\r\n\r\n" + (body ?? ""))
  }

  /// The next byte; nil at the end.
  private mutating func next() async throws -> UInt8? {
    while position == received.count {
      guard let part = try await receive() else { return nil }
      received = Array(part.readableBytesView)
      position = 0
    }
    defer { position += 1 }
    return received[position]
  }

  /// A client that has been cut off may find so by an error.
  private mutating func receive() async throws -> ByteBuffer? {
    do {
      return try await inbound.next()
    } catch is IOError {
      return nil
    }
  }

  /// The next line, without its end; nil at the end of the connection.
  mutating func line() async throws -> String? {
    var bytes: [UInt8] = []
    while let byte = try await next() {
      if byte == UInt8(ascii: "\n") {
        if bytes.last == UInt8(ascii: "\r") { bytes.removeLast() }
        return String(decoding: bytes, as: UTF8.self)
      }
      bytes.append(byte)
    }
    return bytes.isEmpty ? nil : String(decoding: bytes, as: UTF8.self)
  }

  mutating func bytes(_ count: Int) async throws -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count)
    while bytes.count < count {
      if position < received.count {
        let part = received[position...].prefix(count - bytes.count)
        bytes += part
        position += part.count
      } else if let byte = try await next() {
        bytes.append(byte)
      } else {
        throw Truncated()
      }
    }
    return bytes
  }

  struct Truncated: Error {}

  /// Whether the other side has hung up, as soon as it has.
  mutating func isCutOff() async throws -> Bool {
    while try await next() != nil {}
    return true
  }

  /// The status and headers of the next response; nil at the end of the connection.
  mutating func head() async throws -> Reply? {
    guard let first = try await line() else { return nil }
    var reply = Reply(status: Int(first.split(separator: " ")[1]) ?? 0)
    while let line = try await line(), !line.isEmpty {
      let parts = line.split(separator: ":", maxSplits: 1)
      reply.headers[parts[0].lowercased()] =
        parts.count > 1 ? parts[1].trimmingCharacters(in: .whitespaces) : ""
    }
    return reply
  }

  /// The next response with its body.
  mutating func response() async throws -> Reply {
    guard var reply = try await head() else { throw Truncated() }
    if let length = reply.headers["content-length"].flatMap({ Int($0) }) {
      reply.body = try await bytes(length)
    } else if reply.headers["transfer-encoding"] == "chunked" {
      while let part = try await part() { reply.body += part }
    }
    return reply
  }

  /// The next part of a response that comes in parts; nil behind the last.
  mutating func part() async throws -> [UInt8]? {
    guard let size = try await line().flatMap({ Int($0, radix: 16) }) else { throw Truncated() }
    let part = try await bytes(size)
    _ = try await line()
    return size == 0 ? nil : part
  }
}

/// A response as it came.
struct Reply: Sendable {
  var status: Int
  var headers: [String: String] = [:]
  var body: [UInt8] = []

  init(status: Int) { self.status = status }

  var text: String { String(decoding: body, as: UTF8.self) }

  func decode<Value: Decodable>(_ type: Value.Type = Value.self) throws -> Value {
    try JSONDecoder().decode(type, from: Data(body))
  }

  /// The code of an error.
  var code: String {
    struct Body: Decodable {
      struct Inner: Decodable { var code, message: String }
      var error: Inner
    }
    guard let error = try? decode(Body.self).error, !error.message.isEmpty else { return "none" }
    return error.code
  }
}

/// What `GET …/output` answers.
struct OutputReply: Decodable, Sendable {
  struct Chunk: Decodable, Sendable {
    var stream: String
    var data_b64: String
    var seq: Int
    var offset: Int
    var time_ms: Int?

    var data: [UInt8] { Array(Data(base64Encoded: data_b64) ?? Data("not base64".utf8)) }
    var text: String { String(decoding: data, as: UTF8.self) }
  }

  var chunks: [Chunk]
  var exit_code: Int?
  var session_alive: Bool
  var truncated: Bool
  var lost_bytes: Int
  var closed: Bool
  var missed_chunks: Int
  var missed_bytes: Int?
  var gap_index: Int?
  var next_since: Int
  var cursor: String
  var has_more: Bool
  var signal: String?
  var foreign_cursor, cursor_ahead: Bool
  var forgotten: Bool
  var wait_for: Search?
  var start_ms: Int?

  /// How a wait for a literal ended.
  struct Search: Decodable, Sendable {
    var outcome: String
    var offset: Int?
    var end_offset: Int?
    var missed_bytes: Int?
    var cursor: String
  }

  var text: String { chunks.map(\.text).joined() }
}
