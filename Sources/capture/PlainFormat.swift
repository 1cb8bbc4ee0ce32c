import CaptureFormat
import Processes

/// Writes the command's own bytes to the streams to which the command wrote them.
struct PlainFormat: OutputFormat {
  /// Adjacent chunks of one stream are adjacent in memory, and are written together.
  mutating func write(_ chunks: Slice<Chunks>, skipping skippedBytes: Int) throws(StreamError) {
    guard let first = chunks.first else { return }
    let payload = chunks.base.payload
    var end = chunks.base[..<chunks.startIndex].reduce(0) { $0 + $1.data.count }
    var run = end + min(skippedBytes, first.data.count)..<end + first.data.count
    end += first.data.count
    var stream = first.stream
    for chunk in chunks.dropFirst() {
      if chunk.stream != stream {
        try write(payload[run], to: stream)
        run = end..<end
        stream = chunk.stream
      }
      end += chunk.data.count
      run = run.lowerBound..<end
    }
    try write(payload[run], to: stream)
  }

  private func write(_ bytes: ChunkBytes, to stream: StandardStream) throws(StreamError) {
    let descriptor: Descriptor = stream == .stdout ? .stdout : .stderr
    try unsafe bytes.withUnsafeBytes { bytes throws(StreamError) in
      try unsafe descriptor.put(bytes)
    }
  }

  mutating func writeGap(_ gap: Gap) throws(StreamError) {
    let bytes = gap.bytes.map { "\($0) bytes" } ?? "an unknown number of bytes"
    let what = "capture: \(bytes) (\(gap.chunks) chunks)"
    if let remaining = gap.remaining {
      try Descriptor.stderr.put("\(what) lost; the last \(remaining) follow\n")
    } else {
      try Descriptor.stderr.put("\(what) missed here: they came faster than they were read\n")
    }
  }

  mutating func writeEnd(_ totals: Totals) {}
}
