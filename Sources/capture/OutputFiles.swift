#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import Dispatch
import ProcessHost
import Processes
import Synchronization

/// The files that get the complete output, in the order in which it was captured.
///
/// A thread of its own copies a session to the files. A gate holds up the command while it writes
/// faster than they accept, so that its output does not lap the thread. If a file cannot be
/// written, the command goes on without it, and ``finish()`` reports that.
final class OutputFiles: Sendable {
  /// What became of the files.
  struct Result {
    /// The bytes that were overwritten before the thread read them.
    fileprivate(set) var missingBytes = 0
    fileprivate var failed: [(path: Command.Text, error: WriteError)] = []
    fileprivate var written: [Command.Text] = []

    /// The errors of files.
    var errors: [String] {
      failed.map { "cannot write to \($0.path): \($0.error.message); the file is not complete" }
    }

    /// Why files do not have all of the output.
    var problems: [String] {
      guard missingBytes > 0 else { return errors }
      return errors
        + written.map {
          "\($0) is not complete: \(missingBytes) bytes came faster than it took them"
        }
    }
  }

  private let result = LockedState(Result())
  private let isOver = Atomic(false)
  /// The gate that holds up the command.
  let gate = OutputGate()
  private let isDone = DispatchSemaphore(value: 0)

  /// Starts to copy a session to files.
  func start(copying session: SessionReader, to targets: [OutputTarget]) throws(SystemError) {
    try startThread { [self] in
      copy(session, to: targets)
      isDone.signal()
    }
  }

  /// Waits until the thread has written all of the session's output, and either the session is
  /// closed or the wait for its output has ended.
  func finish() -> Result {
    isOver.store(true, ordering: .releasing)
    return waitForEnd()
  }

  /// Waits until the thread has written all of the session's output, and the session is at its end.
  func waitForEnd() -> Result {
    isDone.wait()
    return result.withLock { $0 }
  }

  // MARK: On the thread

  private func copy(_ session: SessionReader, to files: [OutputTarget]) {
    var files = files
    // Reserves room for all that may wait here: output that has been read cannot be overwritten
    // while it is written.
    let readSize = Session.maxBufferBytes
    var output = Output(
      reservingBytes: readSize, chunks: Session.maxBufferedChunks,
      timestamps: session.hasTimestamps)
    var cursor = Cursor.start
    while true {
      let isLast = isOver.load(ordering: .acquiring)
      session.read(since: cursor, maxBytes: readSize, into: &output)
      // Output that has been read cannot be overwritten, so the command may go on.
      let missing = output.missedBytes ?? 0
      gate.took(output)
      cursor = output.cursor
      if missing > 0 { result.withLock { $0.missingBytes += missing } }
      for index in files.indices { files[index].write(output) }
      if files.allSatisfy({ $0.error != nil }) {
        gate.open()
        break
      }
      if output.isComplete || (isLast && !output.hasMore) { break }
      if output.chunks.isEmpty {
        // A short wait, because a signal may end the wait for output.
        _ = session.waitForOutput(since: cursor, maxBytes: 0, upTo: .milliseconds(50))
      } else if output.chunks.payload.count < 4_096 {
        // Lets output gather, so that many small pieces are written in fewer calls.
        usleep(100)
      }
    }
    for index in files.indices { files[index].finish() }
    result.withLock { result in
      for file in files {
        if let error = file.error {
          result.failed.append((file.path, error))
        } else {
          result.written.append(file.path)
        }
      }
    }
  }
}
