import HolderProtocol

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The socket in the directory of the daemon's state, where a new daemon finds the holder.
final class Listener {
  let path: String
  let descriptor: Descriptor
  /// Which file the socket is; nil if the system cannot tell.
  private let identity: FileIdentity?

  /// Makes the socket, which only this user and root can use.
  ///
  /// - Throws: ``HolderFailure/storage(reason:code:)``; nothing is left of the socket then.
  init(at path: String) throws(HolderFailure) {
    func failure(_ call: String) -> HolderFailure {
      let code = errno
      let message = unsafe String(cString: strerror(code))
      return .storage(reason: "cannot make the socket \(path) (\(call)): \(message)", code: code)
    }
    let bytes = Array(path.utf8)
    guard bytes.count <= StateFiles.maxSocketPath else {
      throw .storage(
        reason: "the path of the socket \(path) has \(bytes.count) bytes, and the system permits"
          + " \(StateFiles.maxSocketPath)", code: ENAMETOOLONG)
    }
    let number = socket(AF_UNIX, streamSocket, 0)
    guard number >= 0 else { throw failure("socket") }
    self.path = path
    descriptor = Descriptor(number)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
    // Others must not reach the socket before its mode is set.
    let mask = umask(0o177)
    let result = unsafe withUnsafePointer(to: &address) { address in
      unsafe address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
        unsafe bind(number, address, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    let code = errno
    umask(mask)
    errno = code
    guard result == 0 else { throw failure("bind") }
    identity = (try? FileIdentity(ofName: path)) ?? nil
    guard listen(number, 64) == 0 else {
      let error = failure("listen")
      unsafe unlink(path)
      throw error
    }
  }

  /// Whether the socket's name still stands for this socket.
  var place: Place {
    do throws(FileIdentity.Missing) {
      guard let current = try FileIdentity(ofName: path), let identity else { return .own }
      return current == identity ? .own : .replaced
    } catch {
      return .missing
    }
  }

  /// What the socket's name stands for.
  enum Place { case own, missing, replaced }

  /// Removes the socket, unless the name stands for another file by now.
  func remove() {
    if place == .own { unsafe unlink(path) }
  }

  // MARK: Connections

  /// What an attempt to accept a connection has led to.
  enum Arrival {
    case connection(Descriptor)
    /// A connection of another user; it is closed.
    case stranger
    /// There is none.
    case none
    /// The system cannot accept any now.
    case impossible
  }

  /// Accepts a connection, without waiting.
  func next() -> Arrival {
    let number = accept(descriptor.number, nil, nil)
    guard number >= 0 else {
      return isPassing(errno) || errno == ECONNABORTED ? .none : .impossible
    }
    let descriptor = Descriptor(number)
    return Self.isPermitted(number) ? .connection(descriptor) : .stranger
  }

  /// Whether the other end of a connection belongs to this user or to root.
  private static func isPermitted(_ number: Int32) -> Bool {
    #if canImport(Darwin)
      var (user, group) = (uid_t.max, gid_t.max)
      guard unsafe getpeereid(number, &user, &group) == 0 else { return false }
    #else
      // `struct ucred`: a process, a user and a group.
      var credentials: [UInt32] = [0, .max, .max]
      var size = socklen_t(12)
      guard unsafe getsockopt(number, SOL_SOCKET, SO_PEERCRED, &credentials, &size) == 0 else {
        return false
      }
      let user = credentials[1]
    #endif
    return user == 0 || user == geteuid()
  }
}
