import NIOCore
import NIOHTTP1
import Processes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// An answer that a daemon does not give with any values.
protocol PlausibleAnswer {
  var isPlausible: Bool { get }
}

/// What the daemon answers about a session's output.
struct OutputAnswer: Decodable, PlausibleAnswer {
  struct Chunk: Decodable {
    let stream: String
    let dataB64: String
    let seq: Int
    let offset: Int
    let timeMs: Int?

    var data: [UInt8] { [UInt8](Data(base64Encoded: dataB64) ?? Data()) }
  }

  /// How a wait for a text ended.
  struct Search: Decodable {
    let outcome: String
    let offset: Int?
    let endOffset: Int?
    let missedBytes: Int?
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
  /// True if the session's daemon, of a fleet, is lost, and the command with it.
  let hostLost: Bool?
  /// True if the program that kept the command for its daemon was killed, and the command with it.
  let holderLost: Bool?
  let waitFor: Search?
  /// When the session began, in milliseconds since 1970; nil if it does not keep when chunks came.
  let startMs: Int?

  var isPlausible: Bool {
    let counts = 0...(1 << 50)
    return chunks.allSatisfy { chunk in
      ["stdout", "stderr"].contains(chunk.stream) && counts ~= chunk.seq && counts ~= chunk.offset
        && counts ~= chunk.timeMs ?? 0
        && chunk.dataB64.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x22 && $0 != 0x5c }
    } && 0...chunks.count ~= gapIndex ?? 0 && 0...255 ~= exitCode ?? 0
      && counts ~= lostBytes && counts ~= missedChunks && counts ~= missedBytes ?? 0
      && counts ~= startMs ?? 0 && isCursor(cursor) && waitFor?.isPlausible ?? true
  }

  /// Whether the command has ended, and all of its output is here.
  var isLast: Bool { closed && !hasMore && !sessionAlive }

  /// The number of the signal that ended the command.
  var signalNumber: Int32? { signal.flatMap { _ in exitCode.map { $0 - 128 } } }

  /// Whether the command is gone, and it is not known how it ended.
  var isLost: Bool { hostLost == true || holderLost == true }

  /// What was lost, as members of the summary in JSON.
  var losses: String {
    (hostLost == true ? "\"host_lost\":true," : "")
      + (holderLost == true ? "\"holder_lost\":true," : "")
  }

  /// The status with which a program ends that ran the command.
  var status: Int32 {
    if isLost { return ExitStatus.unavailable.rawValue }
    if timedOut { return signal == "SIGKILL" ? 137 : 124 }
    return exitCode ?? ExitStatus.refused.rawValue
  }
}

extension OutputAnswer.Search: PlausibleAnswer {
  var isPlausible: Bool {
    ["matched", "exited", "closed", "timed_out"].contains(outcome) && isCursor(cursor)
  }
}

/// Whether a text may be a cursor, and has no character that JSON or a terminal would mind.
private func isCursor(_ text: String) -> Bool {
  text.utf8.allSatisfy { $0 == 0x2e || 0x30...0x39 ~= $0 }
}

extension OutputAnswer {
  /// The number of bytes of the whole output; nil if the daemon does not tell.
  var totalBytes: Int? { Cursor(cursor)?.offset }

  /// What is said of a session that is lost.
  var lossMessage: String {
    let keeper = holderLost == true ? "holder was killed" : "daemon is lost"
    return "the session's \(keeper), and the command with it: how it ended is not known"
  }

  /// A summary for people, of a session whose output was read to its end.
  func statistics(seconds: Double) -> String {
    let (chunks, total) = (Cursor(cursor)?.seq ?? 0, totalBytes ?? 0)
    let rate = seconds > 0 ? Double(total) / seconds / 1_000_000 : 0
    return "\(chunks) chunks, \(total) bytes, \(total - lostBytes) retained,"
      + " \(lostBytes) lost, \(fixed(seconds, 3)) s, \(fixed(rate, 1)) MB/s"
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
