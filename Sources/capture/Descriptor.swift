#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A destination of capture's output: its own stdout or stderr.
enum Descriptor: Int32 {
  case stdout = 1
  case stderr = 2

  /// Writes all bytes, however many calls and however much waiting that takes.
  ///
  /// - Throws: An error after which further writes are pointless, such as `EPIPE`.
  func write(_ bytes: UnsafeRawBufferPointer) throws(WriteError) {
    try unsafe writeAll(bytes, to: rawValue)
  }

  func write(_ text: String) throws(WriteError) {
    let bytes = Array(text.utf8)
    let span = unsafe bytes.span.bytes
    try unsafe span.withUnsafeBytes { (bytes) throws(WriteError) in try unsafe write(bytes) }
  }
}

/// Writes all bytes to a descriptor, however many calls and however much waiting that takes.
func writeAll(_ bytes: UnsafeRawBufferPointer, to descriptor: Int32) throws(WriteError) {
  var rest = unsafe bytes[...]
  while unsafe !rest.isEmpty {
    let piece = unsafe UnsafeRawBufferPointer(rebasing: rest)
    let count = unsafe write(descriptor, piece.baseAddress, piece.count)
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

/// The reason that nothing more can be written.
struct WriteError: Error {
  let code: Int32

  /// Whether the reason is that no process reads the output any more, which capture does not report
  /// as an error.
  var isBrokenPipe: Bool { code == EPIPE }

  var message: String { unsafe String(cString: strerror(code)) }
}

/// Writes a line to stderr.
func complain(_ message: String) { try? Descriptor.stderr.write("capture: \(message)\n") }

/// Makes writes to a pipe without a reader fail instead of ending this program. Does not affect
/// commands that this program starts.
func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

/// Opens each of the descriptors 0, 1 and 2 that is closed, so that no other file gets its number
/// and the output that is written to it. Writing to them still fails with `EBADF`.
func openStandardDescriptors() {
  for number in 0...2 as ClosedRange<Int32> where fcntl(number, F_GETFD) < 0 {
    _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
  }
}

/// Makes it possible to wait for children even if this program was started with `SIGCHLD` ignored.
func defaultChildSignal() { _ = signal(SIGCHLD, SIG_DFL) }
