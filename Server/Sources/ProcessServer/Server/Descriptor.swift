#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// An open file, read and written by calls that block.
package struct Descriptor: Sendable {
  package let number: Int32

  package init(_ number: Int32) { self.number = number }

  /// Reads the next bytes; none at the end.
  ///
  /// - Throws: ``SystemError``.
  package func read(upTo limit: Int) throws(SystemError) -> [UInt8] {
    var code: Int32 = 0
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: limit) { bytes, count in
      var result = -1
      repeat {
        #if canImport(Darwin)
          result = unsafe Darwin.read(number, bytes.baseAddress, bytes.count)
        #elseif canImport(Glibc)
          result = unsafe Glibc.read(number, bytes.baseAddress, bytes.count)
        #elseif canImport(Musl)
          result = unsafe Musl.read(number, bytes.baseAddress, bytes.count)
        #endif
      } while result < 0 && isPassing(errno, POLLIN)
      if result < 0 { code = errno }
      count = max(result, 0)
    }
    if code != 0 { throw SystemError(code: code) }
    return bytes
  }

  /// Writes all bytes, however many calls and however much waiting that takes.
  ///
  /// - Throws: ``SystemError`` after which further writes are pointless, such as `EPIPE`.
  package func write(_ bytes: [UInt8]) throws(SystemError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { bytes in
        #if canImport(Darwin)
          unsafe Darwin.write(number, bytes.baseAddress, bytes.count)
        #elseif canImport(Glibc)
          unsafe Glibc.write(number, bytes.baseAddress, bytes.count)
        #elseif canImport(Musl)
          unsafe Musl.write(number, bytes.baseAddress, bytes.count)
        #endif
      }
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if !isPassing(errno, POLLOUT) {
        throw SystemError(code: errno)
      }
    }
  }

  /// Whether a call that failed may succeed now.
  private func isPassing(_ code: Int32, _ event: some BinaryInteger) -> Bool {
    guard code == EAGAIN else { return code == EINTR }
    // Another program that shares the open file has made it non-blocking.
    var request = pollfd(fd: number, events: Int16(event), revents: 0)
    // The number may come to stand for another open file meanwhile.
    _ = unsafe poll(&request, 1, 1_000)
    return true
  }
}

/// An error that the system reported.
package struct SystemError: Error, CustomStringConvertible {
  package let code: Int32

  package var description: String { unsafe String(cString: strerror(code)) }
}
