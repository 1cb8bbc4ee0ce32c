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

/// What there is to say at the end.
struct Totals {
  let exitCode: Int32?
  let isAlive: Bool
  let isClosed: Bool
  let writtenChunks: Int
  let lostBytes: Int
  let totalBytes: Int
  let missedChunks: Int
  let missedBytes: Int

  var retainedBytes: Int { totalBytes - lostBytes }
}

extension Descriptor {
  /// Writes, and says where if it fails.
  func put(_ bytes: UnsafeRawBufferPointer) throws(StreamError) {
    do throws(WriteError) { try unsafe write(bytes) } catch {
      throw StreamError(descriptor: self, error: error)
    }
  }

  func put(_ text: String) throws(StreamError) {
    do throws(WriteError) { try write(text) } catch {
      throw StreamError(descriptor: self, error: error)
    }
  }
}
