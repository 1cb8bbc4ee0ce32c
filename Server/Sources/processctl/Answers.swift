import NIOCore
import NIOHTTP1

/// What the daemon answers about a session's output.
struct OutputAnswer: Decodable {
  struct Chunk: Decodable {
    let stream: String
    let dataB64: String
    let seq: Int
    let offset: Int
  }

  /// How a wait for a text ended.
  struct Search: Decodable {
    let outcome: String
    let cursor: String
  }

  let chunks: [Chunk]
  let exitCode: Int32?
  let sessionAlive: Bool
  let closed: Bool
  let lostBytes: Int
  let missedChunks: Int
  let missedBytes: Int?
  let gapIndex: Int?
  let cursor: String
  let hasMore: Bool
  let signal: String?
  let timedOut: Bool
  let foreignCursor: Bool
  let cursorAhead: Bool
  let forgotten: Bool
  let waitFor: Search?

  /// Whether the command has ended, and all of its output is here.
  var isLast: Bool { closed && !hasMore && !sessionAlive }

  /// The number of the signal that ended the command.
  var signalNumber: Int32? { signal.flatMap { _ in exitCode.map { $0 - 128 } } }

  /// The status with which a program ends that ran the command.
  var status: Int32 {
    if timedOut { return signal == "SIGKILL" ? 137 : 124 }
    return exitCode ?? ExitStatus.refused.rawValue
  }
}

/// Retained output as text, without escape sequences.
struct PlainTextAnswer {
  let text: [UInt8]
  let missedBytes: Int
  let missedChunks: Int

  init(_ reply: (headers: HTTPHeaders, body: ByteBuffer)) {
    text = Array(reply.body.readableBytesView)
    func number(_ name: String) -> Int {
      reply.headers.first(name: "processd-" + name).flatMap { Int($0) } ?? 0
    }
    missedBytes = number("missed-bytes")
    missedChunks = number("missed-chunks")
  }
}
