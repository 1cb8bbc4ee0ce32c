#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Finds the file that a command means, and says exactly what is wrong if there is none: a failed
/// spawn cannot tell a missing file from one that may not be executed.
///
/// The file may change before it is executed, so a spawn can still fail for the same reasons.
enum ExecutableLookup {
  /// The path to execute, as seen from the command's working directory.
  static func path(of command: Command) throws(LaunchError) -> String {
    if let directory = command.workingDirectory { try checkDirectory(directory) }
    let name = command.executable
    guard !name.isEmpty else { throw .executableNotFound(name: name, searched: []) }
    if name.utf8.contains(UInt8(ascii: "/")) {
      try check(path: name, in: command.workingDirectory)
      return name
    }
    return try search(name, in: searchPath(of: command))
  }

  private static func checkDirectory(_ path: String) throws(LaunchError) {
    switch fileState(path) {
    case .directory(let isSearchable):
      if !isSearchable { throw .badWorkingDirectory(path: path, code: EACCES) }
    case .file: throw .badWorkingDirectory(path: path, code: ENOTDIR)
    case .failure(let code): throw .badWorkingDirectory(path: path, code: code)
    }
  }

  private static func check(path: String, in directory: String?) throws(LaunchError) {
    let isRelative = path.utf8.first != UInt8(ascii: "/")
    let place = if isRelative, let directory { "\(directory)/\(path)" } else { path }
    switch fileState(place) {
    case .file(isExecutable: true): return
    case .file(isExecutable: false), .failure(EACCES):
      throw .notExecutable(path: path, reason: .noPermission)
    case .directory: throw .notExecutable(path: path, reason: .isDirectory)
    case .failure(ENOTDIR): throw .notExecutable(path: path, reason: .notADirectory)
    case .failure: throw .executableNotFound(name: path, searched: [])
    }
  }

  /// As shells do: the first file that can be executed; if there is none but one without permission,
  /// that is what was meant. Directories of that name do not count.
  private static func search(_ name: String, in path: String) throws(LaunchError) -> String {
    let directories = path.split(separator: ":").filter { $0.utf8.first == UInt8(ascii: "/") }
    var forbidden: String?
    for directory in directories {
      let candidate = "\(directory)/\(name)"
      switch fileState(candidate) {
      case .file(isExecutable: true): return candidate
      case .file(isExecutable: false): forbidden = forbidden ?? candidate
      case .directory, .failure: continue
      }
    }
    if let forbidden { throw .notExecutable(path: forbidden, reason: .noPermission) }
    throw .executableNotFound(name: name, searched: directories.map(String.init))
  }

  private static func searchPath(of command: Command) -> String {
    if case .some(.some(let path)) = command.environment.changes["PATH"] { return path }
    // What execvp(3) does where there is no PATH at all.
    return environmentVariable("PATH") ?? "/bin:/usr/bin"
  }
}
