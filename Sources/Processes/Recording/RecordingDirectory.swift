public import OutputRing

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A directory of recordings: lists them, and removes those that ended long ago.
///
/// ```swift
/// let directory = RecordingDirectory("/run/builds")
/// for recording in try directory.contents().recordings where recording.state == .abandoned {
///   print(recording.path, recording.info.command)
/// }
/// try directory.sweep(endedLongerAgoThan: .seconds(3_600))
/// ```
///
/// Programs may create, read and sweep recordings in the directory at the same time. Other files
/// are left alone, and so are subdirectories and symbolic links.
public struct RecordingDirectory: Sendable, Hashable {
  /// The name of the directory.
  public let path: String

  /// Names a directory; nothing is opened yet.
  public init(_ path: String) { self.path = path }

  /// A recording in a directory, as it was when the directory was read.
  ///
  /// It holds neither memory nor a descriptor, so that there may be any number. To read the output,
  /// attach to it: `try RecordedSession(at: recording.path)`.
  public struct Recording: Sendable, Hashable {
    /// The name of the file: the directory's, a slash, and the name in it.
    public var path: String
    /// What the file says about the recording.
    public var info: RecordingInfo
    /// Whether the recording was still being written.
    public var state: RecordedSession.State
    /// When output last came, or an exit status, since the beginning of 1970 UTC.
    public var lastActivity: Duration
    /// The size of the file in bytes, all of which are allocated.
    public var fileSize: Int
  }

  /// What is in a directory.
  public struct Contents: Sendable, Hashable {
    /// The recordings, those that began first at the beginning.
    public var recordings: [Recording] = []
    /// Why files that may be recordings could not be read: each names its file.
    public var errors: [RingFileError] = []
  }

  /// What a sweep did.
  public struct Sweep: Sendable, Hashable {
    /// The names of the files that this sweep removed.
    public var removed: [String] = []
    /// Why files that may be recordings could not be read, or could not be removed: each names its
    /// file.
    public var errors: [RingFileError] = []
  }
}

// MARK: Listing

extension RecordingDirectory {
  /// Returns the recordings in the directory, and why other files that may be recordings cannot be
  /// read, such as those of another version of this library.
  ///
  /// A file that is removed meanwhile is left out.
  ///
  /// - Throws: `RingFileError` if the directory cannot be read.
  /// - Complexity: O(files · log files). Each file is opened, and its header is read; one file is
  ///   open and mapped at a time.
  public func contents() throws(RingFileError) -> Contents {
    var contents = Contents()
    for name in try names(errors: &contents.errors) where !Leftover.hasName(name) {
      let path = path(of: name)
      do throws(RingFileError) {
        guard let session = try attach(to: path), let file = session.reader.file else { continue }
        contents.recordings.append(
          Recording(
            path: path, info: session.info, state: session.state,
            lastActivity: session.lastActivity, fileSize: try file.status(path).size))
      } catch {
        if !error.meansNothingThere { contents.errors.append(error) }
      }
    }
    // The sort is stable, and the names are sorted.
    contents.recordings.sort { $0.info.start < $1.info.start }
    return contents
  }

  /// Attaches to a file; returns nil if it is no recording.
  private func attach(to path: String) throws(RingFileError) -> RecordedSession? {
    // Opening what is no regular file can have effects, as with a tape.
    guard try FileStatus(ofName: path).isRegular else { return nil }
    let session = try RecordedSession(at: path)
    // A ring that another program made for itself has no start.
    return session.info.start > .zero ? session : nil
  }

  private func path(of name: String) -> String {
    path.hasSuffix("/") ? path + name : path + "/" + name
  }

  /// Returns the names in the directory in their order, and appends an error for each that is no
  /// text.
  private func names(errors: inout [RingFileError]) throws(RingFileError) -> [String] {
    try RingFile.check(path)
    guard let directory = unsafe opendir(path) else {
      throw RingFileError(path, .system("opendir", errno))
    }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = unsafe readdir(directory) else { break }
      // The record ends with the name: the whole of `d_name` may not be there.
      let start = unsafe UnsafeRawPointer(entry) + MemoryLayout<dirent>.offset(of: \.d_name)!
      let bytes = unsafe start.assumingMemoryBound(to: CChar.self)
      if let name = unsafe String(validatingCString: bytes) {
        names.append(name)
      } else {
        errors.append(
          RingFileError(path(of: unsafe String(cString: bytes)), .system("readdir", EILSEQ)))
      }
    }
    guard errno == 0 else { throw RingFileError(path, .system("readdir", errno)) }
    return names.sorted()
  }
}

extension RingFileError {
  /// Whether there is no recording, so that there is nothing to report: no ring, or a file that
  /// another program has removed meanwhile.
  fileprivate var meansNothingThere: Bool {
    switch reason {
    case .notARing, .system(_, ENOENT): true
    default: false
    }
  }
}

// MARK: Sweeping

extension RecordingDirectory {
  /// Removes the recordings that have ended or were abandoned, and whose last activity is longer
  /// ago than a limit.
  ///
  /// A recording that is still being written is never removed, nor a file that is no recording, nor
  /// one that cannot be read. Readers and producers that have a removed recording open keep it.
  /// What a program has left that was killed while it created a recording is removed likewise,
  /// after a minute at the earliest.
  ///
  /// The age is the time since ``RecordedSession/lastActivity`` by the wall clock: a recording
  /// counts as old that was silent for long before it ended.
  ///
  /// Several sweeps may run at once. A file that has been replaced by another under its name stays.
  /// One moment cannot be excluded: if the file is removed and another one made under the same name
  /// between this method's last look at the name and its removal, two system calls that follow each
  /// other, then the new file's name is removed. Names that are not used again, such as a session's
  /// id, exclude that too.
  ///
  /// - Parameter limit: How long ago the last activity must be, to the nanosecond.
  /// - Returns: The names of the files removed, and why others that may be recordings could not be
  ///   read or removed.
  /// - Throws: `RingFileError` if the directory cannot be read.
  /// - Complexity: as ``contents()``.
  @discardableResult
  public func sweep(endedLongerAgoThan limit: Duration) throws(RingFileError) -> Sweep {
    try sweep(endedLongerAgoThan: limit, at: RecordingInfo.wallClock) { _ in }
  }

  /// Sweeps as of a moment.
  ///
  /// - Parameter willRemove: Called with the name of each file that has been found to be old,
  ///   before the last look at it.
  func sweep(
    endedLongerAgoThan limit: Duration, at now: Duration, willRemove: (String) -> Void
  ) throws(RingFileError) -> Sweep {
    var sweep = Sweep()
    for name in try names(errors: &sweep.errors) {
      let path = path(of: name)
      do throws(RingFileError) {
        let isTemporary = Leftover.hasName(name)
        guard
          let file = isTemporary
            ? try leftover(path, olderThan: max(limit, Leftover.minimumAge), at: now)
            : try endedRecording(path, longerAgoThan: limit, at: now)
        else { continue }
        willRemove(path)
        if try remove(path, of: file) { sweep.removed.append(path) }
      } catch {
        if !error.meansNothingThere { sweep.errors.append(error) }
      }
    }
    return sweep
  }

  /// Returns the file of a recording that may be removed.
  private func endedRecording(
    _ path: String, longerAgoThan limit: Duration, at now: Duration
  ) throws(RingFileError) -> RingFile? {
    guard let session = try attach(to: path), session.state != .recording,
      now - session.lastActivity > limit
    else { return nil }
    return session.reader.file
  }

  /// Returns the file of a leftover that may be removed.
  private func leftover(
    _ path: String, olderThan limit: Duration, at now: Duration
  ) throws(RingFileError) -> RingFile? {
    guard try FileStatus(ofName: path).isRegular else { return nil }
    let file = try RingFile(reading: path)
    guard try file.isLeftover(path), now - (try file.status(path).lastWritten) > limit else {
      return nil
    }
    return file
  }

  /// Removes a name if it is still that of a file. Returns whether it did.
  ///
  /// The file is open, so no other file can have got its number.
  private func remove(_ path: String, of file: RingFile) throws(RingFileError) -> Bool {
    let identity = try file.status(path).identity
    guard try FileStatus(ofName: path).identity == identity else { return false }
    guard unsafe unlink(path) == 0 else { throw RingFileError(path, .system("unlink", errno)) }
    return true
  }

  /// What a program leaves that is killed while it creates a recording.
  private enum Leftover {
    /// A file that is being made has no lock for a moment after its creation.
    static let minimumAge = Duration.seconds(60)

    static func hasName(_ name: String) -> Bool {
      name.hasPrefix(RingFile.temporaryPrefix)
        && name.utf8.count == RingFile.temporaryPrefix.utf8.count + 6
    }
  }
}
