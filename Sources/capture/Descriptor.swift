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
    var rest = unsafe bytes[...]
    while unsafe !rest.isEmpty {
      let piece = unsafe UnsafeRawBufferPointer(rebasing: rest)
      let count = unsafe writeBytes(piece)
      if count >= 0 {
        unsafe rest = rest.dropFirst(count)
      } else if errno == EAGAIN {
        waitUntilWritable()
      } else if errno != EINTR {
        throw WriteError(code: errno)
      }
    }
  }

  private func writeBytes(_ bytes: UnsafeRawBufferPointer) -> Int {
    #if canImport(Darwin)
      unsafe Darwin.write(rawValue, bytes.baseAddress, bytes.count)
    #elseif canImport(Glibc)
      unsafe Glibc.write(rawValue, bytes.baseAddress, bytes.count)
    #elseif canImport(Musl)
      unsafe Musl.write(rawValue, bytes.baseAddress, bytes.count)
    #endif
  }

  /// Someone who shares it may have made it non-blocking.
  private func waitUntilWritable() {
    var request = pollfd(fd: rawValue, events: Int16(POLLOUT), revents: 0)
    _ = unsafe poll(&request, 1, -1)
  }

  func write(_ text: String) throws(WriteError) {
    let bytes = Array(text.utf8)
    let span = unsafe bytes.span.bytes
    try unsafe span.withUnsafeBytes { (bytes) throws(WriteError) in try unsafe write(bytes) }
  }
}

/// Why nothing more can be written.
struct WriteError: Error {
  let code: Int32

  /// Whether that is because nobody reads it any more, which is no reason to complain.
  var isBrokenPipe: Bool { code == EPIPE }

  var message: String { unsafe String(cString: strerror(code)) }
}

/// Says something on stderr, in a line.
func complain(_ message: String) { try? Descriptor.stderr.write("capture: \(message)\n") }

/// Lets writes to a pipe that nobody reads fail instead of ending this program. Commands that it
/// starts are not affected.
func ignoreBrokenPipes() { _ = signal(SIGPIPE, SIG_IGN) }

/// Opens those of descriptors 0, 1 and 2 that are closed, before anything else gets their numbers and
/// then what is written there. Writing to them still fails with `EBADF`.
func openStandardDescriptors() {
  for number in 0...2 as ClosedRange<Int32> where fcntl(number, F_GETFD) < 0 {
    _ = unsafe open("/dev/null", number == 0 ? O_WRONLY : O_RDONLY)
  }
}

/// Lets children be waited for, even if whoever started this program ignored `SIGCHLD`.
func defaultChildSignal() { _ = signal(SIGCHLD, SIG_DFL) }
