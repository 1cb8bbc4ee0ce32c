import Processes

/// Holds up a command while too much of its output waits for a reader that must get all of it.
///
/// Meanwhile the event loop does not read from the command's pipes, so the command waits once they
/// are full. Without a gate a command never waits for its readers.
package final class OutputGate: Sendable {
  private struct State {
    /// How much the session retains.
    var capacity = Session.maxBufferBytes
    /// The most output that may wait.
    var (mostBytes, mostChunks) = (Session.maxBufferBytes / 4, Session.maxBufferedChunks / 2)
    var waitingBytes = 0
    var waitingChunks = 0
    var isOpenForGood = false
    /// The closures to call when the gate opens.
    var resumptions: [@Sendable () -> Void] = []
    /// Since when the command has waited and the reader has taken nothing.
    var stallStart: ContinuousClock.Instant?
    /// Whether a timer runs that will open the gate for a reader that takes nothing.
    var isWatched = false

    var isShut: Bool {
      !isOpenForGood && (waitingBytes > mostBytes || waitingChunks > mostChunks)
    }
  }

  private let state = LockedState(State())
  /// How long the command waits for a reader that takes nothing; nil for as long as it takes.
  private let timeLimit: Duration?

  package init(timeLimit: Duration? = nil) { self.timeLimit = timeLimit }

  /// Prepares the gate for a command's session, before the command starts: a quarter of what the
  /// session retains may wait. What it holds already waits for the reader too. The rest of a
  /// session of 1 MiB is enough for what the command's two pipes hold at its end, unless a command
  /// makes them larger than 256 KiB.
  func begin(for session: Session) {
    state.withLock { state in
      state.capacity = session.capacity
      state.mostBytes = session.capacity / 4
      state.mostChunks = session.reader.layout.chunkLimit / 2
      state.waitingBytes += session.totalBytes
      state.waitingChunks += session.lastSeq
    }
  }

  /// Whether the session could take so many more bytes, and still retain all that the reader has
  /// not taken.
  func hasRoom(for count: Int) -> Bool {
    state.withLock { $0.isOpenForGood || $0.capacity - $0.waitingBytes >= count }
  }

  /// Whether the gate holds up its command.
  package var isShut: Bool { state.withLock { $0.isShut } }

  /// Whether the gate never holds up its command again.
  var isOpenForGood: Bool { state.withLock { $0.isOpenForGood } }

  /// Returns whether the gate holds up its command. If it does, calls a closure once it opens.
  func holdsUp(until resume: @escaping @Sendable () -> Void) -> Bool {
    state.withLock { state in
      if state.isShut { state.resumptions.append(resume) }
      return state.isShut
    }
  }

  /// Records that a chunk of so many bytes waits for the reader.
  func received(_ count: Int) {
    change { state in
      state.waitingBytes += count
      state.waitingChunks += 1
    }
  }

  /// Records that the reader has read output, or missed it.
  package func took(_ output: Output) {
    took(
      bytes: output.chunks.payload.count + (output.missedBytes ?? 0),
      chunks: output.chunks.count + output.missedChunks)
  }

  /// Records that the reader has taken output.
  func took(bytes: Int, chunks: Int) {
    change { state in
      state.waitingBytes -= bytes
      state.waitingChunks -= chunks
      if state.stallStart != nil, chunks > 0 { state.stallStart = .now }
    }
  }

  /// Records that the reader is still there, though it has taken nothing: its time begins anew.
  func sawReader() { state.withLock { if $0.stallStart != nil { $0.stallStart = .now } } }

  /// Opens the gate for good: it never holds up the command again.
  package func open() { change { $0.isOpenForGood = true } }

  private func change(_ body: (inout State) -> Void) {
    let resumptions = state.withLock { state in
      body(&state)
      guard !state.isShut else { return [@Sendable () -> Void]() }
      state.stallStart = nil
      defer { state.resumptions = [] }
      return state.resumptions
    }
    for resume in resumptions { resume() }
  }

  // MARK: The time limit

  /// Since when the command has waited and the reader has taken nothing; nil if it does not wait.
  var stallStart: ContinuousClock.Instant? { state.withLock { $0.stallStart } }

  /// Has an event loop open the gate for good once the reader has taken nothing for the time limit.
  /// To be called when the gate holds up its command.
  func limitStall(on eventLoop: EventLoop) {
    guard let timeLimit else { return }
    let begins = state.withLock { state in
      if state.isShut, state.stallStart == nil { state.stallStart = .now }
      defer { state.isWatched = true }
      return !state.isWatched
    }
    if begins { watchStall(on: eventLoop, after: timeLimit) }
  }

  private func watchStall(on eventLoop: EventLoop, after time: Duration) {
    eventLoop.schedule(after: time) { [weak self, weak eventLoop] in
      guard let self, let eventLoop, let rest = remainingStall() else { return }
      watchStall(on: eventLoop, after: rest)
    }
  }

  /// Opens the gate for good if the time is up. Returns the time that is left; nil if the command
  /// does not wait.
  private func remainingStall() -> Duration? {
    guard let timeLimit else { return nil }
    let rest: Duration? = state.withLock { state in
      guard state.isShut, let start = state.stallStart else {
        state.isWatched = false
        return nil
      }
      return timeLimit.upToACentury - (.now - start)
    }
    guard let rest, rest <= .zero else { return rest }
    open()
    return nil
  }
}
