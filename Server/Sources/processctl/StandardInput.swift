#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Dispatch

/// processctl's own stdin, piece by piece.
enum StandardInput {
  /// The daemon takes so much at a time, and more while the command reads.
  private static let pieceSize = 64 << 10

  /// The reason that no more can be read.
  struct ReadError: Error {
    let message: String
  }

  /// Calls a closure with each piece, up to the end or until the closure returns false.
  ///
  /// Reads a piece when the one before it is done with. Reading blocks, on a thread of its own,
  /// and goes on behind this call if the task is cancelled.
  ///
  /// - Returns: Whether all was read.
  /// - Throws: ``ReadError``, behind the last piece; what the closure throws.
  nonisolated(nonsending) static func forEachPiece(
    _ body: ([UInt8]) async throws -> Bool
  ) async throws -> Bool {
    let (pieces, reader) = AsyncThrowingStream<[UInt8], any Error>.makeStream()
    let isWanted = DispatchSemaphore(value: 0)
    DispatchQueue(label: "stdin").async {
      do {
        while let piece = try read() {
          reader.yield(piece)
          isWanted.wait()
        }
        reader.finish()
      } catch {
        reader.finish(throwing: error)
      }
    }
    for try await piece in pieces {
      guard try await body(piece) else { return false }
      isWanted.signal()
    }
    try Task.checkCancellation()
    return true
  }

  /// Reads the next bytes. Returns nil at the end.
  private static func read() throws(ReadError) -> [UInt8]? {
    while true {
      var result = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: pieceSize) { buffer, count in
        result = unsafe systemRead(UnsafeMutableRawBufferPointer(buffer))
        count = max(0, result)
      }
      if result > 0 { return bytes }
      if result == 0 { return nil }
      switch errno {
      case EINTR: break
      case EAGAIN:
        var request = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&request, 1, -1)
      // This thread blocks SIGTTIN, which would stop processctl. A shell that brings a running job
      // to the foreground sends it no signal.
      case EIO where isOthers: usleep(100_000)
      default: throw ReadError(message: unsafe String(cString: strerror(errno)))
      }
    }
  }

  /// Whether stdin is the terminal of another job, in the foreground.
  private static var isOthers: Bool {
    let group = tcgetpgrp(0)
    return group >= 0 && group != getpgrp()
  }

  private static func systemRead(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    #if canImport(Darwin)
      unsafe Darwin.read(0, buffer.baseAddress, buffer.count)
    #elseif canImport(Glibc)
      unsafe Glibc.read(0, buffer.baseAddress, buffer.count)
    #elseif canImport(Musl)
      unsafe Musl.read(0, buffer.baseAddress, buffer.count)
    #endif
  }
}
