import ArgumentParser
import Processes

/// A format of `capture` in which output is written.
enum OutputFormat: Sendable {
  /// The command's own bytes, to the streams to which the command wrote them.
  case plain
  /// The same, each line behind the time when its first byte came.
  case timestamped
  /// One JSON object a line: a chunk, and at the end a summary.
  case json
}

/// Writes answers in the formats of `capture`.
///
/// After a write has failed it writes nothing more.
struct OutputWriter {
  private let format: OutputFormat
  private var lines = TimestampedLines()
  /// When the session began, in milliseconds since 1970; nil if it does not keep when chunks came.
  private var startMs: Int?
  private var writtenChunks = 0
  private var missedChunks = 0
  /// nil if a part of it is not known, because the first position was a seq alone.
  private var missedBytes: Int? = 0
  private(set) var isStopped = false
  /// Whether a write has failed for another reason than that no process reads the output.
  private(set) var hasFailed = false

  private var isJSON: Bool { format == .json }
  /// Whether output was missed.
  var hasMissed: Bool { missedChunks > 0 || missedBytes != 0 }

  init(_ format: OutputFormat) { self.format = format }

  /// Writes the chunks of an answer, and what was missed.
  ///
  /// - Parameter isAll: Whether the answer has all that will be written: what was missed is lost.
  mutating func write(_ answer: OutputAnswer, isAll: Bool = false) {
    startMs = answer.startMs
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

  /// Writes the last lines of an answer: what lies before them was not asked for, and is not
  /// missed. In JSON, the chunk in which they begin is written whole.
  mutating func write(_ answer: OutputAnswer, lastLines count: Int) {
    startMs = answer.startMs
    write(answer.chunks[...], skipping: lineStart(count, in: answer.chunks.flatMap(\.data)))
  }

  private mutating func write(_ chunks: ArraySlice<OutputAnswer.Chunk>, skipping skipped: Int = 0) {
    attempt { writer throws(WriteError) in
      var skipped = skipped
      var written = 0
      var buffer: [UInt8] = []
      var target = Descriptor.stdout
      for chunk in chunks {
        let data = writer.isJSON ? [] : chunk.data
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
        switch writer.format {
        case .plain: buffer += data.dropFirst(skipped)
        case .timestamped:
          let time = chunk.seconds(since: writer.startMs) ?? 0
          writer.lines.append(data.dropFirst(skipped), of: chunk.stream, at: time, to: &buffer)
        case .json: buffer += chunk.json(since: writer.startMs).utf8
        }
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
    attempt { writer throws(WriteError) in
      for stream in writer.lines.unfinished {
        try (stream == "stdout" ? Descriptor.stdout : .stderr).write("\n")
      }
      writer.lines.endLines()
    }
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
    let total = answer.totalBytes
    attempt { writer throws(WriteError) in
      try Descriptor.stdout.write(
        """
        {"exit_code":\(text(answer.exitCode)),"alive":\(answer.sessionAlive),\
        "closed":\(answer.closed),"chunks":\(writer.writtenChunks),\
        "retained_bytes":\(text(total.map { $0 - answer.lostBytes })),\
        "lost_bytes":\(answer.lostBytes),"total_bytes":\(text(total)),\
        "missed_chunks":\(writer.missedChunks),"missed_bytes":\(text(writer.missedBytes)),\
        "signal":\(text(answer.signalNumber)),"timed_out":\(answer.timedOut),\
        \(seconds.map { "\"seconds\":\(fixed($0, 3))," } ?? "")\
        \(answer.losses)\
        \(answer.startMs.map { "\"start\":\(fixed(Double($0) / 1_000, 6))," } ?? "")\
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

  /// When the chunk came, in seconds since the session's start; nil if that is not known.
  fileprivate func seconds(since startMs: Int?) -> Double? {
    guard let timeMs, let startMs else { return nil }
    return Double(max(0, timeMs - startMs)) / 1_000
  }

  /// The chunk as a line of JSON.
  fileprivate func json(since startMs: Int?) -> String {
    let time = seconds(since: startMs).map { #","time":\#(fixed($0, 6))"# } ?? ""
    return #"{"seq":\#(seq),"stream":"\#(stream)","offset":\#(offset)\#(time),"#
      + #""data_b64":"\#(dataB64)"}"# + "\n"
  }
}

/// Returns the index at which the last lines begin: so many, of which the last need not have an
/// end.
func lineStart(_ lines: Int, in bytes: [UInt8]) -> Int {
  guard lines > 0 else { return bytes.count }
  var newlines = 0
  // The last newline ends a line, and has none behind it.
  for index in bytes.indices.dropLast().reversed() where bytes[index] == UInt8(ascii: "\n") {
    newlines += 1
    if newlines == lines { return index + 1 }
  }
  return 0
}
