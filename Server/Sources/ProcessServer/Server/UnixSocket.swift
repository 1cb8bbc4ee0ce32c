import NIOCore
import NIOPosix

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A socket in the file system that a server is to listen on.
struct UnixSocket: Sendable {
  let path: String

  /// Sees to it that the path is free, or that of a socket on which nobody listens any more.
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

  /// Makes files private to this user from now on, the socket among them; returns what to restore.
  func restrict() -> mode_t { umask(0o177) }

  func remove() { unsafe unlink(path) }
}

/// Why a server cannot listen.
public struct ListenError: Error, Sendable, CustomStringConvertible {
  /// What was wrong, and where.
  public let description: String
}
