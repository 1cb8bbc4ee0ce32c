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

  /// Calls a closure with each piece, up to the end or until the closure returns false.
  ///
  /// Reads a piece when the one before it is done with. Reading blocks, on a thread of its own,
  /// and goes on behind this call if the task is cancelled.
  ///
  /// - Returns: Whether all was read.
  nonisolated(nonsending) static func forEachPiece(
    _ body: ([UInt8]) async throws -> Bool
  ) async throws -> Bool {
    let (pieces, reader) = AsyncStream<[UInt8]>.makeStream()
    let isWanted = DispatchSemaphore(value: 0)
    DispatchQueue(label: "stdin").async {
      while let piece = read() {
        reader.yield(piece)
        isWanted.wait()
      }
      reader.finish()
    }
    for await piece in pieces {
      guard try await body(piece) else { return false }
      isWanted.signal()
    }
    try Task.checkCancellation()
    return true
  }

  /// Reads the next bytes. Returns nil at the end.
  private static func read() -> [UInt8]? {
    while true {
      var result = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: pieceSize) { buffer, count in
        result = unsafe systemRead(UnsafeMutableRawBufferPointer(buffer))
        count = max(0, result)
      }
      if result > 0 { return bytes }
      guard result < 0, errno == EINTR || errno == EAGAIN else { return nil }
      var request = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
      if errno == EAGAIN { _ = unsafe poll(&request, 1, -1) }
    }
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
