package import Processes

/// What there is to say at the end.
package struct Totals {
  package var exitCode: Int32?
  package var isAlive: Bool
  package var isClosed: Bool
  package var writtenChunks: Int
  package var lostBytes: Int
  package var totalBytes: Int
  package var missedChunks: Int
  /// nil if a part of it is not known.
  package var missedBytes: Int?
  /// The signal that ended the command.
  package var signal: Int32?
  /// Whether the command ran into its time limit.
  package var isTimedOut: Bool
  /// How long the command ran.
  package var seconds: Double
  /// When the session began, since the beginning of 1970 UTC; nil without timestamps.
  package var start: Duration?
  /// More about what was read from a recording; nil where there is none.
  package var recording: Recording?

  /// What `capture read` says besides.
  package struct Recording {
    package var state: RecordedSession.State
    package var isDamaged: Bool
    /// Where the next read continues.
    package var cursor: Cursor

    package init(state: RecordedSession.State, isDamaged: Bool, cursor: Cursor) {
      self.state = state
      self.isDamaged = isDamaged
      self.cursor = cursor
    }
  }

  package var retainedBytes: Int { totalBytes - lostBytes }

  package init(
    exitCode: Int32?, isAlive: Bool, isClosed: Bool, writtenChunks: Int, lostBytes: Int,
    totalBytes: Int, missedChunks: Int, missedBytes: Int?, signal: Int32? = nil,
    isTimedOut: Bool = false, seconds: Double = 0, start: Duration? = nil,
    recording: Recording? = nil
  ) {
    self.exitCode = exitCode
    self.isAlive = isAlive
    self.isClosed = isClosed
    self.writtenChunks = writtenChunks
    self.lostBytes = lostBytes
    self.totalBytes = totalBytes
    self.missedChunks = missedChunks
    self.missedBytes = missedBytes
    self.signal = signal
    self.isTimedOut = isTimedOut
    self.seconds = seconds
    self.start = start
    self.recording = recording
  }
}
