#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif
import CaptureFormat
import ProcessHost
import Processes

/// A file that gets all of a session's output, as it is or as an asciicast.
struct OutputTarget: Sendable {
  let path: Command.Text
  private let descriptor: Int32
  /// nil for a file that gets the output as it is.
  private var cast: Cast?
  /// The error after which nothing more is written.
  private(set) var error: WriteError?

  /// Opens the file, and truncates it if it exists.
  init(path: Command.Text) throws(WriteError) {
    self.path = path
    let name = path.bytes.map { CChar(bitPattern: $0) } + [0]
    descriptor = unsafe open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw WriteError(code: errno) }
  }

  /// Makes it a file that gets an asciicast.
  mutating func begin(_ cast: Cast) { self.cast = cast }

  /// Writes what a read returned.
  mutating func write(_ output: Output) {
    do throws(WriteError) {
      if let lines = cast?.lines(of: output) {
        let span = unsafe lines.span.bytes
        try unsafe span.withUnsafeBytes { bytes throws(WriteError) in try unsafe write(bytes) }
      } else {
        try unsafe output.chunks.payload.withUnsafeBytes { bytes throws(WriteError) in
          try unsafe write(bytes)
        }
      }
    } catch {
      self.error = error
    }
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws(WriteError) {
    if error == nil { try unsafe writeAll(bytes, to: descriptor) }
  }

  /// Writes the end, and closes the file.
  mutating func finish() {
    if let lines = cast?.end() {
      let span = unsafe lines.span.bytes
      do throws(WriteError) {
        try unsafe span.withUnsafeBytes { bytes throws(WriteError) in try unsafe write(bytes) }
      } catch {
        self.error = error
      }
    }
    // A file system may report only at the close that it had no space.
    if close(descriptor) != 0, error == nil, errno != EINTR { error = WriteError(code: errno) }
  }
}

/// Turns a session's output, and the sizes of its terminal, into an asciicast.
struct Cast: Sendable {
  private var asciicast: Asciicast
  private let sizes: TerminalSizes?
  /// Returns when a change of size was, since the session's start.
  private let time: @Sendable (TerminalSizes.Change) -> Duration

  /// - Parameters:
  ///   - session: The session, whose chunks have timestamps.
  ///   - command: The command's words.
  ///   - sizes: The sizes of its terminal.
  init(of session: Session, running command: [String], in sizes: TerminalSizes) {
    self.init(session, command, sizes.first, sizes) { change in
      .nanoseconds(session.timestamp(at: change.time))
    }
  }

  /// - Parameter recording: A recording with timestamps; the sizes of its terminal are not known.
  init(of recording: RecordedSession) {
    self.init(recording, recording.info.command, TerminalSize(), nil) { _ in .zero }
  }

  private init(
    _ session: SessionReader, _ command: [String], _ size: TerminalSize, _ sizes: TerminalSizes?,
    time: @escaping @Sendable (TerminalSizes.Change) -> Duration
  ) {
    self.sizes = sizes
    self.time = time
    asciicast = Asciicast(
      Asciicast.Header(
        columns: Int(size.columns), rows: Int(size.rows), start: session.start,
        command: command.map(shellQuoted).joined(separator: " "),
        term: unsafe getenv("TERM").map { unsafe String(cString: $0) }))
  }

  /// Returns the lines for what a read returned: the head's chunks, if any, then what was missed,
  /// then the rest.
  mutating func lines(of output: Output) -> [UInt8] {
    let chunks = output.chunks
    append(chunks[..<output.gapIndex])
    // Of a chunk that is larger than the capacity, only bytes are missed.
    if output.missedChunks > 0 || output.missedBytes != 0 {
      asciicast.appendGap(
        bytes: output.missedBytes, at: chunks[output.gapIndex...].first?.timestamp)
    }
    append(chunks[output.gapIndex...])
    return asciicast.take()
  }

  /// Returns the lines behind the last output.
  mutating func end() -> [UInt8] {
    asciicast.finish()
    appendResizes { _ in true }
    return asciicast.take()
  }

  private mutating func append(_ chunks: Slice<Chunks>) {
    for chunk in chunks {
      appendResizes { $0 <= chunk.timestamp ?? .zero }
      asciicast.append(CollectionOfOne(chunk))
    }
  }

  private mutating func appendResizes(while isDue: (Duration) -> Bool) {
    for change in sizes?.takeChanges(while: { isDue(time($0)) }) ?? [] {
      asciicast.appendResize(
        columns: Int(change.size.columns), rows: Int(change.size.rows), at: time(change))
    }
  }
}
