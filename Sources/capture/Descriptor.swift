#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Where capture writes: its own stdout or stderr.
enum Descriptor: Int32 {
  case stdout = 1
  case stderr = 2

  /// Writes all of it, however many calls and however much waiting that takes.
  ///
  /// - Throws: what makes going on pointless, such as `EPIPE`.
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

/// Why nothing more can be written.
struct WriteError: Error {
  let code: Int32

  /// Whether the reason is that no process reads it any more, which is no reason to complain.
  var isBrokenPipe: Bool { code == EPIPE }

  var message: String { unsafe String(cString: strerror(code)) }
}

/// Writes a line on stderr.
func complain(_ message: String) { try? Descriptor.stderr.write("capture: \(message)\n") }

/// Lets writes to a pipe without a reader fail instead of ending this program. Commands that it
/// starts are not affected.
func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

/// Opens those of descriptors 0, 1 and 2 that are closed, before anything else gets their numbers
/// and then what is written there. Writing to them still fails with `EBADF`.
func openStandardDescriptors() {
  for number in 0...2 as ClosedRange<Int32> where fcntl(number, F_GETFD) < 0 {
    _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
  }
}

/// Lets children be waited for, even if this program was started with `SIGCHLD` ignored.
func defaultChildSignal() { _ = signal(SIGCHLD, SIG_DFL) }
