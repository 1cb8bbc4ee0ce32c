#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Finds the file that a command names, and reports exactly what is wrong if there is none: a
/// failed spawn cannot tell a missing file from one that may not be executed.
///
/// The file may change before it is executed, so a spawn can still fail for the same reasons.
enum ExecutableLookup {
  /// Returns the path to execute, as seen from the command's working directory.
  static func path(of command: Command) throws(LaunchError) -> Command.Text {
    if let directory = command.workingDirectory { try checkDirectory(directory) }
    let name = command.executable
    guard !name.bytes.isEmpty else { throw .executableNotFound(name: "", searched: []) }
    if name.bytes.contains(slash) {
      try check(path: name, in: command.workingDirectory)
      return name
    }
    return try search(name, in: searchPath(of: command))
  }

  private static let slash = UInt8(ascii: "/")

  private static func join(_ directory: some Sequence<UInt8>, _ name: Command.Text) -> Command.Text
  {
    Command.Text(bytes: Array(directory) + [slash] + name.bytes)
  }

  private static func checkDirectory(_ path: Command.Text) throws(LaunchError) {
    switch fileState(path) {
    case .directory(let isSearchable):
      if !isSearchable { throw .badWorkingDirectory(path: path.description, code: EACCES) }
    case .file: throw .badWorkingDirectory(path: path.description, code: ENOTDIR)
    case .failure(let code): throw .badWorkingDirectory(path: path.description, code: code)
    }
  }

  private static func check(
    path: Command.Text, in directory: Command.Text?
  ) throws(LaunchError) {
    let isRelative = path.bytes.first != slash
    let place = if isRelative, let directory { join(directory.bytes, path) } else { path }
    let name = path.description
    switch fileState(place) {
    case .file(isExecutable: true): return
    case .file(isExecutable: false), .failure(EACCES):
      throw .notExecutable(path: name, reason: .noPermission)
    case .directory: throw .notExecutable(path: name, reason: .isDirectory)
    case .failure(ENOTDIR): throw .notExecutable(path: name, reason: .notADirectory)
    case .failure: throw .executableNotFound(name: name, searched: [])
    }
  }

  /// Searches as shells do, for the first file that can be executed. If there is none, the first
  /// file without permission is reported. Directories of that name do not count.
  private static func search(
    _ name: Command.Text, in path: [UInt8]
  ) throws(LaunchError) -> Command.Text {
    let directories = path.split(separator: UInt8(ascii: ":")).filter { $0.first == slash }
    var forbidden: Command.Text?
    for directory in directories {
      let candidate = join(directory, name)
      switch fileState(candidate) {
      case .file(isExecutable: true): return candidate
      case .file(isExecutable: false): forbidden = forbidden ?? candidate
      case .directory, .failure: continue
      }
    }
    if let forbidden {
      throw .notExecutable(path: forbidden.description, reason: .noPermission)
    }
    throw .executableNotFound(
      name: name.description, searched: directories.map { String(decoding: $0, as: UTF8.self) })
  }

  private static func searchPath(of command: Command) -> [UInt8] {
    if case .some(.some(let path)) = command.environment.changes["PATH"] { return path.bytes }
    // As execvp(3) does without a PATH.
    return environmentVariable("PATH") ?? Array("/bin:/usr/bin".utf8)
  }
}
