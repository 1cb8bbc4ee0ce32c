import CaptureFormat
import Processes

/// A format in which output is written.
protocol OutputFormat {
  /// Writes chunks of one read, of the first of them without its first bytes where the format has
  /// no whole chunks.
  mutating func write(_ chunks: Slice<Chunks>, skipping skippedBytes: Int) throws(StreamError)
  /// Writes that output is missing before the next chunks.
  mutating func writeGap(_ gap: Gap) throws(StreamError)
  /// Writes the end of the output.
  mutating func writeEnd(_ totals: Totals) throws(StreamError)
}

/// Returns the format that options ask for.
func outputFormat(json: Bool, _ timestamps: Bool) -> any OutputFormat {
  if json { return JSONFormat() }
  if timestamps { return TimestampedFormat() }
  return PlainFormat()
}

/// A failed write, and its destination.
struct StreamError: Error {
  let descriptor: Descriptor
  let error: WriteError
}

/// Output that was overwritten before capture could write it.
struct Gap {
  let chunks: Int
  /// nil if the number is not known.
  let bytes: Int?
  /// The number of bytes that follow, which are the last ones; nil while more may arrive.
  let remaining: Int?
}

extension Descriptor {
  /// Writes bytes. Throws an error with the destination if that fails.
  func put(_ bytes: UnsafeRawBufferPointer) throws(StreamError) {
    do throws(WriteError) { try unsafe write(bytes) } catch {
      throw StreamError(descriptor: self, error: error)
    }
  }

  func put(_ bytes: [UInt8]) throws(StreamError) {
    let span = unsafe bytes.span.bytes
    try unsafe span.withUnsafeBytes { bytes throws(StreamError) in try unsafe put(bytes) }
  }

  func put(_ text: String) throws(StreamError) {
    do throws(WriteError) { try write(text) } catch {
      throw StreamError(descriptor: self, error: error)
    }
  }
}
