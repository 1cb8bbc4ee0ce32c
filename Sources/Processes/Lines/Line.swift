public import OutputRing

/// A line of a session's output, or a part of one.
///
/// See ``SessionReader/lines(of:since:maxLength:)``.
public struct Line: Sendable, Hashable {
  /// The stream to which the line was written.
  public let stream: StandardStream

  /// What the process wrote, without the newline.
  ///
  /// A line that lies in one read is a slice of that read's memory, and keeps it alive. Only a line
  /// that spans several reads, or that the other stream interrupts, is copied: once.
  public let bytes: ChunkBytes

  /// Where the line lies in the session's output, both streams counted: from its first byte to
  /// behind its last, without the newline. The range is longer than the line if output of the other
  /// stream lies within.
  public let range: Range<Int>

  /// What ended the line.
  public let ending: Ending

  /// Whether the line continues the one that this stream's last line was a part of.
  public let isContinuation: Bool

  /// Whether output was missed before this line, since the line before it of the same stream: the
  /// line's beginning may be missing.
  public let followsLoss: Bool

  /// How many chunks could not be read between the sequence's last element, of either stream, and
  /// this one.
  public let missedChunks: Int

  /// How many bytes, of both streams, could not be read between the sequence's last element, of
  /// either stream, and this one.
  ///
  /// Nil if not known: for a sequence that began with a cursor without an offset, as for
  /// ``Output/missedBytes``, or within a line that the other stream interrupted.
  public let missedBytes: Int?

  /// Where to go on behind this line.
  ///
  /// ``SessionReader/lines(of:since:maxLength:)`` with this cursor and the same streams returns
  /// exactly the lines that follow, also those that were begun before this one ended. Other reads
  /// with this cursor begin with the whole chunk in which the first such line begins.
  public let cursor: Cursor

  /// The bytes of output before the line, both streams counted.
  public var offset: Int { range.lowerBound }

  /// Whether the line was read to its newline.
  public var isComplete: Bool { ending == .newline }

  /// Whether this is a part of a line that is longer than the limit: the first, the last, or one
  /// between them.
  public var isPart: Bool { isContinuation || ending == .limit }

  /// The line as text, with U+FFFD for what is not valid UTF-8, and without the carriage return
  /// that ends the lines of a terminal.
  ///
  /// - Complexity: O(number of bytes); each access makes a new string.
  public var text: String {
    let hasReturn = ending == .newline && bytes.last == UInt8(ascii: "\r")
    return String(hasReturn ? bytes.dropLast() : bytes)
  }

  /// What ends a line.
  public enum Ending: Sendable, Hashable {
    /// Its newline.
    case newline
    /// The limit on its length: the stream's next line continues it.
    case limit
    /// A loss: what came behind it could not be read.
    case loss
    /// The end of the output; for ``SessionReader/tail(lines:of:maxLength:)`` also the end of what
    /// has come so far.
    case end
  }
}

extension Line: CustomStringConvertible {
  /// The stream and the text, such as `stdout "compiling…"`, and what ended the line if that is not
  /// a newline.
  public var description: String {
    let missed = missedBytes.map { "\($0) bytes" } ?? "bytes not known"
    return "\(stream) \(text.debugDescription)" + (isContinuation ? ", continued" : "")
      + (isComplete ? "" : ", ended by \(ending)")
      + (missedChunks > 0 || missedBytes != 0 ? ", \(missed) missed before it" : "")
  }
}
