#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Processes
import Synchronization

/// The read end of a child's stdout or stderr.
final class OutputPipe: EventSource, @unchecked Sendable {
  /// The most bytes that one `readv` reads, and that one chunk of a session holds.
  static let readSize = 65_536

  /// A turn goes on while each read brings at least a page.
  static let littleLeft = 4_096

  /// The interval at which to check whether a wide pipe still needs to be wide.
  static let widthInterval: Duration = .seconds(1)

  private var end: OwnedDescriptor?
  private let descriptor: Int32
  private let stream: StandardStream
  private let lifecycle: Lifecycle
  private let eventLoop: EventLoop
  var registration: EventLoop.Registration?
  private(set) var hasEnded = false
  /// Whether the session is closed, and further output is only counted.
  private(set) var isDropping = false
  /// The number of bytes read so far, including dropped ones.
  private(set) var receivedBytes = 0
  private var width: PipeWidth?
  /// Nil if the event loop cannot rest exactly enough, and for terminals, where people watch the
  /// output.
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

  /// Whether a gate holds up the pipe. A pipe that has ended is not held up.
  var isHeldUp: Bool {
    !hasEnded && !isDropping && lifecycle.sink.gates.contains(where: \.isShut)
  }

  func handleEvent() -> EventLoop.Next {
    // What is only dropped waits for no reader.
    if !hasEnded, !isDropping {
      for gate in lifecycle.sink.gates
      where gate.holdsUp(until: { [weak self] in self?.resume() }) {
        gate.limitStall(on: eventLoop)
        return .hold
      }
    }
    let (count, isEmptied) = takeTurn()
    if hasEnded { return .finish }
    return rests(after: count, isEmptied) ? .rest : .wait
  }

  /// Reads until little is left in the pipe or the turn's share is used up. Returns the number of
  /// bytes, and whether little is left.
  ///
  /// A read of less than a page ends the turn: output that arrives meanwhile is better left to
  /// gather.
  private func takeTurn() -> (count: Int, isEmptied: Bool) {
    var total = read()
    if total < Self.littleLeft { return (total, true) }
    // Only a pipe that brings much needs its share.
    let share = eventLoop.share
    while total < share, !isHeldUp {
      let count = read()
      total += count
      if count < Self.littleLeft { return (total, true) }
    }
    return (total, false)
  }

  /// Lets the event loop give the pipe its next turn, if a gate holds it up. From any thread.
  private func resume() {
    eventLoop.execute {
      if let registration = self.registration { self.eventLoop.resume(registration) }
    }
  }

  private func rests(after count: Int, _ isEmptied: Bool) -> Bool {
    guard let capacity = width?.capacity else { return false }
    return moderation?.rests(after: count, of: capacity, isEmptied: isEmptied, at: .now) ?? false
  }

  /// Checks at intervals whether the pipe needs to be wide, until it does not.
  private func watchWidth() {
    // The timer must not keep a pipe alive that has ended.
    eventLoop.schedule(after: Self.widthInterval) { [weak self] in
      guard let self else { return }
      width?.narrowIfUnneeded()
      if width?.isWide == true { watchWidth() }
    }
  }

  /// Closes the descriptor. The poller must not watch it.
  func close() {
    width = nil
    end = nil
  }

  func didFinish() {
    close()
    lifecycle.pipeEnded()
  }

  /// Ends the pipe although other processes may hold the other end. To be called after the pipe has
  /// been withdrawn from the event loop.
  func abandon() {
    hasEnded = true
    didFinish()
  }

  /// Discards further output but keeps reading, so that writers neither block nor get a SIGPIPE.
  func startDropping() {
    isDropping = true
    resume()
  }

  /// Reads once. Returns the number of bytes, 0 if there are none now.
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
    if count > 0, !isDropping { for gate in lifecycle.sink.gates { gate.received(count) } }
    if width?.adapt(to: count) == true { watchWidth() }
    return count
  }

  private func drop() -> Int {
    unsafe withUnsafeTemporaryAllocation(byteCount: Self.readSize, alignment: 1) { nowhere in
      let count = unsafe read(into: nowhere, UnsafeMutableRawBufferPointer(start: nil, count: 0))
      if count > 0 { lifecycle.dropped(count) }
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
        // Any error but EAGAIN is the end; a terminal reports its end by EIO.
        if count == 0 || errno != EAGAIN { hasEnded = true }
        return 0
      }
    }
  }

  /// Reads the bytes that are in the pipe now, but no more than a pipe can hold, so that another
  /// process that still writes to it cannot keep this from ending.
  ///
  /// A gate does not hold this up, as long as the session has room for all that its reader has not
  /// taken. A pipe that holds more, since the command has made it larger, is read on when the gate
  /// is open.
  func drain() {
    guard !hasEnded else { return }
    // About what a terminal holds, if it is one.
    var remaining = pipeCapacity(descriptor) ?? Self.readSize
    while remaining > 0, lifecycle.sink.gates.allSatisfy({ $0.hasRoom(for: Self.readSize) }) {
      let count = read()
      if count == 0 { break }
      remaining -= count
    }
    // Nothing else would finish a pipe that a gate holds up.
    if hasEnded { resume() }
  }
}
