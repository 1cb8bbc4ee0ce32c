#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import ProcessHost

/// Passes what comes on capture's own stdin on to the command, as fast as that reads it.
enum InputForwarder {
  /// Goes on in the background until either side ends.
  static func start(to input: ProcessInput) {
    Task.detached {
      // If the command does not want any more, nobody needs to be told.
      while let bytes = await next(), (try? await input.write(bytes)) != nil {}
      input.close()
    }
  }

  /// What comes next; nil at the end. Read on a thread of its own, because reading blocks.
  private static func next() async -> [UInt8]? {
    await withCheckedContinuation { continuation in
      do throws(SystemError) {
        try startThread { continuation.resume(returning: readBlocking()) }
      } catch {
        complain("cannot start a thread to read stdin: it ends here")
        continuation.resume(returning: nil)
      }
    }
  }

  private static func readBlocking() -> [UInt8]? {
    var isEnd = false
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
      while true {
        let result = unsafe read(0, buffer.baseAddress, buffer.count)
        if result > 0 {
          count = result
          return
        }
        if result < 0, errno == EINTR { continue }
        if result < 0, errno == EAGAIN {
          var request = pollfd(fd: 0, events: Int16(POLLIN), revents: 0)
          _ = unsafe poll(&request, 1, -1)
          continue
        }
        isEnd = true
        return
      }
    }
    return isEnd ? nil : bytes
  }
}

/// The size of the terminal that capture itself has, if it has one.
func ownTerminalSize() -> TerminalSize? {
  for descriptor in 0...2 as ClosedRange<Int32> {
    var window = winsize()
    if unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &window) == 0, window.ws_row > 0 {
      return TerminalSize(rows: window.ws_row, columns: window.ws_col)
    }
  }
  return nil
}
