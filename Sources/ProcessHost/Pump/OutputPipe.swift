#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Processes
import Synchronization

/// The reading end of a child's stdout or stderr.
final class OutputPipe: EventSource, @unchecked Sendable {
  /// What a pipe holds by default, and the most that one turn reads.
  static let turn = 65_536

  /// What a pipe holds once it has proved busy: the child need not wait for each turn. With both ends
  /// on one processor this halves the context switches, and saves 3 to 4 % of processor time.
  static let wide = 262_144

  private var end: OwnedDescriptor?
  private let descriptor: Int32
  private let stream: StandardStream
  private let session: Session
  private let lifecycle: Lifecycle
  private(set) var hasEnded = false
  /// Whether the session is closed, and what comes is only counted.
  private var isDropping = false
  /// Grows with whatever comes.
  private(set) var receivedBytes = 0
  /// How many turns in a row found as much as they can take.
  private var fullTurns = 0

  init(_ end: consuming OwnedDescriptor, _ stream: StandardStream, of lifecycle: Lifecycle) {
    descriptor = end.number
    self.end = consume end
    self.stream = stream
    self.lifecycle = lifecycle
    session = lifecycle.session
  }

  override func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    try unsafe poller.add(descriptor, token: token)
  }

  override func remove(from poller: borrowing Poller) { poller.remove(descriptor) }

  override func handleEvent() -> Next {
    fullTurns = read() < Self.turn ? 0 : fullTurns + 1
    // Once, and not at first: the pages that a user's pipes may have are few, and most need none.
    if fullTurns == 16 { widenPipe(descriptor, to: Self.wide) }
    return hasEnded ? .finish : .wait
  }

  /// Closes the descriptor; the pump must not be waiting for it.
  func close() { end = nil }

  override func didFinish() {
    close()
    lifecycle.pipeEnded()
  }

  /// Ends it although others may hold the other end; it has been withdrawn from the pump.
  func abandon() {
    hasEnded = true
    didFinish()
  }

  /// From now on nobody wants what comes; but who writes it shall neither wait nor get a SIGPIPE.
  func startDropping() { isDropping = true }

  /// Reads once; returns the number of bytes, 0 if there are none now.
  @discardableResult
  private func read() -> Int {
    let count =
      if isDropping {
        drop()
      } else {
        // Straight into the ring.
        unsafe session.append(reserving: Self.turn, to: stream) { first, second in
          unsafe read(into: first, second)
        }
      }
    receivedBytes += count
    return count
  }

  private func drop() -> Int {
    unsafe withUnsafeTemporaryAllocation(byteCount: Self.turn, alignment: 1) { nowhere in
      let count = unsafe read(into: nowhere, UnsafeMutableRawBufferPointer(start: nil, count: 0))
      lifecycle.droppedBytes.add(count, ordering: .relaxed)
      return count
    }
  }

  private func read(
    into first: UnsafeMutableRawBufferPointer, _ second: UnsafeMutableRawBufferPointer
  ) -> Int {
    let pieces = unsafe (
      iovec(iov_base: first.baseAddress, iov_len: first.count),
      iovec(iov_base: second.baseAddress, iov_len: second.count)
    )
    return unsafe withUnsafeBytes(of: pieces) { pieces in
      while true {
        let count = unsafe readv(
          descriptor, pieces.assumingMemoryBound(to: iovec.self).baseAddress, 2)
        if count > 0 { return count }
        if count < 0 && errno == EINTR { continue }
        // Anything but "nothing now" is the end; a terminal says EIO for it.
        if count == 0 || errno != EAGAIN { hasEnded = true }
        return 0
      }
    }
  }

  /// Reads what is in the pipe now, but no more than a pipe can hold, so that whoever else still
  /// writes to it cannot keep this from ending.
  func drain() {
    guard !hasEnded else { return }
    var remaining = pipeCapacity(descriptor)
    while remaining > 0 {
      let count = read()
      if count == 0 { return }
      remaining -= count
    }
  }
}
