#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A file descriptor that is closed when the last reference to it is gone.
final class Descriptor: Sendable {
  let number: Int32

  /// Takes over a descriptor, which no program that is started inherits, and whose calls do not
  /// block.
  init(_ number: Int32) {
    self.number = number
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
    _ = fcntl(number, F_SETFL, fcntl(number, F_GETFL) | O_NONBLOCK)
  }

  deinit { close(number) }
}

/// Whether a call that failed may succeed when the descriptor is ready, or at once.
func isPassing(_ code: Int32) -> Bool {
  code == EAGAIN || code == EWOULDBLOCK || code == EINTR
}

/// Returns whether a descriptor is that of a stream socket with a peer.
func isConnectedSocket(_ number: Int32) -> Bool {
  var kind: Int32 = 0
  var size = socklen_t(MemoryLayout<Int32>.size)
  guard unsafe getsockopt(number, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 else { return false }
  guard kind == streamSocket else { return false }
  var address = sockaddr_storage()
  size = socklen_t(MemoryLayout<sockaddr_storage>.size)
  return unsafe withUnsafeMutablePointer(to: &address) { address in
    unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
      unsafe getpeername(number, address, &size) == 0
    }
  }
}

/// `SOCK_STREAM`, which has another type in each C library.
var streamSocket: Int32 {
  #if canImport(Glibc)
    Int32(SOCK_STREAM.rawValue)
  #else
    SOCK_STREAM
  #endif
}

/// Closes all descriptors above one, which the daemon may have left open for this program.
func closeDescriptors(above last: Int32) {
  guard let directory = unsafe opendir("/dev/fd") else {
    // Without the directory nothing tells which are open.
    for number in (last + 1)..<1_024 { close(number) }
    return
  }
  var open: [Int32] = []
  while let entry = unsafe readdir(directory) {
    let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { name in
      let size = MemoryLayout.size(ofValue: unsafe name.pointee)
      return unsafe name.withMemoryRebound(to: CChar.self, capacity: size) {
        unsafe String(cString: $0)
      }
    }
    if let number = Int32(name), number > last { open.append(number) }
  }
  // One of them is the directory's own, and is closed already.
  unsafe closedir(directory)
  for number in open { close(number) }
}

/// Which file a name stands for; two files never have the same.
struct FileIdentity: Equatable {
  private let device: UInt64
  private let number: UInt64

  /// Looks up a name, without following a link.
  ///
  /// - Throws: ``Missing`` if nothing has the name; nothing if the system cannot tell.
  init?(ofName path: String) throws(Missing) {
    var status = stat()
    guard unsafe lstat(path, &status) == 0 else {
      if errno == ENOENT || errno == ENOTDIR { throw Missing() }
      return nil
    }
    device = UInt64(truncatingIfNeeded: status.st_dev)
    number = UInt64(truncatingIfNeeded: status.st_ino)
  }

  struct Missing: Error {}
}
