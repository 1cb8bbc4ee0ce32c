package import Processes

/// `capture --json`: one JSON object a line, for each chunk, and at the end a summary.
package struct JSONLines<Failure: Error> {
  /// Lines on their way out; a chunk may take several turns.
  private var buffer: [UInt8] = []
  private let write: ([UInt8]) throws(Failure) -> Void

  /// Makes an encoder.
  ///
  /// - Parameter write: Where lines go, some 64 KiB at a time; where one begins or ends says
  ///   nothing.
  package init(to write: @escaping ([UInt8]) throws(Failure) -> Void) {
    self.write = write
    buffer.reserveCapacity(jsonBufferSize + 256)
  }

  /// Writes a line for each chunk.
  package mutating func append(_ chunks: some Sequence<Chunk>) throws(Failure) {
    for chunk in chunks {
      append(
        #"{"seq":\#(chunk.seq),"stream":"\#(chunk.stream)","offset":\#(chunk.offset)"#)
      if let time = chunk.timestamp { append(#","time":\#(fixed(time / .seconds(1), 6))"#) }
      append(#","data_b64":""#)
      // Pieces of a multiple of 3 bytes, whose encodings can be joined.
      let pieceSize = jsonBufferSize / 4 * 3
      var rest = chunk.data[...]
      while !rest.isEmpty {
        let piece = rest.prefix(pieceSize)
        rest = rest.dropFirst(pieceSize)
        if buffer.count + piece.base64Count > jsonBufferSize { try flush() }
        appendBase64(of: piece)
      }
      append("\"}\n")
      if buffer.count >= jsonBufferSize { try flush() }
    }
    try flush()
  }

  /// Writes the last line.
  package mutating func append(_ totals: Totals) throws(Failure) {
    append(
      """
      {"exit_code":\(totals.exitCode.map(String.init) ?? "null"),"alive":\(totals.isAlive),\
      "closed":\(totals.isClosed),"chunks":\(totals.writtenChunks),\
      "retained_bytes":\(totals.retainedBytes),"lost_bytes":\(totals.lostBytes),\
      "total_bytes":\(totals.totalBytes),"missed_chunks":\(totals.missedChunks),\
      "missed_bytes":\(totals.missedBytes.map(String.init) ?? "null"),"signal":\(totals.signal.map(String.init) ?? "null"),\
      "timed_out":\(totals.isTimedOut),"seconds":\(fixed(totals.seconds, 3))\
      \(totals.start.map { ",\"start\":\(fixed($0 / .seconds(1), 6))" } ?? "")\
      \(totals.recording.map(fields) ?? "")}

      """)
    try flush()
  }

  /// What the last line says besides of a recording.
  private func fields(of recording: Totals.Recording) -> String {
    """
    ,"state":"\(recording.state)","damaged":\(recording.isDamaged),"cursor":"\(recording.cursor)"
    """
  }

  /// Writes the only line there is if the command could not be started.
  package mutating func append(error message: String) throws(Failure) {
    append(#"{"error":"\#(jsonEscaped(message))"}"# + "\n")
    try flush()
  }

  private mutating func appendBase64(of piece: ChunkBytes) {
    let start = buffer.count
    buffer.append(contentsOf: repeatElement(0, count: piece.base64Count))
    unsafe buffer.withUnsafeMutableBytes { buffer in
      _ = unsafe piece.encodeBase64(into: UnsafeMutableRawBufferPointer(rebasing: buffer[start...]))
    }
  }

  private mutating func append(_ text: String) { buffer.append(contentsOf: text.utf8) }

  private mutating func flush() throws(Failure) {
    defer { buffer.removeAll(keepingCapacity: true) }
    try write(buffer)
  }
}

private let jsonBufferSize = 64 * 1024

/// A text as JSON has it between quotation marks.
package func jsonEscaped(_ text: String) -> String {
  var bytes: [UInt8] = []
  bytes.appendJSONEscaped(text)
  return String(decoding: bytes, as: UTF8.self)
}

extension [UInt8] {
  /// Appends a text as JSON has it between quotation marks.
  mutating func appendJSONEscaped(_ text: String) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"):
        append(UInt8(ascii: "\\"))
        append(byte)
      case UInt8(ascii: "\n"): append(contentsOf: "\\n".utf8)
      case UInt8(ascii: "\r"): append(contentsOf: "\\r".utf8)
      case 0..<0x20:
        let digits = String(byte, radix: 16)
        append(contentsOf: "\\u00\(byte < 0x10 ? "0" : "")\(digits)".utf8)
      default:
        append(byte)
      }
    }
  }
}
