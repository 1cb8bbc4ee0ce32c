import ArgumentParser
import Processes

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes answers in the formats of `capture`.
///
/// After a write has failed it writes nothing more.
struct OutputWriter {
  /// Whether to write JSON instead of the command's own bytes.
  let isJSON: Bool
  private var writtenChunks = 0
  private var missedChunks = 0
  /// nil if a part of it is not known, because the first position was a seq alone.
  private var missedBytes: Int? = 0
  private(set) var isStopped = false
  /// Whether a write has failed for another reason than that no process reads the output.
  private(set) var hasFailed = false

  init(isJSON: Bool) { self.isJSON = isJSON }

  /// Writes the chunks of an answer, and what was missed.
  ///
  /// - Parameter isAll: Whether the answer has all that will be written: what was missed is lost.
  mutating func write(_ answer: OutputAnswer, isAll: Bool = false) {
    missedChunks += answer.missedChunks
    missedBytes = missedBytes.flatMap { sum in answer.missedBytes.map { sum + $0 } }
    let gap = answer.gapIndex ?? 0
    write(answer.chunks[..<gap])
    if answer.gapIndex != nil { writeGap(of: answer, isAll: isAll) }
    write(answer.chunks[gap...])
    if answer.foreignCursor {
      complain("--since is a position in another session: all that is retained was written")
    }
    if answer.cursorAhead { complain("--since is behind the last chunk") }
  }

  /// Writes the end of an answer: what lies before it was not asked for, and is not missed.
  ///
  /// - Parameter skipped: The bytes before it. In JSON, a chunk that has bytes behind them is
  ///   written whole.
  mutating func write(_ answer: OutputAnswer, skipping skipped: Int) {
    write(answer.chunks[...], skipping: skipped)
  }

  private mutating func write(_ chunks: ArraySlice<OutputAnswer.Chunk>, skipping skipped: Int = 0) {
    attempt { writer throws(WriteError) in
      var skipped = skipped
      var written = 0
      var buffer: [UInt8] = []
      var target = Descriptor.stdout
      for chunk in chunks {
        let data = writer.isJSON ? [] : [UInt8](Data(base64Encoded: chunk.dataB64) ?? Data())
        let size = writer.isJSON ? chunk.size : data.count
        if skipped >= size, size > 0 {
          skipped -= size
          continue
        }
        let descriptor: Descriptor = writer.isJSON || chunk.stream == "stdout" ? .stdout : .stderr
        if descriptor != target || buffer.count >= Self.bufferSize {
          try target.write(buffer)
          buffer.removeAll(keepingCapacity: true)
          target = descriptor
        }
        buffer += writer.isJSON ? Array(chunk.json.utf8) : Array(data.dropFirst(skipped))
        skipped = 0
        written += 1
      }
      try target.write(buffer)
      writer.writtenChunks += written
    }
  }

  private static let bufferSize = 64 << 10

  /// Writes how much is missing. In JSON, seqs and offsets jump, and the summary counts.
  private mutating func writeGap(of answer: OutputAnswer, isAll: Bool) {
    guard !isJSON else { return }
    let bytes = answer.missedBytes.map { "\($0) bytes" } ?? "an unknown number of bytes"
    let what = "\(bytes) (\(answer.missedChunks) chunks)"
    if isAll {
      let rest = answer.chunks[(answer.gapIndex ?? 0)...].reduce(0) { $0 + $1.size }
      complain("\(what) lost; the last \(rest) follow")
    } else {
      complain("\(what) missed here: they came faster than they were read")
    }
  }

  /// Writes the summary, if the format has one.
  ///
  /// - Parameters:
  ///   - session: The session's id.
  ///   - seconds: How long the command ran; nil if that is not known.
  mutating func finish(_ answer: OutputAnswer, of session: String, seconds: Double? = nil) {
    guard isJSON else { return }
    func text(_ number: (some CustomStringConvertible)?) -> String {
      number.map(\.description) ?? "null"
    }
    let total = Cursor(answer.cursor)?.offset
    attempt { writer throws(WriteError) in
      try Descriptor.stdout.write(
        """
        {"exit_code":\(text(answer.exitCode)),"alive":\(answer.sessionAlive),\
        "closed":\(answer.closed),"chunks":\(writer.writtenChunks),\
        "retained_bytes":\(text(total.map { $0 - answer.lostBytes })),\
        "lost_bytes":\(answer.lostBytes),"total_bytes":\(text(total)),\
        "missed_chunks":\(writer.missedChunks),"missed_bytes":\(text(writer.missedBytes)),\
        "signal":\(text(answer.signalNumber)),"timed_out":\(answer.timedOut),\
        \(seconds.map { "\"seconds\":\(milliseconds($0))," } ?? "")\
        "session_id":"\(session)","cursor":"\(answer.cursor)"}

        """)
    }
  }

  /// Writes bytes of another format.
  mutating func write(_ bytes: [UInt8]) {
    attempt { _ throws(WriteError) in try Descriptor.stdout.write(bytes) }
  }

  /// Throws if the output could not be written.
  func check() throws {
    if hasFailed { throw ExitCode(ExitStatus.output.rawValue) }
  }

  private mutating func attempt(_ body: (inout OutputWriter) throws(WriteError) -> Void) {
    guard !isStopped else { return }
    do throws(WriteError) {
      try body(&self)
    } catch {
      isStopped = true
      guard !error.isBrokenPipe else { return }
      hasFailed = true
      complain("cannot write the output: \(error.message)")
    }
  }
}

extension OutputAnswer.Chunk {
  /// The number of bytes that the base64 stands for.
  var size: Int {
    dataB64.utf8.count / 4 * 3 - dataB64.utf8.suffix(2).count { $0 == UInt8(ascii: "=") }
  }

  /// The chunk as a line of JSON.
  fileprivate var json: String {
    #"{"seq":\#(seq),"stream":"\#(stream)","offset":\#(offset),"data_b64":"\#(dataB64)"}"# + "\n"
  }
}

/// Returns a number with three digits behind the point.
private func milliseconds(_ seconds: Double) -> String {
  let count = Int((seconds * 1_000).rounded())
  let fraction = String(count % 1_000)
  return "\(count / 1_000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
}
