import HolderProtocol

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The directory in which a daemon keeps what is to survive it, and which it has to itself.
///
/// See ``StateFiles`` for what is in it.
final class StateDirectory: Sendable {
  /// The directory's absolute path.
  let path: String
  private let lock: Int32

  /// Makes the directory if it is not there, and claims it for this program.
  ///
  /// - Throws: ``StateDirectoryError`` if the directory cannot be used, or another program uses it.
  init(claiming path: String) throws(StateDirectoryError) {
    func fail(_ reason: String) -> StateDirectoryError {
      StateDirectoryError(description: "\(path): \(reason)")
    }
    let isNew = unsafe mkdir(path, 0o700) == 0
    guard isNew || errno == EEXIST else {
      throw fail("cannot make it: \(SystemError(code: errno))")
    }
    guard let resolved = unsafe realpath(path, nil) else {
      throw fail("\(SystemError(code: errno))")
    }
    defer { unsafe free(resolved) }
    self.path = unsafe String(cString: resolved)
    var status = stat()
    guard unsafe lstat(self.path, &status) == 0 else {
      throw fail("\(SystemError(code: errno))")
    }
    guard status.st_mode & S_IFMT == S_IFDIR else { throw fail("is no directory") }
    guard status.st_uid == geteuid() else { throw fail("belongs to another user") }
    guard status.st_mode & 0o077 == 0 else {
      throw fail(
        "other users have access to it: give the daemon a directory of its own, with chmod 700")
    }
    let name = StateFiles(directory: "", id: randomID()).socket
    let room = StateFiles.maxSocketPath - name.utf8.count
    guard self.path.utf8.count <= room else {
      if isNew { unsafe rmdir(path) }
      throw fail(
        "has \(self.path.utf8.count) bytes, and may have \(room): the path of a socket is limited")
    }
    lock = unsafe open(
      "\(self.path)/\(Self.lockName)", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard lock >= 0 else { throw fail("cannot write in it: \(SystemError(code: errno))") }
    guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
      let code = errno
      throw fail(
        code == EWOULDBLOCK
          ? "another processd uses it: end that, or give this one a directory of its own"
          : "cannot lock it: \(SystemError(code: code))")
    }
  }

  deinit { close(lock) }

  /// Lets another program claim the directory.
  func release() { flock(lock, LOCK_UN) }

  private static let lockName = "daemon.lock"

  /// Returns the names in the directory, in no particular order.
  func names() throws(SystemError) -> [String] {
    guard let directory = unsafe opendir(path) else { throw SystemError(code: errno) }
    defer { unsafe closedir(directory) }
    var names: [String] = []
    while let entry = unsafe readdir(directory) {
      // The record ends with the name: the whole of `d_name` may not be there.
      let start = unsafe UnsafeRawPointer(entry) + MemoryLayout<dirent>.offset(of: \.d_name)!
      let name = unsafe String(cString: start.assumingMemoryBound(to: CChar.self))
      if name != ".", name != "..", name != Self.lockName { names.append(name) }
    }
    return names
  }

  /// Returns how long ago a file was written last; nil if it is not there.
  func age(of name: String) -> Duration? {
    var (status, now) = (stat(), timespec())
    guard unsafe lstat("\(path)/\(name)", &status) == 0 else { return nil }
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    #if canImport(Darwin)
      let written = status.st_mtimespec
    #else
      let written = status.st_mtim
    #endif
    return .seconds(now.tv_sec - written.tv_sec) + .nanoseconds(now.tv_nsec - written.tv_nsec)
  }

  func remove(_ name: String) { unsafe unlink("\(path)/\(name)") }
}

extension StateFiles {
  /// Stores the session's record: all of it, or nothing.
  func write(record bytes: [UInt8]) throws(SystemError) {
    let temporary = "\(directory)/.\(id).record"
    let number = unsafe open(
      temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard number >= 0 else { throw SystemError(code: errno) }
    do throws(SystemError) {
      defer { close(number) }
      try Descriptor(number).write(bytes)
    } catch {
      unsafe unlink(temporary)
      throw error
    }
    guard unsafe rename(temporary, record) == 0 else {
      let code = errno
      unsafe unlink(temporary)
      throw SystemError(code: code)
    }
  }

  /// Reads the session's record.
  func readRecord() throws(SystemError) -> [UInt8] {
    let number = unsafe open(record, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)
    guard number >= 0 else { throw SystemError(code: errno) }
    defer { close(number) }
    var bytes: [UInt8] = []
    while true {
      let more = try Descriptor(number).read(upTo: 64 << 10)
      if more.isEmpty { return bytes }
      bytes += more
      guard bytes.count <= 16 << 20 else { throw SystemError(code: EFBIG) }
    }
  }

  /// Removes the session: its record first, since a session without one does not exist.
  func removeAll() {
    for path in [record, ring, socket] { unsafe unlink(path) }
  }

  func removeSocket() { unsafe unlink(socket) }

  func removeRecord() { unsafe unlink(record) }

  /// Takes the ring's name with an empty file. Returns whether no other program can make the ring:
  /// also if there is no room for either.
  func claimRing() -> Bool {
    let number = unsafe open(ring, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
    if number >= 0 { close(number) }
    return number >= 0 || [ENOSPC, EDQUOT].contains(errno)
  }

  /// Returns the id of the session that a file is named after; `ring` for a ring that was being
  /// made. Returns nil for other files.
  static func id(ofFile name: String) -> String? {
    if name.hasPrefix(".ring."), name.utf8.count == 12 { return "ring" }
    let isRecord = name.hasPrefix(".") && name.hasSuffix(".record")
    let suffixes = [recordSuffix, ringSuffix, socketSuffix]
    guard isRecord || suffixes.contains(where: { name.hasSuffix($0) }) else { return nil }
    let id = name.drop { $0 == "." }.prefix { $0 != "." }
    let isID = id.utf8.count == 32 && id.allSatisfy { $0.isHexDigit }
    return isID ? String(id) : nil
  }
}

/// The reason that a directory cannot keep a daemon's state.
public struct StateDirectoryError: Error, Sendable, CustomStringConvertible {
  /// What was wrong, with which directory.
  public let description: String
}
