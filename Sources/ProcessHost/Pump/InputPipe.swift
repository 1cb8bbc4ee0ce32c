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
/// Written to by the pump's thread alone, and by nobody else: that thread has SIGPIPE blocked,
/// which the system sends to the thread that writes where nobody reads.
final class InputPipe: EventSource, @unchecked Sendable {
  typealias Answer = Result<Void, InputError>

  fileprivate struct Piece {
    let ticket: UInt64
    var rest: ArraySlice<UInt8>
    let continuation: CheckedContinuation<Answer, Never>?
  }

  fileprivate struct State: ~Copyable {
    /// Closed only after the pump has let go of it: a child that is just being started has a copy
    /// for a moment, which would keep the poller's entry alive.
    var end: OwnedDescriptor?
    var pump: Pump?
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
  /// Whether the pump waits until the pipe takes more; its thread alone asks.
  private var isWatched = false

  init(_ end: consuming OwnedDescriptor, isTerminal: Bool, on pump: Pump) {
    descriptor = end.number
    self.isTerminal = isTerminal
    state = LockedState(State(end: end, pump: pump))
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
    let (error, pump): (InputError?, Pump?) = state.withLock { state in
      if isCancelled() { return (.cancelled, nil) }
      if state.isClosing { return (.closed, nil) }
      if state.isOver { return (.brokenPipe, nil) }
      state.pieces.append(Piece(ticket: ticket, rest: bytes[...], continuation: continuation))
      if let last = bytes.last { state.isAtLineStart = last == UInt8(ascii: "\n") }
      return (nil, state.pump)
    }
    if let error { continuation?.resume(returning: .failure(error)) }
    if let pump { visit(pump) }
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
    let pump: Pump? = state.withLock { state in
      guard !state.isClosing else { return nil }
      state.isClosing = true
      if isTerminal, !state.isOver {
        // Ctrl-D: what there is goes to the reader, and that it is nothing means the end.
        let end = Array(repeating: UInt8(4), count: state.isAtLineStart ? 1 : 2)
        state.pieces.append(Piece(ticket: 0, rest: end[...], continuation: nil))
      }
      return state.pump
    }
    if let pump { visit(pump) }
  }

  /// Calls a closure with the descriptor, unless it is closed.
  func withDescriptor<Result>(_ body: (Int32) -> Result) -> Result? {
    state.withLock { state in state.end == nil ? nil : body(descriptor) }
  }

  private func visit(_ pump: Pump) {
    pump.expectVisit()
    pump.visit { self.flush() }
  }

  // MARK: On the pump's thread

  override func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    try unsafe poller.addWritable(descriptor, token: token)
  }

  override func remove(from poller: borrowing Poller) { poller.removeWritable(descriptor) }

  override func handleEvent() -> Next { writePieces() ? .wait : .finish }

  override func didFinish() {
    isWatched = false
    // Something may have been given in between.
    flush()
  }

  private func flush() {
    if isWatched { return }
    guard writePieces() else { return closeIfOver() }
    guard let pump = state.withLock({ $0.pump }) else { return }
    do throws(SystemError) {
      try pump.add(self)
      isWatched = true
    } catch {
      // For want of memory, which may come.
      pump.schedule(after: .milliseconds(10)) { self.flush() }
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

  /// The pump must not be waiting for it.
  private func closeIfOver() { state.withLock { if $0.isOver { $0.end = nil } } }

  /// Nobody is left to read it; between two turns of the pump.
  func abandon() {
    let (pump, pieces) = state.withLock { state in
      defer { state.finish() }
      return (state.pump, state.pieces)
    }
    if isWatched {
      isWatched = false
      pump?.withdraw(self)
    }
    closeIfOver()
    for piece in pieces { piece.continuation?.resume(returning: .failure(.brokenPipe)) }
  }
}

extension InputPipe.State {
  fileprivate mutating func finish() {
    isOver = true
    pump = nil
    pieces = []
  }
}
