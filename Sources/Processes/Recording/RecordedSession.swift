public import OutputRing
import Synchronization

/// A session that another program records in a file, or recorded until it ended.
///
/// It has all that ``SessionReader`` offers, while the output is written and afterwards, also if
/// the recording program was killed:
///
/// ```swift
/// let recording = try RecordedSession(at: "/run/builds/7.ring")
/// for await output in recording.outputs() {
///   for chunk in output.chunks { print(chunk) }
///   if output.isAbandoned { print("the program that recorded this is gone") }
/// }
/// ```
///
/// Readers map the file to read it only; they neither slow nor harm the program that writes it. A
/// wait looks for news after a millisecond, and then ever more rarely down to every 20. A program
/// that learns of news in another way sleeps until then: see ``setNewsSource(_:)``.
///
/// What the file holds is not believed. Whatever bytes are there, a read yields chunks, gaps, or
/// ``Output/isDamaged``. The file must not be cut short while it is in use: reading what is gone
/// raises SIGBUS; see ``isWhole``.
public final class RecordedSession: SessionReader, @unchecked Sendable {
  /// The name of the file.
  public let path: String
  /// What the file says about the recording.
  public let info: RecordingInfo
  /// What promises to tell of news; nil for nothing.
  let newsSource = LockedState<(@Sendable (Cursor) -> Bool)?>(nil)

  /// Attaches to a recording.
  ///
  /// - Parameter path: The file that
  ///   ``Session/init(recordingTo:id:workspaceID:capacity:headCapacity:timestamps:command:clock:)``
  ///   made.
  /// - Throws: `RingFileError` if there is no such file, or none that can be read.
  /// - Complexity: O(1).
  public init(at path: String) throws(RingFileError) {
    let reader = try RingReader(attachingTo: path)
    self.path = path
    info = RecordingInfo(decoding: reader.metadata)
    super.init(
      id: info.id, workspaceID: info.workspaceID, reader: reader, epoch: info.epoch,
      start: info.start, startUncertainty: info.startUncertainty)
  }

  override func noteAbandonment() {
    // In this order: a program may close the session and end between the two.
    guard !endings.load(ordering: .relaxed).contains(.abandoned), !reader.isProducerAlive,
      !isClosed
    else { return }
    note(.abandoned)
  }

  override func requestWakeup(past cursor: Cursor) -> Bool {
    // Not under the lock: the source may take its time, and call back.
    let source = newsSource.withLock { $0 }
    return source?(cursor) ?? false
  }

  /// Whether a recording is still being written.
  public enum State: String, Sendable, Hashable {
    /// The program that records runs, and more output may come.
    case recording
    /// The recording program closed the session: the output is complete.
    case ended
    /// The recording program ended, or gave the session up, without closing it: it was killed, or
    /// crashed.
    case abandoned
  }

  /// Whether the recording is still being written.
  ///
  /// - Complexity: O(1); a system call unless it has ended.
  public var state: State {
    noteAbandonment()
    if isClosed { return .ended }
    return endings.load(ordering: .relaxed).contains(.abandoned) ? .abandoned : .recording
  }

  /// The PID of the process whose output is recorded; nil if there is none, or none yet.
  ///
  /// The process may have ended, and the PID may be another's by now.
  public var childPID: Int32? {
    let pid = Int32(truncatingIfNeeded: note(.childPID))
    return pid > 0 ? pid : nil
  }

  /// When output last came, or an exit status, since the beginning of 1970 UTC.
  public var lastActivity: Duration {
    let nanoseconds = Int64(clamping: note(.lastActivity))
    return max(.nanoseconds(nanoseconds), info.start)
  }

  /// Whether the machine has not been started anew since the recording began.
  ///
  /// A recording of an earlier boot has what the system had written to the disk by then. Its seqs
  /// and lengths are checked like all others. The bytes of a chunk may be older than its
  /// descriptor.
  public var isOfThisBoot: Bool { reader.isOfThisBoot }

  /// Whether the file is still as long as it was when this program attached to it.
  ///
  /// Only the file's owner can cut it short, and no program of this library does. Afterwards, every
  /// read of this recording may end the program by SIGBUS. A program that reads files of others'
  /// asks before it reads. That leaves a race: the file may be cut short between the answer and the
  /// read, or during the read.
  ///
  /// - Complexity: O(1); one system call, `fstat(2)`. No access to the mapping. False if the call
  ///   fails, as on a file server that is gone.
  public var isWhole: Bool { reader.isFileWhole }
}
