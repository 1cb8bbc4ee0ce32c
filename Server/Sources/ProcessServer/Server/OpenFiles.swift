import NIOCore
import ProcessHost
import Synchronization

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
///
/// ```
///  0                                                          limit
///  |---- any use ----|-- launches --|-- few connections --|-- none --|
///                                   64                    32 left
/// ```
enum OpenFiles {
  /// What needs descriptors.
  enum Use {
    /// A connection, when there are more than a few.
    case connection
    /// One of a few connections: there is always room to end commands.
    case fewConnections
    /// A launch, which takes up to eight for a moment.
    case launch

    /// How many of a limit are kept back from it.
    fileprivate func reserve(of limit: Int) -> Int {
      switch self {
      case .connection: min(max(limit / 4, 96), 256)
      case .launch: 64
      case .fewConnections: 32
      }
    }
  }

  /// The launches under way.
  private static let launches = Atomic(0)

  static func noteLaunch(_ change: Int) { launches.wrappingAdd(change, ordering: .relaxed) }

  /// Returns whether so few are left that one more use must be refused. Launches that are under way
  /// count, the one in question among them.
  ///
  /// - Complexity: four system calls.
  static func areScarce(for use: Use) -> Bool {
    var ends: [Int32] = [-1, -1]
    // The system gives the lowest numbers that are free.
    guard unsafe pipe(&ends) == 0 else { return true }
    for end in ends { close(end) }
    let limit = limit
    let coming = use == .launch ? 8 * launches.load(ordering: .relaxed) : 0
    return Int(ends[0]) + coming >= limit - use.reserve(of: limit)
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
  /// The fewest files that a server must be able to open. It needs some for each processor.
  public static var leastOpenFiles: Int { 128 + 4 * System.coreCount }

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
