import CSpawn

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The error of a system call, a value of `errno`.
package struct SystemError: Error, Hashable {
  let code: Int32

  package init(code: Int32) { self.code = code }

  /// The error of the calling thread's latest failed call.
  package static var last: SystemError { SystemError(code: errno) }

  /// The system's description of the error.
  package var message: String { systemMessage(code) }

  /// Returns the launch error for it.
  func launchError(_ reason: String) -> LaunchError {
    switch code {
    case EMFILE, ENFILE, EAGAIN, ENOMEM, ENOSPC: .outOfResources(code: code)
    default: .other(reason: reason, code: code)
    }
  }
}

/// Returns the system's description of an error.
func systemMessage(_ code: Int32) -> String {
  unsafe withUnsafeTemporaryAllocation(of: CChar.self, capacity: 256) { text in
    guard let start = text.baseAddress, unsafe strerror_r(code, start, text.count) == 0 else {
      return "error \(code)"
    }
    return unsafe String(cString: start)
  }
}

/// Returns a variable of this program's own environment; nil if it is not set.
func environmentVariable(_ name: String) -> [UInt8]? {
  unsafe getenv(name).map { unsafe bytes(of: $0) }
}

/// Returns the bytes of a C string, without the terminating zero.
func bytes(of string: UnsafePointer<CChar>) -> [UInt8] {
  unsafe Array(UnsafeRawBufferPointer(start: string, count: strlen(string)))
}

/// What a path refers to, for a caller that wants to execute it or change to it.
enum FileState {
  case file(isExecutable: Bool)
  case directory(isSearchable: Bool)
  case failure(Int32)
}

func fileState(_ path: Command.Text) -> FileState {
  let path = path.bytes.map { CChar(bitPattern: $0) } + [0]
  var status = stat()
  guard unsafe stat(path, &status) == 0 else { return .failure(errno) }
  // Checked for the effective user, which executes it.
  let isPermitted = unsafe faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0
  return status.st_mode & S_IFMT == S_IFDIR
    ? .directory(isSearchable: isPermitted) : .file(isExecutable: isPermitted)
}

/// The state of a child.
enum ChildState {
  case running
  case ended(ProcessExit)
  /// Another part of the program has reaped the child; another process may have its PID.
  case gone

  var isRunning: Bool { if case .running = self { true } else { false } }

  /// How the child ended; nil while it runs.
  var exit: ProcessExit? {
    switch self {
    case .running: nil
    case .ended(let exit): exit
    case .gone: .unknown
    }
  }
}

/// Reaps a child that has ended.
///
/// - Returns: The resources that it has used; nil if there was no such child to reap.
func reap(_ child: Int32) -> ResourceUsage? {
  var usage = spawn_usage()
  return unsafe spawn_reap(child, &usage) == 0 ? nil : ResourceUsage(usage)
}

/// Returns the resources that a child that has ended has used, without reaping it; nil where the
/// system reports them only when it reaps the child.
func peekUsage(of child: Int32) -> ResourceUsage? {
  var usage = spawn_usage()
  return unsafe spawn_peek_usage(child, &usage) == 0 ? nil : ResourceUsage(usage)
}

/// Kills a child, and the group that it leads if it leads one. Waits for the child's end.
func killAndReap(group child: Int32) {
  kill(-child, SIGKILL)
  // The child may be in another group: it may be in this program's group, or may have moved.
  kill(child, SIGKILL)
  var info = unsafe siginfo_t()
  while unsafe waitid(P_PID, id_t(child), &info, WEXITED) != 0 && errno == EINTR {}
}

/// Returns the state of a child, without reaping it.
func peekState(of child: Int32) -> ChildState {
  var info = unsafe siginfo_t()
  var result: Int32
  repeat {
    result = unsafe waitid(P_PID, id_t(child), &info, WEXITED | WNOHANG | WNOWAIT)
  } while result != 0 && errno == EINTR
  // `waitid` fails only with ECHILD here.
  guard result == 0 else { return .gone }
  guard unsafe info.si_signo == SIGCHLD else { return .running }
  #if canImport(Darwin)
    let status = info.si_status
  #elseif canImport(Glibc)
    let status = unsafe info._sifields._sigchld.si_status
  #elseif canImport(Musl)
    let status = unsafe info.__si_fields.__si_common.__second.__sigchld.si_status
  #endif
  return .ended(
    unsafe Int(info.si_code) == Int(CLD_EXITED) ? .exited(status) : .signaled(status))
}

/// Returns the capacity of a pipe, in bytes; nil for a terminal, and where the system does not
/// report it.
func pipeCapacity(_ descriptor: Int32) -> Int? {
  #if os(Linux) || os(Android)
    // F_GETPIPE_SZ, which Swift does not import from the C library.
    let capacity = fcntl(descriptor, 1032)
    return capacity > 0 ? Int(capacity) : nil
  #else
    return nil
  #endif
}

/// Changes the capacity of a pipe.
///
/// - Returns: The new capacity, in bytes; nil if the system has refused, because the user's pipes
///   have reached their limit or because the pipe holds more bytes at the moment.
func setPipeCapacity(_ descriptor: Int32, to size: Int) -> Int? {
  #if os(Linux) || os(Android)
    // F_SETPIPE_SZ, likewise.
    let capacity = fcntl(descriptor, 1031, Int32(size))
    return capacity > 0 ? Int(capacity) : nil
  #else
    return nil
  #endif
}

/// Returns the number of pages that the pipes of a user may have before the system gives new pipes
/// only two pages; 0 if there is no limit, nil if it is unknown.
func userPipePages() -> Int? {
  let descriptor = unsafe open("/proc/sys/fs/pipe-user-pages-soft", O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  defer { close(descriptor) }
  return unsafe withUnsafeTemporaryAllocation(byteCount: 32, alignment: 1) { buffer in
    let count = unsafe read(descriptor, buffer.baseAddress, buffer.count)
    let digits = unsafe buffer[..<max(0, count)].prefix { $0 != UInt8(ascii: "\n") }
    return unsafe Int(String(decoding: digits, as: UTF8.self))
  }
}

/// Returns the contents of a file; nil, with `errno` set, if it cannot be read.
func fileContents(_ path: String) -> [UInt8]? {
  let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard descriptor >= 0 else { return nil }
  var (bytes, length, code) = ([UInt8](repeating: 0, count: 4_096), 0, Int32(0))
  while true {
    if length == bytes.count { bytes += [UInt8](repeating: 0, count: length) }
    let count = unsafe bytes.withUnsafeMutableBytes { bytes in
      unsafe read(descriptor, bytes.baseAddress! + length, bytes.count - length)
    }
    if count < 0, errno == EINTR { continue }
    if count < 0 { code = errno }
    if count <= 0 { break }
    length += count
  }
  close(descriptor)
  errno = code
  return code == 0 ? Array(bytes[..<length]) : nil
}

/// Returns the size of a page of memory, in bytes.
func pageSize() -> Int { Int(sysconf(Int32(_SC_PAGESIZE))) }

/// Starts a detached thread that blocks all signals, so that the program's own threads handle them.
///
/// - Throws: `EAGAIN` if there are too many threads.
package func startThread(_ body: @escaping @Sendable () -> Void) throws(SystemError) {
  final class Body {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  // A thread inherits the signal mask of its creator.
  var (everything, previous) = (sigset_t(), sigset_t())
  unsafe sigfillset(&everything)
  unsafe pthread_sigmask(SIG_SETMASK, &everything, &previous)
  defer { unsafe pthread_sigmask(SIG_SETMASK, &previous, nil) }

  var attributes = pthread_attr_t()
  unsafe pthread_attr_init(&attributes)
  defer { unsafe pthread_attr_destroy(&attributes) }
  unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))

  let context = unsafe Unmanaged.passRetained(Body(body))
  #if canImport(Darwin)
    var thread: pthread_t?
  #else
    var thread = pthread_t()
  #endif
  let result = unsafe pthread_create(
    &thread, &attributes,
    { @Sendable context in
      // The parameter is optional on some platforms only.
      let context: UnsafeMutableRawPointer? = unsafe context
      unsafe Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
      return nil
    }, context.toOpaque())
  guard result == 0 else {
    unsafe context.release()
    throw SystemError(code: result)
  }
}
