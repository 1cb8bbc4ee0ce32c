#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Processes

/// The writing end of a child's stdin, be it a pipe or a terminal, and what waits to be written.
///
/// Written to by the event loop's thread alone, and by nobody else: that thread has SIGPIPE
/// blocked, which the system sends to the thread that writes where nobody reads.
final class InputPipe: EventSource, @unchecked Sendable {
  typealias Answer = Result<Void, InputError>

  fileprivate struct Piece {
    let ticket: UInt64
    var rest: ArraySlice<UInt8>
    let continuation: CheckedContinuation<Answer, Never>?
  }

  fileprivate struct State: ~Copyable {
    /// Closed only after the event loop has let go of it: a child that is just being started has a
    /// copy for a moment, which would keep the poller's entry alive.
    var end: OwnedDescriptor?
    var eventLoop: EventLoop?
    /// Nothing can be written any more.
    var isOver = false
    var pieces: [Piece] = []
    /// Nothing more is to come.
    var isClosing = false
    /// Whether the last byte that was given ends a line, or there is none.
    var isAtLineStart = true
    var nextTicket: UInt64 = 0
  }

  private let state: LockedState<State>
  private let descriptor: Int32
  private let isTerminal: Bool
  /// Whether the event loop waits until the pipe takes more; its thread alone asks.
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

  /// Writes bytes after all that were given before, and answers when the pipe has taken them.
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

  /// Takes back what is left of a write.
  func cancel(_ ticket: UInt64) {
    let piece = state.withLock { state in
      state.pieces.firstIndex { $0.ticket == ticket }.map { state.pieces.remove(at: $0) }
    }
    piece?.continuation?.resume(returning: .failure(.cancelled))
  }

  /// Closes the pipe after all that was given before.
  func close() {
    let eventLoop: EventLoop? = state.withLock { state in
      guard !state.isClosing else { return nil }
      state.isClosing = true
      if isTerminal, !state.isOver {
        // Ctrl-D: what there is goes to the reader, and that it is nothing means the end.
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
    // Something may have been given in between.
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
      // For want of memory, which may come.
      eventLoop.schedule(after: .milliseconds(10)) { self.flush() }
    }
  }

  /// Writes what the pipe takes; returns whether something is left for later.
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
      // A terminal hangs up when it is closed: that comes when the child has ended.
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

  /// The event loop must not be waiting for it.
  private func closeIfOver() { state.withLock { if $0.isOver { $0.end = nil } } }

  /// Nobody is left to read it; between two turns of the event loop.
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
