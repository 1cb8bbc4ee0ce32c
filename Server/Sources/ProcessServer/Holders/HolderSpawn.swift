#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A holder that has just been started.
struct SpawnedHolder {
  let processID: Int32
  /// This program's end of the socket that the holder has as descriptor 3.
  let socket: Int32

  /// Starts a holder, in a session of its own: it does not end with this program.
  ///
  /// It has this program's environment and working directory, the default action of every signal,
  /// and no descriptors besides the socket.
  ///
  /// - Parameter executable: The path of the holder's executable.
  init(_ executable: String) throws(SystemError) {
    let (own, other) = try connectedSockets()
    defer { close(other) }
    do throws(SystemError) {
      processID = try Self.spawn(executable, socket: other)
    } catch {
      close(own)
      throw error
    }
    socket = own
  }

  private static func spawn(_ executable: String, socket: Int32) throws(SystemError) -> Int32 {
    #if canImport(Darwin)
      var (actions, attributes) = (posix_spawn_file_actions_t?.none, posix_spawnattr_t?.none)
      // POSIX_SPAWN_SETSID and POSIX_SPAWN_CLOEXEC_DEFAULT.
      let newSession: Int32 = 0x4400
    #else
      var actions = unsafe posix_spawn_file_actions_t()
      var attributes = posix_spawnattr_t()
      // POSIX_SPAWN_SETSID, which headers hide from strict C.
      let newSession: Int32 = 0x80
    #endif
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    // First, since the socket's own number may be one of the three.
    unsafe posix_spawn_file_actions_adddup2(&actions, socket, 3)
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, 0, 1)
    unsafe posix_spawn_file_actions_adddup2(&actions, 0, 2)
    unsafe closeOthers(&actions)

    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    var (all, none) = (sigset_t(), sigset_t())
    unsafe sigfillset(&all)
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)
    unsafe posix_spawnattr_setflags(
      &attributes,
      Int16(newSession | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)))

    guard let name = unsafe strdup(executable) else { throw SystemError(code: ENOMEM) }
    defer { unsafe free(name) }
    var arguments: [UnsafeMutablePointer<CChar>?] = unsafe [name, nil]
    var processID: pid_t = 0
    let code = unsafe posix_spawn(
      &processID, executable, &actions, &attributes, &arguments, ownEnvironment())
    guard code == 0 else { throw SystemError(code: code) }
    return processID
  }

  #if canImport(Darwin)
    private static func closeOthers(_ actions: inout posix_spawn_file_actions_t?) {}
  #else
    /// Closes the descriptors above the socket, such as clients' connections: else they would stay
    /// open until the holder's own code runs, which closes them too.
    private static func closeOthers(_ actions: inout posix_spawn_file_actions_t) {
      // glibc has it since 2.34.
      guard let symbol = unsafe dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else {
        return
      }
      typealias Add =
        @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
      let add = unsafe unsafeBitCast(symbol, to: Add.self)
      _ = unsafe add(&actions, 4)
    }
  #endif

  /// This program's environment, byte for byte.
  private static func ownEnvironment() -> UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? {
    #if canImport(Darwin)
      unsafe _NSGetEnviron().pointee
    #else
      unsafe dlsym(nil, "environ")?
        .assumingMemoryBound(to: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?.self).pointee
    #endif
  }

  /// Reaps the holder if it has ended. Returns whether it has.
  static func reap(_ processID: Int32) -> Bool {
    var status: Int32 = 0
    let result = unsafe waitpid(processID, &status, WNOHANG)
    return result == processID || (result < 0 && errno == ECHILD)
  }
}

extension SpawnedHolder {
  /// Reaps a holder that ends at about this time.
  static func reapSoon(_ processID: Int32) async {
    for _ in 0..<500 where !reap(processID) { try? await Task.sleep(for: .milliseconds(10)) }
  }
}

/// Returns the two ends of a connection, of which no other program gets a copy.
private func connectedSockets() throws(SystemError) -> (Int32, Int32) {
  var ends: (Int32, Int32) = (-1, -1)
  let result = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
    unsafe socketpair(
      AF_UNIX, streamSocket, 0, bytes.assumingMemoryBound(to: Int32.self).baseAddress)
  }
  guard result == 0 else { throw SystemError(code: errno) }
  #if canImport(Darwin)
    _ = fcntl(ends.0, F_SETFD, FD_CLOEXEC)
    _ = fcntl(ends.1, F_SETFD, FD_CLOEXEC)
  #endif
  return ends
}

extension SystemError {
  /// Whether no program listens on the socket that was to be connected.
  var meansNothingListens: Bool { code == ENOENT || code == ECONNREFUSED }
}

/// Connects to a socket in the file system.
///
/// - Returns: The descriptor, which does not block.
/// - Throws: `ENOENT` or `ECONNREFUSED` if no program listens there, `EAGAIN` if one does and is
///   slow.
func connectSocket(to path: String) throws(SystemError) -> Int32 {
  var address = sockaddr_un()
  address.sun_family = sa_family_t(AF_UNIX)
  let bytes = Array(path.utf8)
  let room = unsafe withUnsafeMutableBytes(of: &address.sun_path) { place in
    unsafe place.copyBytes(from: bytes.prefix(place.count - 1))
    return place.count - 1
  }
  guard bytes.count <= room else { throw SystemError(code: ENAMETOOLONG) }
  let number = socket(AF_UNIX, streamSocket, 0)
  guard number >= 0 else { throw SystemError(code: errno) }
  _ = fcntl(number, F_SETFL, O_NONBLOCK)
  #if canImport(Darwin)
    _ = fcntl(number, F_SETFD, FD_CLOEXEC)
  #endif
  let result = unsafe withUnsafePointer(to: &address) { pointer in
    unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      unsafe connect(number, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
    }
  }
  guard result == 0 else {
    let code = errno
    close(number)
    throw SystemError(code: code)
  }
  return number
}

private var streamSocket: Int32 {
  #if canImport(Darwin)
    SOCK_STREAM
  #else
    Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
  #endif
}
