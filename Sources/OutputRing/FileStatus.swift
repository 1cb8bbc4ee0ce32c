#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What the system knows of a file.
package struct FileStatus: Sendable {
  /// Which file it is, whatever its names are.
  package struct Identity: Sendable, Hashable {
    fileprivate let device: UInt64
    fileprivate let number: UInt64
  }

  package let identity: Identity
  package let isRegular: Bool
  /// The size in bytes.
  package let size: Int
  /// When the file was written last, by a system call, since the beginning of 1970 UTC.
  package let lastWritten: Duration

  private init(_ status: stat) {
    identity = Identity(
      device: UInt64(truncatingIfNeeded: status.st_dev),
      number: UInt64(truncatingIfNeeded: status.st_ino))
    isRegular = status.st_mode & S_IFMT == S_IFREG
    size = Int(status.st_size)
    #if canImport(Darwin)
      let time = status.st_mtimespec
    #else
      let time = status.st_mtim
    #endif
    lastWritten = .seconds(Int64(time.tv_sec)) + .nanoseconds(Int64(time.tv_nsec))
  }

  /// - Parameter path: The file's name. A symbolic link is not followed.
  package init(ofName path: String) throws(RingFileError) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else {
      throw RingFileError(path, .system("lstat", errno))
    }
    self.init(status)
  }

  /// - Parameter path: The file's name, for errors.
  init(of descriptor: Int32, _ path: String) throws(RingFileError) {
    var status = stat()
    guard unsafe fstat(descriptor, &status) == 0 else {
      throw RingFileError(path, .system("fstat", errno))
    }
    self.init(status)
  }
}
