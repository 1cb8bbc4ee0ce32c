import OutputRing

/// What the words are that a recorded session keeps for readers of its file. A word that was never
/// stored is 0.
package enum RecordingNote: Int {
  /// The PID of the session's process; 0 while there is none.
  case childPID = 0
  /// The time of the last activity in nanoseconds since 1970; 0 if there was none.
  case lastActivity = 1
  /// How the process ended: 1 if by itself, 2 if nobody knows, 256 and a signal's number if by that
  /// signal; 0 while it runs. The exit code is in the status word.
  case ending = 2
  /// 1 if the process still ran when its time was up.
  case isTimedOut = 3
  /// Whether the kernel killed for lack of memory: 1 for no, 2 for yes; 0 if that is not known.
  case outOfMemory = 4
  /// 1 if the three words that follow are stored.
  case isUsageKnown = 5
  /// The processor time spent in programs, in microseconds.
  case userTime = 6
  /// The processor time spent in the kernel, in microseconds.
  case systemTime = 7
  /// The most memory that was resident, in bytes.
  case peakResidentBytes = 8
  /// The number of bytes that came after the close, and were dropped.
  case droppedBytes = 9

  /// The greatest number that a reader believes: of microseconds, 285 years. A caller can calculate
  /// with it, in nanoseconds and in a `Double`.
  package static let greatest: UInt64 = 1 << 53
}

extension RecordedSession {
  /// Returns a note of the file, which may be any number.
  package func note(_ note: RecordingNote) -> UInt64 { reader.note(note.rawValue) }
}
