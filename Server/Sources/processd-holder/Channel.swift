import HolderProtocol
import Synchronization

/// The way back to a daemon: messages that wait to be sent, and tasks whose messages will follow.
///
/// Both are bounded. A daemon that does not read its answers loses its connection, and may open
/// another.
final class Channel: Sendable {
  private struct State {
    var waiting: [UInt8] = []
    var sentCount = 0
    var tasks: [Int: Task<Void, Never>] = [:]
    var lastTask = 0
    var isClosed = false
  }

  /// The most bytes that wait to be sent.
  static let maxBytes = 1 << 20
  /// The most requests that wait for their answers.
  static let maxRequests = 4_096

  private let state = Mutex(State())
  private let loop: Loop

  /// - Parameter loop: The loop that sends what waits.
  init(_ loop: Loop) { self.loop = loop }

  /// Whether the channel was closed, because too much waits or the connection is over.
  var isClosed: Bool { state.withLock(\.isClosed) }
  /// Whether there is anything to send.
  var hasWaiting: Bool { state.withLock { !$0.waiting.isEmpty } }
  /// Whether there is nothing to send, and no request waits for its answer.
  var isIdle: Bool { state.withLock { $0.waiting.isEmpty && $0.tasks.isEmpty } }

  /// Sends a message as soon as the daemon reads. On any thread.
  func send(_ message: HolderMessage) {
    let bytes = message.encoded
    let isTooMuch = state.withLock { state in
      if state.isClosed { return false }
      guard bytes.count <= Self.maxBytes - (state.waiting.count - state.sentCount) else {
        return true
      }
      state.waiting += bytes
      return false
    }
    if isTooMuch { close() }
    loop.wake()
  }

  /// Answers a request as soon as a task has the answer, which is cancelled if the connection ends.
  func answer(_ work: @escaping @Sendable () async -> HolderMessage) {
    let isTooMuch = state.withLock { state in
      if state.isClosed { return false }
      guard state.tasks.count < Self.maxRequests else { return true }
      state.lastTask += 1
      let number = state.lastTask
      // The task cannot end before it is in the table: it needs the lock for that.
      state.tasks[number] = Task {
        send(await work())
        self.state.withLock { _ = $0.tasks.removeValue(forKey: number) }
        loop.wake()
      }
      return false
    }
    if isTooMuch { close() }
  }

  /// Sends no more, and cancels all tasks.
  func close() {
    let tasks = state.withLock { state in
      state.isClosed = true
      state.waiting = []
      state.sentCount = 0
      defer { state.tasks = [:] }
      return state.tasks
    }
    for task in tasks.values { task.cancel() }
    loop.wake()
  }

  /// Passes what waits to a closure, which returns how much of it is sent.
  func take(_ send: (ArraySlice<UInt8>) -> Int) {
    state.withLock { state in
      if state.waiting.isEmpty { return }
      state.sentCount += send(state.waiting[state.sentCount...])
      // Seldom, so that each byte is moved once or so.
      if state.sentCount >= state.waiting.count / 2 {
        state.waiting.removeFirst(state.sentCount)
        state.sentCount = 0
      }
      if state.waiting.isEmpty { state.waiting = [] }
    }
  }
}
