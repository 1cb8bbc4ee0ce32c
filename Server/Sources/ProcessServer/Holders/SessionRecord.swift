import HolderProtocol
import ProcessHost

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// What a daemon keeps of a session in a file, for its successor: all that is neither in the ring
/// nor known to the holder.
struct SessionRecord {
  var workspace: String
  /// The digest of the token that permitted the start; nil without one.
  var token: SHA256Digest?
  var order: Order
  var startedAt: Date

  /// The record as JSON.
  var json: JSON {
    [
      "version": 1, "workspace": .string(workspace), "token": .optional(token?.hexadecimal),
      "started_at_ms": .int(Int(startedAt.timeIntervalSince1970 * 1000)),
      "command": order.line.json, "tty": .bool(order.command.terminal != nil),
      "pipe_stdin": .bool(order.command.input == .pipe), "head_bytes": .int(order.headBytes),
      "timestamps": .bool(order.timestamps), "grace_ms": .optional(order.grace?.milliseconds),
      "lossless_ms": .optional(order.losslessTime?.milliseconds), "size": .int(order.size),
      "keep_alive": .bool(order.isKeptAlive), "name": .optional(order.name),
      "idempotency_key": .optional(order.idempotencyKey),
      "fingerprint": .optional(order.fingerprint?.hexadecimal),
    ]
  }

  init(_ order: Order, by grant: Grant, startedAt: Date) {
    (self.order, self.startedAt) = (order, startedAt)
    (workspace, token) = (grant.workspace, grant.token)
  }

  /// Reads a record.
  ///
  /// - Throws: ``APIError`` if the text is none.
  init(parsing text: [UInt8]) throws(APIError) {
    let fields = try Fields(JSONInput(parsing: text))
    workspace = try fields.require("workspace", fields.string("workspace"))
    token = try fields.string("token").flatMap { SHA256Digest(hexadecimal: $0) }
    let milliseconds = try fields.integer("started_at_ms", in: 0...(1 << 52)) ?? 0
    startedAt = Date(timeIntervalSince1970: Double(milliseconds) / 1000)
    let line = try CommandLine(fields, "command")
    var command = line.command
    if try fields.bool("tty") ?? false { command.terminal = TerminalSize(rows: 24, columns: 80) }
    if try fields.bool("pipe_stdin") ?? false { command.input = .pipe }
    order = Order(line: line, command: command)
    order.headBytes = try fields.integer("head_bytes", in: 0...(1 << 30)) ?? 0
    order.timestamps = try fields.bool("timestamps") ?? false
    order.grace = try fields.integer("grace_ms", in: 0...(1 << 52)).map { .milliseconds($0) }
    order.losslessTime = try fields.integer("lossless_ms", in: 0...(1 << 52))
      .map { .milliseconds($0) }
    order.size = try fields.integer("size", in: 0...(1 << 40)) ?? 0
    order.isKeptAlive = try fields.bool("keep_alive") ?? false
    order.name = try fields.string("name")
    order.idempotencyKey = try fields.string("idempotency_key")
    order.fingerprint = try fields.string("fingerprint").flatMap { SHA256Digest(hexadecimal: $0) }
  }
}

extension CommandLine {
  fileprivate var json: JSON {
    switch self {
    case .shell(let line): .string(line)
    case .words(let words): .array(words.map { .string($0) })
    }
  }
}
