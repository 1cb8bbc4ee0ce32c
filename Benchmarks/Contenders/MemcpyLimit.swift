#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// The hardware's limit: `memcpy` of each payload round a buffer of the cap's size, in two pieces
/// at the wrap; nothing else.
@safe
package final class MemcpyLimit {
  private let buffer: UnsafeMutableRawPointer
  private let size: Int
  private var position = 0

  package init(size: Int) {
    self.size = size
    unsafe buffer = .allocate(byteCount: size, alignment: 4_096)
    unsafe memset(buffer, 0, size)
  }

  deinit { unsafe buffer.deallocate() }

  @inline(__always)
  package func append(_ bytes: UnsafeRawBufferPointer) {
    let count = bytes.count
    let source = bytes.baseAddress!
    if position + count <= size {
      unsafe memcpy(buffer + position, source, count)
      position += count
      if position == size { position = 0 }
    } else {
      let first = size - position
      unsafe memcpy(buffer + position, source, first)
      unsafe memcpy(buffer, source + first, count - first)
      position = count - first
    }
  }

  /// All bytes retained, in order, once the buffer has been filled.
  package var retained: [UInt8] {
    unsafe [UInt8](UnsafeRawBufferPointer(start: buffer + position, count: size - position))
      + [UInt8](UnsafeRawBufferPointer(start: buffer, count: position))
  }
}
