/// How a wait for a pattern or a line ended.
public struct WaitResult: Sendable, Hashable {
  /// What ended the wait.
  public let outcome: Outcome

  /// How many bytes of the output, of both streams, could not be searched, because they were not
  /// retained any more when the search came to them.
  ///
  /// Nil if not known: for a wait that began with a cursor without an offset, as for
  /// ``Output/missedBytes``, and for lines as for ``Line/missedBytes``.
  public let missedBytes: Int?

  /// Where to go on: behind the match, or where a match with bytes that are still to come may
  /// begin.
  ///
  /// A wait that begins with this cursor for the same pattern finds each later match, and none
  /// twice. It is not told again of an exit that this one was told of.
  public let cursor: Cursor

  /// The line that matched; nil if none did, and after a search for bytes.
  public let line: Line?

  /// What ends a wait for a pattern or a line.
  public enum Outcome: Sendable, Hashable {
    /// It was found: where it lies in the session's output, both streams counted. The range is
    /// longer than the pattern if output of the other stream lies within.
    case matched(Range<Int>)
    /// The process has exited with this code, and all output before the exit was searched.
    case exited(Int32)
    /// The session was closed, so no more output can come: without an exit code, or with one that
    /// the cursor knew of.
    case closed
    /// The session's manager has dropped it; see ``SessionReader/isForgotten``.
    case forgotten
    /// The program that recorded the session ended without closing it; see
    /// ``Output/isAbandoned``.
    case abandoned
    /// The rest of a recording cannot be read; see ``Output/isDamaged``.
    case damaged
    /// The time was up, or the task was cancelled.
    case timedOut
  }

  /// Where the pattern was found in the session's output; nil if it was not.
  public var match: Range<Int>? {
    if case .matched(let range) = outcome { range } else { nil }
  }
}
