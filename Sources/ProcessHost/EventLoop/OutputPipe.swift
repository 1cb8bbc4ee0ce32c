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
  /// The most that one `readv` takes, and one chunk of a session holds.
  static let readSize = 65_536

  /// A turn goes on while each read brings at least a page.
  static let littleLeft = 4_096

  /// How often a wide pipe is looked at, whether it needs to be.
  static let widthInterval: Duration = .seconds(1)

  private var end: OwnedDescriptor?
  private let descriptor: Int32
  private let stream: StandardStream
  private let lifecycle: Lifecycle
  private let eventLoop: EventLoop
  var registration: EventLoop.Registration?
  private(set) var hasEnded = false
  /// Whether the session is closed, and what comes is only counted.
  private(set) var isDropping = false
  /// Grows with whatever comes.
  private(set) var receivedBytes = 0
  private var width: PipeWidth?
  /// Nil where a event loop cannot rest, and for terminals, at which people look.
  var moderation: Moderation?

  init(
    _ end: consuming OwnedDescriptor, _ stream: StandardStream, of lifecycle: Lifecycle,
    on eventLoop: EventLoop
  ) {
    descriptor = end.number
    let width = PipeWidth(descriptor, eventLoop.pipeBudget)
    if eventLoop.canRest, width.capacity != nil { moderation = Moderation(at: .now) }
    self.width = consume width
    self.eventLoop = eventLoop
    self.end = consume end
    self.stream = stream
    self.lifecycle = lifecycle
  }

  func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    try unsafe poller.add(descriptor, token: token)
  }

  func remove(from poller: borrowing Poller) { poller.remove(descriptor) }

  /// Whether nothing is to be read for now. What has ended is read to its end.
  private var isHeldUp: Bool { !hasEnded && lifecycle.sink.gate?.isShut == true }

  func handleEvent() -> EventLoop.Next {
    if !hasEnded, let gate = lifecycle.sink.gate,
      gate.holdsUp(until: { [weak self] in self?.resume() })
    {
      return .hold
    }
    let (count, isEmptied) = takeTurn()
    if hasEnded { return .finish }
    return rests(after: count, isEmptied) ? .rest : .wait
  }

  /// Reads until little is left in the pipe or the turn's share is used up; returns the number of
  /// bytes, and whether little is left.
  ///
  /// A read that finds less than a page ends the turn: what comes meanwhile is better left to
  /// gather.
  private func takeTurn() -> (count: Int, isEmptied: Bool) {
    var total = read()
    if total < Self.littleLeft { return (total, true) }
    // Only a pipe that brings much needs to know how much it may bring.
    let share = eventLoop.share
    while total < share, !isHeldUp {
      let count = read()
      total += count
      if count < Self.littleLeft { return (total, true) }
    }
    return (total, false)
  }

  /// Lets the event loop ask this again, from any thread.
  private func resume() {
    eventLoop.execute {
      if let registration = self.registration { self.eventLoop.resume(registration) }
    }
  }

  private func rests(after count: Int, _ isEmptied: Bool) -> Bool {
    guard let capacity = width?.capacity else { return false }
    return moderation?.rests(after: count, of: capacity, isEmptied: isEmptied, at: .now) ?? false
  }

  /// Looks again and again whether the pipe needs to be wide, until it is not.
  private func watchWidth() {
    // A pipe that has ended shall not be held for this.
    eventLoop.schedule(after: Self.widthInterval) { [weak self] in
      guard let self else { return }
      width?.narrowIfUnneeded()
      if width?.isWide == true { watchWidth() }
    }
  }

  /// Closes the descriptor; the event loop must not be waiting for it.
  func close() {
    width = nil
    end = nil
  }

  func didFinish() {
    close()
    lifecycle.pipeEnded()
  }

  /// Ends it although others may hold the other end; it has been withdrawn from the event loop.
  func abandon() {
    hasEnded = true
    didFinish()
  }

  /// Discards further output but keeps reading, so that writers neither block nor get a SIGPIPE.
  func startDropping() { isDropping = true }

  /// Reads once; returns the number of bytes, 0 if there are none now.
  @discardableResult
  private func read() -> Int {
    let count =
      if isDropping {
        drop()
      } else {
        // Straight into the ring.
        unsafe lifecycle.sink.append(reserving: Self.readSize, to: stream, at: eventLoop.turnStart)
        {
          first, second in unsafe read(into: first, second)
        }
      }
    receivedBytes += count
    if count > 0, !isDropping { lifecycle.sink.gate?.received(count) }
    if width?.adapt(to: count) == true { watchWidth() }
    return count
  }

  private func drop() -> Int {
    unsafe withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 1) { nowhere in
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

  /// Reads what is in the pipe now, but no more than a pipe can hold, so that another process that
  /// still writes to it cannot keep this from ending.
  func drain() {
    guard !hasEnded else { return }
    // About what a terminal holds, if it is one.
    var remaining = pipeCapacity(descriptor) ?? Self.readSize
    while remaining > 0 {
      let count = read()
      if count == 0 { return }
      remaining -= count
    }
  }
}
