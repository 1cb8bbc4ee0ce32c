import Dispatch
import Synchronization

/// The lines of an input, one after the other.
final class LineInput: Sendable {
  enum Line: Sendable {
    case text([UInt8])
    /// A line of more bytes than the limit, of which nothing is kept.
    case tooLong(limit: Int)
  }

  let lines: AsyncStream<Line>
  private let reader: AsyncStream<Line>.Continuation
  private let isWanted = DispatchSemaphore(value: 0)
  private let descriptor: Descriptor
  private let limit: Int

  init(_ descriptor: Descriptor, limit: Int) {
    self.descriptor = descriptor
    self.limit = limit
    (lines, reader) = AsyncStream.makeStream()
  }

  /// Begins to read. Reading blocks, on a thread of its own.
  func start() {
    DispatchQueue(label: "stdin").async { [self] in
      var splitter = LineSplitter(limit: limit)
      while let bytes = try? descriptor.read(upTo: 64 << 10), !bytes.isEmpty {
        for line in splitter.take(bytes[...]) {
          guard case .enqueued = reader.yield(line) else { return }
          isWanted.wait()
        }
      }
      if let last = splitter.finish() { reader.yield(last) }
      reader.finish()
    }
  }

  /// Says that the last line is done with. The next one is read only then.
  func next() { isWanted.signal() }

  /// Ends the lines, although the input goes on.
  func stop() {
    reader.finish()
    isWanted.signal()
  }
}

/// Divides bytes into lines.
struct LineSplitter {
  private let limit: Int
  private var line: [UInt8] = []
  private var isTooLong = false

  init(limit: Int) { self.limit = limit }

  /// Returns the lines that end within the next bytes, without those that are empty.
  mutating func take(_ bytes: ArraySlice<UInt8>) -> [LineInput.Line] {
    var lines: [LineInput.Line] = []
    var rest = bytes
    while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
      add(rest[..<newline])
      if let line = finish() { lines.append(line) }
      rest = rest[(newline + 1)...]
    }
    add(rest)
    return lines
  }

  /// Returns what is there of a line that has not ended.
  mutating func finish() -> LineInput.Line? {
    defer {
      line = []
      isTooLong = false
    }
    if isTooLong { return .tooLong(limit: limit) }
    return line.allSatisfy({ [0x20, 0x09, 0x0d].contains($0) }) ? nil : .text(line)
  }

  private mutating func add(_ bytes: ArraySlice<UInt8>) {
    guard !isTooLong, bytes.count <= limit - line.count else {
      isTooLong = true
      line = []
      return
    }
    line += bytes
  }
}

/// Writes lines, one after the other. A caller waits until the reader has taken its line.
final class LineOutput: Sendable {
  private struct State {
    var isOver = false
    var lastTicket = 0
    var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
  }

  private let descriptor: Descriptor
  private let state = Mutex(State())
  // The thread that waits for the reader.
  private let queue = DispatchQueue(label: "stdout")

  init(_ descriptor: Descriptor) { self.descriptor = descriptor }

  /// Writes a line. Returns whether the reader has taken it.
  func write(_ text: String) async -> Bool {
    await withCheckedContinuation { continuation in
      let ticket = state.withLock { state -> Int? in
        guard !state.isOver else { return nil }
        state.lastTicket += 1
        state.waiting[state.lastTicket] = continuation
        return state.lastTicket
      }
      guard let ticket else { return continuation.resume(returning: false) }
      queue.async { [self] in
        guard !state.withLock(\.isOver) else { return }
        let isTaken = (try? descriptor.write(Array(text.utf8) + [UInt8(ascii: "\n")])) != nil
        state.withLock { $0.waiting.removeValue(forKey: ticket) }?.resume(returning: isTaken)
        if !isTaken { giveUp() }
      }
    }
  }

  /// Gives up the lines that the reader has not taken, and writes no more.
  func giveUp() {
    let waiting = state.withLock { state in
      state.isOver = true
      defer { state.waiting = [:] }
      return Array(state.waiting.values)
    }
    for continuation in waiting { continuation.resume(returning: false) }
  }
}
