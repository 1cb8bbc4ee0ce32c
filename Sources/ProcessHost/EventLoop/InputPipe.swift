#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Processes

/// The write end of a child's stdin, a pipe or a terminal, with the bytes that wait to be written.
///
/// Only the event loop's thread writes to it. That thread blocks SIGPIPE, which the system sends to
/// a thread that writes to a pipe without a reader.
final class InputPipe: EventSource, @unchecked Sendable {
  typealias Answer = Result<Void, InputError>

  fileprivate struct Piece {
    let ticket: UInt64
    var rest: ArraySlice<UInt8>
    let continuation: CheckedContinuation<Answer, Never>?
  }

  fileprivate struct State: ~Copyable {
    /// Closed only after the source is removed from the poller: a child that is just being started
    /// has a copy for a moment, which would keep the poller's entry alive.
    var end: OwnedDescriptor?
    var eventLoop: EventLoop?
    /// Nothing can be written any more.
    var isOver = false
    var pieces: [Piece] = []
    /// Whether `close()` has been called.
    var isClosing = false
    /// Whether the last byte that was passed to `write` ends a line; true if there is none.
    var isAtLineStart = true
    var nextTicket: UInt64 = 0
  }

  private let state: LockedState<State>
  private let descriptor: Int32
  private let isTerminal: Bool
  /// Whether the event loop waits until the pipe takes more. Only its thread uses this.
  private var isWatched = false
  var registration: EventLoop.Registration?

  init(_ end: consuming OwnedDescriptor, isTerminal: Bool, on eventLoop: EventLoop) {
    descriptor = end.number
    self.isTerminal = isTerminal
    state = LockedState(State(end: end, eventLoop: eventLoop))
  }

  // MARK: For any thread

  func makeTicket() -> UInt64 {
    state.withLock { state in
      state.nextTicket += 1
      return state.nextTicket
    }
  }

  /// Writes bytes after all earlier writes, and resumes the continuation when the pipe has taken
  /// them.
  func write(
    _ bytes: [UInt8], as ticket: UInt64, isCancelled: () -> Bool = { false },
    _ continuation: CheckedContinuation<Answer, Never>?
  ) {
    let (error, eventLoop): (InputError?, EventLoop?) = state.withLock { state in
      if isCancelled() { return (.cancelled, nil) }
      if state.isClosing { return (.closed, nil) }
      if state.isOver { return (.brokenPipe, nil) }
      state.pieces.append(Piece(ticket: ticket, rest: bytes[...], continuation: continuation))
      if let last = bytes.last { state.isAtLineStart = last == UInt8(ascii: "\n") }
      return (nil, state.eventLoop)
    }
    if let error { continuation?.resume(returning: .failure(error)) }
    if let eventLoop { scheduleFlush(on: eventLoop) }
  }

  /// Cancels the remainder of a write.
  func cancel(_ ticket: UInt64) {
    let piece = state.withLock { state in
      state.pieces.firstIndex { $0.ticket == ticket }.map { state.pieces.remove(at: $0) }
    }
    piece?.continuation?.resume(returning: .failure(.cancelled))
  }

  /// Closes the pipe after all earlier writes.
  func close() {
    let eventLoop: EventLoop? = state.withLock { state in
      guard !state.isClosing else { return nil }
      state.isClosing = true
      if isTerminal, !state.isOver {
        // Ctrl-D passes the pending input to the reader; if there is none, the reader gets an empty
        // read, which means the end. So in the middle of a line it takes two.
        let end = Array(repeating: UInt8(4), count: state.isAtLineStart ? 1 : 2)
        state.pieces.append(Piece(ticket: 0, rest: end[...], continuation: nil))
      }
      return state.eventLoop
    }
    if let eventLoop { scheduleFlush(on: eventLoop) }
  }

  /// Calls a closure with the descriptor, unless it is closed.
  func withDescriptor<Result>(_ body: (Int32) -> Result) -> Result? {
    state.withLock { state in state.end == nil ? nil : body(descriptor) }
  }

  private func scheduleFlush(on eventLoop: EventLoop) {
    eventLoop.execute { self.flush() }
  }

  // MARK: On the event loop's thread

  func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    try unsafe poller.addWritable(descriptor, token: token)
  }

  func remove(from poller: borrowing Poller) { poller.removeWritable(descriptor) }

  func handleEvent() -> EventLoop.Next { writePieces() ? .wait : .finish }

  func didFinish() {
    isWatched = false
    // A write may have been added meanwhile.
    flush()
  }

  private func flush() {
    if isWatched { return }
    guard writePieces() else { return closeIfOver() }
    guard let eventLoop = state.withLock({ $0.eventLoop }) else { return }
    do throws(SystemError) {
      try eventLoop.add(self)
      isWatched = true
    } catch {
      // The system is short of memory, which may become available.
      eventLoop.schedule(after: .milliseconds(10)) { self.flush() }
    }
  }

  /// Writes as much as the pipe takes. Returns whether bytes remain to be written.
  private func writePieces() -> Bool {
    var answers: [(CheckedContinuation<Answer, Never>?, Answer)] = []
    defer { for (continuation, answer) in answers { continuation?.resume(returning: answer) } }
    return state.withLock { state in
      if state.isOver { return false }
      while let piece = state.pieces.first {
        switch Self.write(piece.rest, to: descriptor) {
        case .wrote(let count):
          state.pieces[0].rest.removeFirst(count)
          guard state.pieces[0].rest.isEmpty else { continue }
          answers.append((piece.continuation, .success(())))
          state.pieces.removeFirst()
        case .full:
          return true
        case .broken:
          answers += state.pieces.map { ($0.continuation, .failure(.brokenPipe)) }
          state.finish()
          return false
        }
      }
      // Closing a terminal hangs it up, so it is closed when the child has ended.
      if state.isClosing, !isTerminal { state.finish() }
      return false
    }
  }

  private enum Outcome {
    case wrote(Int)
    case full
    case broken
  }

  private static func write(_ bytes: ArraySlice<UInt8>, to descriptor: Int32) -> Outcome {
    unsafe bytes.withUnsafeBytes { bytes in
      while true {
        #if canImport(Darwin)
          let count = unsafe Darwin.write(descriptor, bytes.baseAddress, bytes.count)
        #elseif canImport(Glibc)
          let count = unsafe Glibc.write(descriptor, bytes.baseAddress, bytes.count)
        #elseif canImport(Musl)
          let count = unsafe Musl.write(descriptor, bytes.baseAddress, bytes.count)
        #endif
        if count >= 0 { return .wrote(count) }
        if errno == EAGAIN { return .full }
        if errno != EINTR { return .broken }
      }
    }
  }

  /// Closes the descriptor if nothing can be written any more. The poller must not watch it.
  private func closeIfOver() { state.withLock { if $0.isOver { $0.end = nil } } }

  /// Closes the pipe and fails pending writes, because no reader is left. To be called between two
  /// turns of the event loop.
  func abandon() {
    let (eventLoop, pieces) = state.withLock { state in
      defer { state.finish() }
      return (state.eventLoop, state.pieces)
    }
    if isWatched {
      isWatched = false
      eventLoop?.withdraw(self)
    }
    closeIfOver()
    for piece in pieces { piece.continuation?.resume(returning: .failure(.brokenPipe)) }
  }
}

extension InputPipe.State {
  fileprivate mutating func finish() {
    isOver = true
    eventLoop = nil
    pieces = []
  }
}
