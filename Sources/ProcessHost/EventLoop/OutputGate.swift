import Processes

/// Holds up a command while too much of its output waits for a reader that must get all of it.
///
/// Meanwhile the event loop does not read from the command's pipes, so the command waits once they
/// are full. Without a gate a command never waits for its readers.
package final class OutputGate: Sendable {
  /// The most output that may wait. A session holds 1 MiB. That is enough for this and for what the
  /// command's two pipes hold at its end, unless the system's pipes hold more than 256 KiB.
  private static let mostBytes = 256 * 1024
  private static let mostChunks = 32_000

  private struct State {
    var waitingBytes = 0
    var waitingChunks = 0
    var isOpenForGood = false
    /// The closures to call when the gate opens.
    var resumptions: [@Sendable () -> Void] = []

    var isShut: Bool {
      !isOpenForGood && (waitingBytes > mostBytes || waitingChunks > mostChunks)
    }
  }

  private let state = LockedState(State())

  package init() {}

  /// Whether the gate holds up its command.
  var isShut: Bool { state.withLock { $0.isShut } }

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

  /// Records that the reader has taken output.
  package func took(bytes: Int, chunks: Int) {
    change { state in
      state.waitingBytes -= bytes
      state.waitingChunks -= chunks
    }
  }

  /// Opens the gate for good: it never holds up the command again.
  package func open() { change { $0.isOpenForGood = true } }

  private func change(_ body: (inout State) -> Void) {
    let resumptions = state.withLock { state in
      body(&state)
      guard !state.isShut else { return [@Sendable () -> Void]() }
      defer { state.resumptions = [] }
      return state.resumptions
    }
    for resume in resumptions { resume() }
  }
}
