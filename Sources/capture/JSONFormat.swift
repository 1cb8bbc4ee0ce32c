import CaptureFormat
import Processes

/// One JSON object a line: a chunk, and at the end a summary.
struct JSONFormat: OutputFormat {
  private var lines = JSONLines { bytes throws(StreamError) in try Descriptor.stdout.put(bytes) }

  mutating func write(_ chunks: Slice<Chunks>, skipping skippedBytes: Int) throws(StreamError) {
    try lines.append(chunks)
  }

  /// Seqs and offsets jump, and the summary counts.
  mutating func writeGap(_ gap: Gap) {}

  mutating func writeEnd(_ totals: Totals) throws(StreamError) { try lines.append(totals) }
}
