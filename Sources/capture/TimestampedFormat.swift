import CaptureFormat
import Processes

/// Writes each line of the command's output behind the time at which its first byte came: seconds
/// since the start, as in `[    3.128] `.
///
/// The lines go to the streams to which the command wrote them. What follows a gap begins a line of
/// its own.
struct TimestampedFormat: OutputFormat {
  private var plain = PlainFormat()
  /// The streams of which the last line has no end yet.
  private var unfinished: Set<StandardStream> = []

  mutating func write(_ chunks: Slice<Chunks>, skipping skippedBytes: Int) throws(StreamError) {
    var lines: [UInt8] = []
    var stream = StandardStream.stdout
    var skipped = skippedBytes
    for chunk in chunks {
      if chunk.stream != stream {
        try flush(&lines, to: stream)
        stream = chunk.stream
      }
      append(chunk.data.dropFirst(skipped), of: chunk, to: &lines)
      skipped = 0
      if lines.count >= Self.writeSize { try flush(&lines, to: stream) }
    }
    try flush(&lines, to: stream)
  }

  /// Lines are written so many bytes at a time, or one chunk that is larger.
  private static let writeSize = 65_536

  private mutating func append(_ data: ChunkBytes, of chunk: Chunk, to lines: inout [UInt8]) {
    let newline = UInt8(ascii: "\n")
    for line in data.split(separator: newline, omittingEmptySubsequences: false) {
      let isLast = line.endIndex == data.endIndex
      // Behind the last newline nothing has begun.
      if isLast, line.isEmpty { break }
      if !unfinished.contains(chunk.stream) {
        lines += Self.prefix(chunk.timestamp ?? .zero).utf8
      }
      lines += line
      if isLast {
        unfinished.insert(chunk.stream)
      } else {
        lines.append(newline)
        unfinished.remove(chunk.stream)
      }
    }
  }

  private static func prefix(_ time: Duration) -> String {
    let text = fixed(time.seconds, 3)
    return "[\(String(repeating: " ", count: max(0, 9 - text.utf8.count)))\(text)] "
  }

  private func flush(_ lines: inout [UInt8], to stream: StandardStream) throws(StreamError) {
    guard !lines.isEmpty else { return }
    try (stream == .stdout ? Descriptor.stdout : .stderr).put(lines)
    lines.removeAll(keepingCapacity: true)
  }

  mutating func writeGap(_ gap: Gap) throws(StreamError) {
    for stream in unfinished {
      try (stream == .stdout ? Descriptor.stdout : .stderr).put("\n")
    }
    unfinished = []
    try plain.writeGap(gap)
  }

  mutating func writeEnd(_ totals: Totals) {}
}
