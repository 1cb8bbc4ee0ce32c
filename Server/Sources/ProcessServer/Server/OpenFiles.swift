import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The descriptors that this program may still open.
///
/// A program must never run out of them: libdispatch, by which the tasks of this one run, opens
/// files in `/proc` from time to time, and ends the program when it cannot.
enum OpenFiles {
  /// What needs descriptors, of which a part is kept back from it.
  enum Use {
    case connection
    case launch

    /// How many of a limit are kept back. Connections leave more, so that commands can be started
    /// however many clients there are.
    fileprivate func reserve(of limit: Int) -> Int {
      let reserve = min(limit / 4, 256)
      return self == .connection ? reserve : reserve / 2
    }
  }

  /// Returns whether so few are left that there must be no more connections or launches.
  ///
  /// - Complexity: three system calls.
  static func areScarce(for use: Use) -> Bool {
    // The system gives the lowest number that is free.
    let number = unsafe open("/", O_RDONLY | O_CLOEXEC)
    guard number >= 0 else { return errno == EMFILE || errno == ENFILE }
    close(number)
    let limit = limit
    return Int(number) >= limit - use.reserve(of: limit)
  }

  /// How many this program may have open.
  static var limit: Int {
    var limit = rlimit()
    guard unsafe getrlimit(resource, &limit) == 0 else { return .max }
    return Int(clamping: limit.rlim_cur)
  }

  #if canImport(Glibc)
    fileprivate static let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
  #else
    fileprivate static let resource = RLIMIT_NOFILE
  #endif
}

extension APIServer.Configuration {
  /// The fewest files that a server must be able to open.
  public static let leastOpenFiles = 128

  /// Raises this program's limit on open files as far as it may, since connections and sessions
  /// take some. Commands get the limit as it was.
  ///
  /// - Returns: The limit: below ``leastOpenFiles`` a server cannot serve.
  public mutating func raiseLimitOnOpenFiles() -> Int {
    var limit = rlimit()
    guard unsafe getrlimit(OpenFiles.resource, &limit) == 0 else { return .max }
    if limit.rlim_cur < limit.rlim_max {
      openFiles = Command.Limit(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))
      limit.rlim_cur = limit.rlim_max
      unsafe setrlimit(OpenFiles.resource, &limit)
    }
    return OpenFiles.limit
  }
}

extension APIError {
  static let tooManyOpenFiles = APIError(
    .serviceUnavailable, "overloaded",
    "this server has too many open files to start a command: its limit (ulimit -n) is"
      + " \(OpenFiles.limit)")
}
