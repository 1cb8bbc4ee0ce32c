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

/// The file that gets the complete output, in the order in which it was captured.
///
/// A thread of its own copies a session to the file. A gate holds up the command while it writes
/// faster than the file accepts, so that its output does not lap the thread. If the file cannot be
/// written, the command goes on without it, and ``finish()`` reports that.
final class OutputFile: Sendable {
  private struct Result {
    var missingBytes = 0
    var error: WriteError?
  }

  private let path: Command.Text
  private let descriptor: Int32
  private let result = LockedState(Result())
  private let isOver = Atomic(false)
  /// The gate that holds up the command.
  let gate = OutputGate()
  private let isDone = DispatchSemaphore(value: 0)

  /// Opens the file, and truncates it if it exists.
  init(path: Command.Text) throws(WriteError) {
    self.path = path
    let name = path.bytes.map { CChar(bitPattern: $0) } + [0]
    descriptor = unsafe open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw WriteError(code: errno) }
  }

  /// Starts to copy a session.
  func start(copying session: Session) throws(SystemError) {
    try startThread { [self] in
      copy(session)
      isDone.signal()
    }
  }

  /// Waits until the thread has written all of the session's output, and either the session is
  /// closed or the wait for its output has ended.
  ///
  /// - Returns: The error of the file; nil if the file is complete.
  func finish() -> String? {
    isOver.store(true, ordering: .releasing)
    isDone.wait()
    let result = result.withLock { $0 }
    if let error = result.error {
      return "cannot write to \(path): \(error.message); the file is not complete"
    }
    if result.missingBytes > 0 {
      return "\(path) is not complete: \(result.missingBytes) bytes came faster than it took them"
    }
    return nil
  }

  // MARK: On the thread

  private func copy(_ session: Session) {
    // Reserves room for all that may wait here: output that has been read cannot be overwritten
    // while it is written.
    let readSize = Session.maxBufferBytes
    var output = Output(reservingBytes: readSize, chunks: Session.maxBufferedChunks)
    var cursor = Cursor.start
    var error: WriteError?
    while true {
      let isLast = isOver.load(ordering: .acquiring)
      session.read(since: cursor, maxBytes: readSize, into: &output)
      // Output that has been read cannot be overwritten, so the command may go on.
      let missing = output.missedBytes ?? 0
      gate.took(output)
      cursor = output.cursor
      if missing > 0 { result.withLock { $0.missingBytes += missing } }
      do throws(WriteError) { try write(output.chunks.payload) } catch let failure {
        error = failure
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
    // A file system may report only at the close that it had no space.
    if close(descriptor) != 0, error == nil, errno != EINTR { error = WriteError(code: errno) }
    if let error { result.withLock { $0.error = error } }
  }

  private func write(_ payload: ChunkBytes) throws(WriteError) {
    try unsafe payload.withUnsafeBytes { (bytes) throws(WriteError) in
      try unsafe writeAll(bytes, to: descriptor)
    }
  }
}
