#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A destination of processctl's output: its own stdout or stderr.
enum Descriptor: Int32 {
  case stdout = 1
  case stderr = 2

  /// Writes all bytes, however many calls and however much waiting that takes.
  ///
  /// - Throws: An error after which further writes are pointless, such as `EPIPE`.
  func write(_ bytes: [UInt8]) throws(WriteError) { try writeAll(bytes, to: rawValue) }

  func write(_ text: String) throws(WriteError) { try write(Array(text.utf8)) }
}

/// Writes all bytes to a descriptor, however many calls and however much waiting that takes.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) throws(WriteError) {
  let span = unsafe bytes.span.bytes
  try unsafe span.withUnsafeBytes { bytes throws(WriteError) in
    var rest = unsafe bytes[...]
    while unsafe !rest.isEmpty {
      let piece = unsafe UnsafeRawBufferPointer(rebasing: rest)
      let count = unsafe systemWrite(descriptor, piece.baseAddress, piece.count)
      if count >= 0 {
        unsafe rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        // A program that shares the open file may have made it non-blocking.
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        _ = unsafe poll(&request, 1, -1)
      } else if errno != EINTR {
        throw WriteError(code: errno)
      }
    }
  }
}

/// The reason that nothing more can be written.
struct WriteError: Error {
  let code: Int32

  /// Whether the reason is that no process reads the output any more, which is not reported.
  var isBrokenPipe: Bool { code == EPIPE }

  var message: String { unsafe String(cString: strerror(code)) }
}

/// Writes a line to stderr.
func complain(_ message: String) {
  let end = OwnTerminal.isRaw(2) ? "\r\n" : "\n"
  try? Descriptor.stderr.write("processctl: \(message)\(end)")
}

/// Returns a text on one line, without characters that could control a terminal.
func printable(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    // Format characters can turn the direction of text.
    let isControl = [.control, .format].contains(scalar.properties.generalCategory)
    result.append(isControl ? scalar == "\n" ? "⏎" : "\u{fffd}" : scalar)
  }
  return String(result)
}

/// Opens each of the descriptors 0, 1 and 2 that is closed, so that no other file gets its number
/// and the output that is written to it. Writing to them still fails with `EBADF`.
func openStandardDescriptors() {
  for number in 0...2 as ClosedRange<Int32> where fcntl(number, F_GETFD) < 0 {
    _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
  }
}

/// Makes writes to a pipe without a reader fail instead of ending this program.
func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

private func systemWrite(
  _ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int
) -> Int {
  #if canImport(Darwin)
    unsafe Darwin.write(descriptor, bytes, count)
  #elseif canImport(Glibc)
    unsafe Glibc.write(descriptor, bytes, count)
  #elseif canImport(Musl)
    unsafe Musl.write(descriptor, bytes, count)
  #endif
}
