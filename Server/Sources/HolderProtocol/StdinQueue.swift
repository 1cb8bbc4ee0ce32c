package import ProcessHost
import Synchronization

/// Bytes on their way to a process's stdin: accepted at once, and written as the process reads.
///
/// A request is answered when its bytes are in the pipe, or soon after if the pipe is full: a
/// process that does not read must not hold up requests. The number of bytes that wait for it is
/// bounded.
package final class StdinQueue: Sendable {
  private struct State {
    var parts: [Part] = []
    var waitingBytes = 0
    var isWriting = false
    var isEnded = false
    var failure: InputError?
  }

  private struct Part {
    var bytes: [UInt8]
    var isEnd: Bool
    var written: Latch
  }

  /// The state of a write.
  package enum Answer: Sendable, Equatable {
    /// All bytes are in the pipe.
    case written
    /// So many bytes, including those of earlier writes, wait for the process to read.
    case waiting(bytes: Int)
    /// The bytes do not fit; none of them was accepted.
    case full(waiting: Int)
    /// No process will read the bytes.
    case failed(InputError)
  }

  /// The most writes that may wait, however few their bytes.
  private static let maxParts = 4096

  private let input: ProcessInput
  private let capacity: Int
  private let state = Mutex(State())

  /// - Parameter capacity: The most bytes that may wait.
  package init(_ input: ProcessInput, capacity: Int) {
    self.input = input
    self.capacity = capacity
  }

  /// A write that the queue has dealt with, or will.
  package struct Pending: Sendable {
    fileprivate let queue: StdinQueue
    fileprivate let state: Result<Latch, Refused>

    /// Waits until the bytes are in the pipe, and returns what became of them. To be called once.
    ///
    /// - Parameter patience: How long to wait for the pipe to take them.
    package func answer(waitingUpTo patience: Duration) async -> Answer {
      switch state {
      case .failure(let refused): refused.answer
      case .success(let latch): await queue.answer(to: latch, waitingUpTo: patience)
      }
    }
  }

  /// The answer to a write for which there is nothing to wait.
  fileprivate struct Refused: Error { let answer: Answer }

  /// Writes bytes after all earlier ones, and then ends the process's stdin if asked to.
  ///
  /// - Parameter patience: How long to wait for the pipe to take them.
  package func write(_ bytes: [UInt8], isEnd: Bool, patience: Duration) async -> Answer {
    await accept(bytes, isEnd: isEnd).answer(waitingUpTo: patience)
  }

  /// Accepts bytes, which are written after all that were accepted before, and then the end of the
  /// process's stdin if asked to.
  ///
  /// - Returns: What tells the answer.
  package func accept(_ bytes: [UInt8], isEnd: Bool) -> Pending {
    let latch = Latch()
    let refusal: Answer? = state.withLock { state in
      if let failure = state.failure { return .failed(failure) }
      if state.isEnded { return .failed(.closed) }
      if bytes.isEmpty && !isEnd {
        return state.waitingBytes == 0 ? .written : .waiting(bytes: state.waitingBytes)
      }
      guard bytes.count <= capacity - state.waitingBytes, state.parts.count < Self.maxParts else {
        return .full(waiting: state.waitingBytes)
      }
      state.parts.append(Part(bytes: bytes, isEnd: isEnd, written: latch))
      state.waitingBytes += bytes.count
      state.isEnded = isEnd
      if !state.isWriting {
        state.isWriting = true
        Task { await self.drain() }
      }
      return nil
    }
    if let refusal { return Pending(queue: self, state: .failure(Refused(answer: refusal))) }
    return Pending(queue: self, state: .success(latch))
  }

  private func answer(to latch: Latch, waitingUpTo patience: Duration) async -> Answer {
    let isWritten = await latch.wait(upTo: patience)
    return state.withLock { state in
      if let failure = state.failure { return .failed(failure) }
      return isWritten ? .written : .waiting(bytes: state.waitingBytes)
    }
  }

  private func drain() async {
    while let part = takeFirst() {
      do throws(InputError) {
        if !part.bytes.isEmpty { try await input.write(part.bytes) }
        if part.isEnd { input.close() }
        state.withLock { $0.waitingBytes -= part.bytes.count }
        part.written.open()
      } catch {
        let rest = state.withLock { state in
          state.failure = error
          state.waitingBytes = 0
          state.isWriting = false
          defer { state.parts = [] }
          return state.parts
        }
        for part in [part] + rest { part.written.open() }
        return
      }
    }
  }

  private func takeFirst() -> Part? {
    state.withLock { state in
      guard !state.parts.isEmpty else {
        state.isWriting = false
        return nil
      }
      return state.parts.removeFirst()
    }
  }
}
