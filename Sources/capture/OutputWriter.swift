import CaptureFormat
import ProcessHost
import Processes

/// Reads a session, and writes its output in some format.
///
/// After a write has failed it writes nothing more.
struct OutputWriter {
  private let session: SessionReader
  private var format: any OutputFormat
  private var output = Output()
  private var cursor: Cursor
  private var skippedBytes: Int
  private var writtenChunks = 0
  private var missedChunks = 0
  /// nil if a part of it is not known, because the first position was a seq alone.
  private var missedBytes: Int? = 0
  private var isStopped = false

  /// Whether a write has failed for another reason than that no process reads the output.
  private(set) var hasFailed = false

  /// The most payload that is read at a time.
  private static let readSize = Session.maxBufferBytes

  /// Whether the session's file holds what no program of this library stores.
  private(set) var isDamaged = false
  /// Whether output was missed.
  var hasMissed: Bool { missedChunks > 0 || missedBytes != 0 }
  /// Whether the position was one of another session, or ahead of all chunks.
  private(set) var (isForeign, isAhead) = (false, false)

  /// - Parameters:
  ///   - cursor: Where to begin.
  ///   - skippedBytes: The bytes of the first chunk that are left out where a format can.
  init(
    session: SessionReader, since cursor: Cursor = .start, skipping skippedBytes: Int = 0,
    format: any OutputFormat
  ) {
    self.session = session
    self.cursor = cursor
    self.skippedBytes = skippedBytes
    self.format = format
  }

  /// Writes output as it arrives, until the session is closed.
  ///
  /// - Parameters:
  ///   - isOver: Whether to stop before the session is closed.
  ///   - gate: The gate that holds up the command while this writer is behind.
  ///   - onBrokenPipe: Called if writing stops because no process reads the output.
  @MainActor
  mutating func follow(
    until isOver: () -> Bool, heldUpBy gate: OutputGate? = nil, onBrokenPipe: () -> Void
  ) async {
    defer { gate?.open() }
    // Reserves room for the whole session at once, if it is in memory: output that has been read
    // cannot be overwritten while it is written.
    output = Output(
      reservingBytes: min(session.capacity + session.headCapacity, Self.readSize),
      chunks: Session.maxBufferedChunks, timestamps: session.hasTimestamps)
    while true {
      let isLast = isOver()
      read()
      // Output that has been read cannot be overwritten, so the command may go on.
      gate?.took(output)
      writeChunks(isLast: false)
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
    // A process that writes on, unwaited for, is not followed.
    let last = session.lastSeq
    repeat {
      read()
      if chunks { writeChunks(isLast: true) }
    } while output.hasMore && cursor.seq < last
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
      isTimedOut: isTimedOut, seconds: time.seconds,
      start: session.hasTimestamps ? max(session.start, .zero) : nil,
      recording: (session as? RecordedSession).map {
        Totals.Recording(state: $0.state, isDamaged: isDamaged, cursor: cursor)
      })
    write { format throws(StreamError) in try format.writeEnd(totals) }
  }

  private mutating func read() {
    session.read(since: cursor, maxBytes: Self.readSize, into: &output)
    // The bytes to leave out are of the first chunk after the position that was given.
    if output.missedChunks > 0, output.gapIndex == 0 { skippedBytes = 0 }
    cursor = output.cursor
    isDamaged = isDamaged || output.isDamaged
    isForeign = isForeign || output.isCursorForeign
    isAhead = isAhead || output.isCursorAhead
    missedChunks = saturatingSum(missedChunks, output.missedChunks)
    missedBytes = missedBytes.flatMap { sum in
      output.missedBytes.map { saturatingSum(sum, $0) }
    }
  }

  /// Writes what was read: the head's chunks, if any, then what was missed, then the rest.
  private mutating func writeChunks(isLast: Bool) {
    let gapIndex = output.gapIndex
    writeChunks(output.chunks[..<gapIndex])
    // Of a chunk larger than the capacity, the beginning is missed.
    if output.missedChunks > 0 || output.missedBytes != 0 { writeGap(isLast: isLast) }
    writeChunks(output.chunks[gapIndex...])
  }

  private mutating func writeChunks(_ chunks: Slice<Chunks>) {
    guard !chunks.isEmpty else { return }
    let skipped = skippedBytes
    skippedBytes = 0
    write { format throws(StreamError) in try format.write(chunks, skipping: skipped) }
    if !isStopped { writtenChunks += chunks.count }
  }

  private mutating func writeGap(isLast: Bool) {
    let gap = Gap(
      chunks: output.missedChunks, bytes: output.missedBytes,
      remaining: isLast ? remainingBytes : nil)
    write { format throws(StreamError) in try format.writeGap(gap) }
  }

  /// The bytes behind what the last read has missed.
  private var remainingBytes: Int {
    let chunks = output.chunks[output.gapIndex...]
    guard output.hasMore, let first = chunks.first else {
      return chunks.reduce(0) { $0 + $1.data.count }
    }
    return session.totalBytes - first.offset
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

/// Returns a sum, or the greatest number there is: a damaged recording can count anything.
private func saturatingSum(_ left: Int, _ right: Int) -> Int {
  let (sum, overflow) = left.addingReportingOverflow(right)
  return overflow ? .max : sum
}
