import ProcessServer

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The file of the access log, or stdout.
struct AccessLogFile: Sendable {
  struct OpenError: Error, CustomStringConvertible {
    let path: String
    let code: Int32

    var description: String { unsafe "\(path): \(String(cString: strerror(code)))" }
  }

  /// Nil for stdout.
  private let path: String?
  private let descriptor: Int32
  let writer: LogWriter

  /// Opens a file, and creates it if there is none; `-` is stdout.
  init(_ argument: String) throws(OpenError) {
    path = argument == "-" ? nil : argument
    descriptor = try path.map { path throws(OpenError) in try Self.open(path) } ?? STDOUT_FILENO
    writer = LogWriter(Descriptor(descriptor)) { #"{"dropped":\#($0)}"# }
  }

  /// Opens the file at the path anew: it may have been moved away.
  ///
  /// - Throws: ``OpenError``; lines then go on to the file as it was.
  func reopen() throws(OpenError) {
    guard let path else { return }
    let fresh = try Self.open(path)
    // The writer's descriptor stays the same, and refers to the new file from now on.
    dup2(fresh, descriptor)
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    close(fresh)
  }

  private static func open(_ path: String) throws(OpenError) -> Int32 {
    // Does not wait for the reader of a FIFO.
    let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK
    #if canImport(Darwin)
      let descriptor = unsafe Darwin.open(path, flags, 0o640)
    #elseif canImport(Glibc)
      let descriptor = unsafe Glibc.open(path, flags, 0o640)
    #elseif canImport(Musl)
      let descriptor = unsafe Musl.open(path, flags, 0o640)
    #endif
    guard descriptor >= 0 else { throw OpenError(path: path, code: errno) }
    return descriptor
  }
}
