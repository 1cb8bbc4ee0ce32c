import Processes

/// One JSON object a line: a chunk, and at the end a summary.
struct JSONFormat: OutputFormat {
  /// Lines on their way out; a chunk may take several turns.
  private var buffer: [UInt8] = []

  private static let bufferSize = 64 * 1024

  init() { buffer.reserveCapacity(Self.bufferSize + 256) }

  mutating func write(_ chunks: Chunks) throws(StreamError) {
    for chunk in chunks {
      append(
        #"{"seq":\#(chunk.seq),"stream":"\#(chunk.stream)","offset":\#(chunk.offset),"data_b64":""#)
      // Pieces of a multiple of 3 bytes, whose encodings can be joined.
      let pieceSize = Self.bufferSize / 4 * 3
      var rest = chunk.data[...]
      while !rest.isEmpty {
        let piece = rest.prefix(pieceSize)
        rest = rest.dropFirst(pieceSize)
        if buffer.count + (piece.count + 2) / 3 * 4 > Self.bufferSize { try flush() }
        let bytes = piece.bytes
        unsafe bytes.withUnsafeBytes { unsafe Base64.append($0, to: &buffer) }
      }
      append("\"}\n")
      if buffer.count >= Self.bufferSize { try flush() }
    }
    try flush()
  }

  /// Seqs and offsets jump, and the summary counts.
  mutating func writeGap(_ gap: Gap) {}

  mutating func writeEnd(_ totals: Totals) throws(StreamError) {
    append(
      """
      {"exit_code":\(totals.exitCode.map(String.init) ?? "null"),"alive":\(totals.isAlive),\
      "closed":\(totals.isClosed),"chunks":\(totals.writtenChunks),\
      "retained_bytes":\(totals.retainedBytes),"lost_bytes":\(totals.lostBytes),\
      "total_bytes":\(totals.totalBytes),"missed_chunks":\(totals.missedChunks),\
      "missed_bytes":\(totals.missedBytes)}

      """)
    try flush()
  }

  private mutating func append(_ text: String) { buffer.append(contentsOf: text.utf8) }

  private mutating func flush() throws(StreamError) {
    defer { buffer.removeAll(keepingCapacity: true) }
    let span = unsafe buffer.span.bytes
    try unsafe span.withUnsafeBytes { bytes throws(StreamError) in
      try unsafe Descriptor.stdout.put(bytes)
    }
  }
}
