public import OutputRing

extension Session {
  /// Creates a session whose output lies in a file, where other programs can read it while it is
  /// written, and after the end of this program, however it ended; see ``RecordedSession``.
  ///
  /// ```swift
  /// let session = try Session(recordingTo: "/run/builds/7.ring", command: ["make", "all"])
  /// ```
  ///
  /// The session itself is like any other. Its file has mode 0600 and is never written again once
  /// this session is gone. All of the file's room is allocated here: about 1.6 MiB for the default
  /// capacity, so that a full disk is an error here and nothing later. Appending costs what it
  /// costs in memory.
  ///
  /// - Parameters:
  ///   - path: The name of the file, which must not exist.
  ///   - id: The caller's name for the session.
  ///   - workspaceID: The workspace that it belongs to.
  ///   - capacity: The most payload bytes to retain, up to 1 GiB. With more than 4 MiB the limit on
  ///     the number of chunks grows too: to about one for each 64 bytes.
  ///   - headCapacity: The bytes at the beginning of the output that are never evicted, besides
  ///     `capacity`; see ``SessionReader/headCapacity``.
  ///   - timestamps: Whether to keep when each chunk was appended (``Chunk/timestamp``): 512 KiB
  ///     more for the default capacity.
  ///   - command: The command and its arguments, for readers of the file.
  ///   - clock: The clock for ``lastActivity`` and timestamps.
  /// - Throws: `RingFileError` if the file exists or cannot be made, as on a full disk, or if the
  ///   id and the workspace's are longer than some 3,900 bytes.
  /// - Precondition: `capacity` is from 1 to `RingLayout.maxCapacity`, `headCapacity` from 0 to it.
  /// - Complexity: O(`capacity` + `headCapacity`).
  public convenience init(
    recordingTo path: String, id: String = uniqueID(), workspaceID: String = "",
    capacity: Int = Session.maxBufferBytes, headCapacity: Int = 0, timestamps: Bool = false,
    command: [String] = [], clock: ActivityClock = .system
  ) throws(RingFileError) {
    try self.init(
      recordingTo: path, id: id, workspaceID: workspaceID, capacity: capacity,
      headCapacity: headCapacity, timestamps: timestamps,
      commandBytes: command.map { Array($0.utf8) }, clock: clock)
  }

  /// Creates a session whose output lies in a file, of a command whose words need not be text; see
  /// ``init(recordingTo:id:workspaceID:capacity:headCapacity:timestamps:command:clock:)``.
  public convenience init(
    recordingTo path: String, id: String = uniqueID(), workspaceID: String = "",
    capacity: Int = Session.maxBufferBytes, headCapacity: Int = 0, timestamps: Bool = false,
    commandBytes: [[UInt8]], clock: ActivityClock = .system
  ) throws(RingFileError) {
    let epoch = SessionEpoch.next()
    let start = SessionStart(by: clock)
    let info = RecordingInfo(
      id: id, workspaceID: workspaceID, commandBytes: commandBytes, epoch: epoch, start: start)
    let writer = try RingWriter(
      recordingTo: path,
      Self.layout(capacity: capacity, headCapacity: headCapacity, timestamps: timestamps),
      metadata: info.encoded(upTo: RingFileError.metadataLimit))
    let reader = writer.reader
    self.init(
      id: id, workspaceID: workspaceID, clock: clock, reader: reader, epoch: epoch,
      start: start, SharedProducer(writer: writer))
  }

  /// Whether the session's output lies in a file.
  public var isRecorded: Bool { reader.isInFile }

  /// Notes the PID of the session's process in its file, if it has one.
  package func noteChild(pid: Int32) { note(.childPID, UInt64(UInt32(bitPattern: pid))) }

  /// Stores a note in the session's file, if it has one. A reader that finds it, or a status that
  /// is set later, finds what was noted before as well.
  package func note(_ note: RecordingNote, _ value: UInt64) {
    if isRecorded { reader.setNote(note.rawValue, to: value) }
  }
}

extension Session {
  /// Notes in the file when the session was active last, by the clock that other programs have.
  func noteActivityInFile() {
    let time = RecordingInfo.wallClock.saturatedNanoseconds
    note(.lastActivity, UInt64(clamping: time))
  }
}

extension Session.Producer {
  /// Creates a session whose output lies in a file, and its only producer.
  ///
  /// The parameters, the errors, the precondition and the complexity are those of
  /// ``Session/init(recordingTo:id:workspaceID:capacity:headCapacity:timestamps:command:clock:)``.
  public init(
    recordingTo path: String, id: String = Session.uniqueID(), workspaceID: String = "",
    capacity: Int = Session.maxBufferBytes, headCapacity: Int = 0, timestamps: Bool = false,
    command: [String] = [], clock: ActivityClock = .system
  ) throws(RingFileError) {
    let session = try Session(
      recordingTo: path, id: id, workspaceID: workspaceID, capacity: capacity,
      headCapacity: headCapacity, timestamps: timestamps, command: command, clock: clock)
    // No other part of the program knows the session yet.
    self.init(of: session, session.producers.withLock { $0.take() }!)
  }
}
