import CaptureFormat
import Foundation
import Processes

/// Writes chunks as `capture --json` does, and reads them with somebody else's parser.
package enum JSONInterpreter {
  package static func run(_ appends: [Operation], exitCode: Int32?) -> Difference? {
    let session = Session(id: "json", workspaceID: "tests")
    for operation in appends {
      guard case .append(let length, let isError) = operation else { continue }
      let offset = session.totalBytes
      let bytes = Stamp.bytes(
        length.resolved(in: .session(capacity: session.capacity), at: offset), at: offset)
      session.append(bytes, to: isError ? .stderr : .stdout)
    }
    if let exitCode { session.setExit(exitCode, closing: false) }
    let output = session.output()
    let totals = Totals(
      exitCode: output.exitCode, isAlive: output.isAlive, isClosed: output.isClosed,
      writtenChunks: output.chunks.count, lostBytes: output.lostBytes,
      totalBytes: session.totalBytes, missedChunks: output.missedChunks,
      missedBytes: output.missedBytes ?? -1)
    let sink = Sink()
    var lines = JSONLines { bytes throws(Never) in sink.bytes += bytes }
    lines.append(output.chunks)
    lines.append(totals)
    guard let details = difference(sink.bytes, output.chunks, totals) else { return nil }
    return Difference(step: max(0, appends.count - 1), operation: "JSON", details: details)
  }

  private final class Sink { var bytes: [UInt8] = [] }

  private static func difference(
    _ text: [UInt8], _ chunks: Chunks, _ totals: Totals
  ) -> String? {
    guard text.last == UInt8(ascii: "\n") else { return "no newline at the end" }
    let lines = text.dropLast().split(
      separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    guard lines.count == chunks.count + 1 else {
      return "\(lines.count) lines for \(chunks.count) chunks"
    }
    for (line, chunk) in zip(lines, chunks) {
      let expected = ChunkLine(
        seq: chunk.seq, stream: chunk.stream.rawValue, offset: chunk.offset,
        data_b64: Data(chunk.data))
      guard let found = decode(ChunkLine.self, line) else { return "line of chunk \(chunk.seq)" }
      if found != expected { return "chunk \(chunk.seq) is \(found)" }
    }
    let expected = LastLine(
      exit_code: totals.exitCode, alive: totals.isAlive, closed: totals.isClosed,
      chunks: totals.writtenChunks, retained_bytes: totals.totalBytes - totals.lostBytes,
      lost_bytes: totals.lostBytes, total_bytes: totals.totalBytes,
      missed_chunks: totals.missedChunks, missed_bytes: totals.missedBytes ?? -1)
    guard let last = decode(LastLine.self, lines[lines.count - 1]) else { return "the last line" }
    return last == expected ? nil : "\(last), not \(expected)"
  }

  // What `capture --help` says, in the words of the JSON.

  private struct ChunkLine: Decodable, Equatable {
    var seq: Int
    var stream: String
    var offset: Int
    var data_b64: Data
  }

  private struct LastLine: Decodable, Equatable {
    var exit_code: Int32?
    var alive: Bool
    var closed: Bool
    var chunks: Int
    var retained_bytes: Int
    var lost_bytes: Int
    var total_bytes: Int
    var missed_chunks: Int
    var missed_bytes: Int
  }

  private static func decode<Line: Decodable>(
    _ type: Line.Type, _ text: ArraySlice<UInt8>
  ) -> Line? {
    try? JSONDecoder().decode(type, from: Data(text))
  }
}
