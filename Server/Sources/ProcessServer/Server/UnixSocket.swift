import NIOCore
import NIOPosix

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A socket in the file system on which a server will listen.
struct UnixSocket: Sendable {
  let path: String

  /// Checks that the path is free, or is that of a socket on which no program listens any more.
  ///
  /// - Throws: ``ListenError``.
  func claim() async throws {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else { return }
    guard status.st_mode & S_IFMT == S_IFSOCK else {
      throw ListenError(description: "\(path) is there already, and is no socket")
    }
    let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
    if let channel = try? await bootstrap.connect(unixDomainSocketPath: path).get() {
      try? await channel.close()
      throw ListenError(description: "\(path): another server listens there")
    }
  }

  /// Makes new files private to this user from now on, including the socket. Returns the mask to
  /// restore.
  func restrict() -> mode_t { umask(0o177) }

  func remove() { unsafe unlink(path) }
}

/// The reason that a server cannot listen.
public struct ListenError: Error, Sendable, CustomStringConvertible {
  /// What was wrong, and where.
  public let description: String
}
