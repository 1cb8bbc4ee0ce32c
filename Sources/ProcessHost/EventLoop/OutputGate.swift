import Processes

/// Holds a command up for as long as too much of its output waits for a reader that must have all
/// of it.
///
/// The event loop reads no more of the command's pipes meanwhile, so the command waits when those
/// are full. Without a gate a command never waits for its readers.
package final class OutputGate: Sendable {
  /// How much may wait. With that and what the two pipes of a command hold at its end, a session
  /// still has all that was not taken: 1 MiB, unless the system's pipes hold more than 256 KiB.
  private static let mostBytes = 256 * 1024
  private static let mostChunks = 32_000

  private struct State {
    var waitingBytes = 0
    var waitingChunks = 0
    var isOpenForGood = false
    /// What is to be called when the gate opens.
    var resumptions: [@Sendable () -> Void] = []

    var isShut: Bool {
      !isOpenForGood && (waitingBytes > mostBytes || waitingChunks > mostChunks)
    }
  }

  private let state = LockedState(State())

  package init() {}

  /// Whether a command is to be held up.
  var isShut: Bool { state.withLock { $0.isShut } }

  /// Returns false if a command is not to be held up; otherwise calls a closure once it is not any
  /// more.
  func holdsUp(until resume: @escaping @Sendable () -> Void) -> Bool {
    state.withLock { state in
      if state.isShut { state.resumptions.append(resume) }
      return state.isShut
    }
  }

  /// A chunk of so many bytes waits.
  func received(_ count: Int) {
    change { state in
      state.waitingBytes += count
      state.waitingChunks += 1
    }
  }

  /// So much waits no longer.
  package func took(bytes: Int, chunks: Int) {
    change { state in
      state.waitingBytes -= bytes
      state.waitingChunks -= chunks
    }
  }

  /// From now on the command is never held up.
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
