import CaptureFormat
import Processes

/// Reads a session, and writes its output in some format.
///
/// After a write has failed it writes nothing more.
struct OutputWriter {
  private let session: Session
  private var format: any OutputFormat
  private var output = Output()
  private var cursor = Cursor.start
  private var writtenChunks = 0
  private var missedChunks = 0
  private var missedBytes = 0
  private var isStopped = false

  /// Whether a write has failed for another reason than that no process reads the output.
  private(set) var hasFailed = false

  init(session: Session, format: any OutputFormat) {
    self.session = session
    self.format = format
  }

  /// Writes output as it arrives, until the session is closed.
  ///
  /// - Parameters:
  ///   - isOver: Whether to stop before the session is closed.
  ///   - onBrokenPipe: Called if writing stops because no process reads the output.
  @MainActor
  mutating func follow(until isOver: () -> Bool, onBrokenPipe: () -> Void) async {
    // Reserves room for the whole session at once: output that has been read cannot be overwritten
    // while it is written.
    output = Output(reservingBytes: session.capacity, chunks: Session.maxBufferedChunks)
    while true {
      let isLast = isOver()
      read()
      if output.missedChunks > 0 { writeGap(isLast: false) }
      writeChunks()
      if isStopped {
        // For other reasons, such as a full disk, the command is not at fault, so it goes on.
        if !hasFailed { onBrokenPipe() }
        return
      }
      if output.isComplete || isLast { return }
      if output.chunks.isEmpty {
        // A short wait, because a signal may end the wait for output.
        _ = await session.output(since: cursor, maxBytes: 0, waitingUpTo: .milliseconds(50))
      } else if !output.hasMore {
        // Lets output gather, so that many small pieces are written in fewer calls.
        try? await Task.sleep(for: .milliseconds(1))
      }
    }
  }

  /// Writes the retained output, and how much is missing.
  ///
  /// - Parameter chunks: Whether to write the output; otherwise it is only counted.
  mutating func writeRetained(chunks: Bool) {
    read()
    guard chunks else { return }
    if output.missedChunks > 0 { writeGap(isLast: true) }
    writeChunks()
  }

  /// Writes the end of the output.
  ///
  /// - Parameters:
  ///   - signal: The signal that ended the command.
  ///   - isTimedOut: Whether the command ran into its time limit.
  ///   - time: How long the command ran.
  mutating func finish(signal: Int32?, isTimedOut: Bool, after time: Duration) {
    // All numbers are those of the last read: a session that is still open may go on to grow. If
    // writing has failed, the output that was not written counts as retained.
    if isStopped { read() }
    let totals = Totals(
      exitCode: output.exitCode, isAlive: output.isAlive, isClosed: output.isClosed,
      writtenChunks: writtenChunks, lostBytes: output.lostBytes,
      totalBytes: output.cursor.offset ?? session.totalBytes,
      missedChunks: missedChunks, missedBytes: missedBytes, signal: signal,
      isTimedOut: isTimedOut, seconds: time.seconds)
    write { format throws(StreamError) in try format.writeEnd(totals) }
  }

  private mutating func read() {
    session.read(since: cursor, into: &output)
    cursor = output.cursor
    missedChunks += output.missedChunks
    // The number is always known, because the position is a cursor.
    missedBytes += output.missedBytes ?? 0
  }

  private mutating func writeChunks() {
    let chunks = output.chunks
    guard !chunks.isEmpty else { return }
    write { format throws(StreamError) in try format.write(chunks) }
    if !isStopped { writtenChunks += chunks.count }
  }

  private mutating func writeGap(isLast: Bool) {
    let gap = Gap(
      chunks: output.missedChunks, bytes: output.missedBytes ?? 0,
      remaining: isLast ? output.chunks.payload.count : nil)
    write { format throws(StreamError) in try format.writeGap(gap) }
  }

  private mutating func write(_ body: (inout any OutputFormat) throws(StreamError) -> Void) {
    guard !isStopped else { return }
    do throws(StreamError) {
      try body(&format)
    } catch {
      isStopped = true
      guard !error.error.isBrokenPipe else { return }
      hasFailed = true
      complain("cannot write to \(error.descriptor): \(error.error.message)")
    }
  }
}
