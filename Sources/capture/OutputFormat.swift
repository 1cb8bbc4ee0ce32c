import CaptureFormat
import Processes

/// How output is written.
protocol OutputFormat {
  /// Writes chunks.
  mutating func write(_ chunks: Chunks) throws(StreamError)
  /// Says that output is missing before the next chunks.
  mutating func writeGap(_ gap: Gap) throws(StreamError)
  /// Writes what comes last.
  mutating func writeEnd(_ totals: Totals) throws(StreamError)
}

/// A write that failed, and to where.
struct StreamError: Error {
  let descriptor: Descriptor
  let error: WriteError
}

/// Output that capture came too late to write.
struct Gap {
  let chunks: Int
  let bytes: Int
  /// How many bytes follow, as the last there are; nil while more may come.
  let remaining: Int?
}

extension Descriptor {
  /// Writes, and says where if it fails.
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
