#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Dispatch
import ProcessHost
import Synchronization

/// Forwards capture's own stdin to the command, as fast as the command reads it.
final class InputForwarder: Sendable {
  private let input: ProcessInput
  private let terminal: OwnTerminal
  /// Whether the command may read more.
  private let isWanted = Atomic(true)
  private let isSent = DispatchSemaphore(value: 0)

  private init(_ input: ProcessInput, _ terminal: OwnTerminal) {
    self.input = input
    self.terminal = terminal
  }

  /// Starts a thread that forwards until either side ends.
  static func start(to input: ProcessInput, from terminal: OwnTerminal) {
    let forwarder = InputForwarder(input, terminal)
    do throws(SystemError) {
      try startThread { forwarder.run() }
    } catch {
      complain("cannot start a thread to read stdin, which ends here for the command")
      input.close()
    }
  }

  private func run() {
    while let bytes = read() {
      Task.detached { [self] in
        // It is not an error if the command reads no more.
        if (try? await input.write(bytes)) == nil { isWanted.store(false, ordering: .relaxed) }
        isSent.signal()
      }
      isSent.wait()
      guard isWanted.load(ordering: .relaxed) else { break }
    }
    input.close()
  }

  /// Reads the next bytes. Returns nil at the end.
  private func read() -> [UInt8]? {
    var isEnd = false
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, count in
      while true {
        waitForForeground()
        let result = unsafe Self.read(into: UnsafeMutableRawBufferPointer(buffer))
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
        // This thread blocks SIGTTIN, which would stop capture; the read fails instead.
        if result < 0, errno == EIO, !isInForeground(0) { continue }
        if result < 0 {
          let reason = unsafe String(cString: strerror(errno))
          complain("cannot read stdin: \(reason); it ends here for the command")
        }
        isEnd = true
        return
      }
    }
    return isEnd ? nil : bytes
  }

  /// Waits while another program has the terminal. The command goes on in the background, and does
  /// not reach the end of its input.
  ///
  /// Polls, because a shell that brings a running job to the foreground sends it no signal.
  private func waitForForeground() {
    guard !isInForeground(0) else { return }
    while !isInForeground(0) { usleep(100_000) }
    terminal.enter()
  }

  private static func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    #if canImport(Darwin)
      unsafe Darwin.read(0, buffer.baseAddress, buffer.count)
    #elseif canImport(Glibc)
      unsafe Glibc.read(0, buffer.baseAddress, buffer.count)
    #elseif canImport(Musl)
      unsafe Musl.read(0, buffer.baseAddress, buffer.count)
    #endif
  }
}
