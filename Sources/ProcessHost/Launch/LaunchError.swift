#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The reason that a command could not be started. Nothing of the command is left: no process, no
/// descriptor.
public enum LaunchError: Error, Sendable, Hashable {
  /// There is no such executable.
  ///
  /// - Parameters:
  ///   - name: The executable as the command names it.
  ///   - searched: The directories that were searched; empty if the name is a path.
  case executableNotFound(name: String, searched: [String])

  /// The executable is there but cannot be run.
  case notExecutable(path: String, reason: NotExecutableReason)

  /// The working directory cannot be used.
  ///
  /// - Parameter code: `ENOENT`, `ENOTDIR`, `EACCES` or another value of `errno`.
  case badWorkingDirectory(path: String, code: Int32)

  /// No process can run the command: a name or value contains a zero byte, for example.
  case invalidCommand(reason: String)

  /// The command has a ``Command/memoryLimit`` or a ``Command/processLimit``, and there is no
  /// cgroup that could enforce it.
  ///
  /// - Parameter reason: What is missing, and what to do.
  case limitsUnavailable(reason: String)

  /// The system has no more descriptors, processes or memory. A later launch may succeed.
  ///
  /// - Parameter code: `EMFILE`, `ENFILE`, `EAGAIN`, `ENOMEM` or `ENOSPC`.
  case outOfResources(code: Int32)

  /// The host has been closed.
  case hostClosed

  /// The session has a producer already: another process, or a `Session.Producer`.
  case sessionInUse(id: String)

  /// The ``ProcessManager`` has reached its limit on sessions.
  case tooManySessions(limit: Int)

  /// The ``ProcessManager`` has a session with that id already.
  case idTaken(id: String)

  /// The launching task was cancelled, or a ``ProcessManager`` was told to forget the session
  /// meanwhile.
  case cancelled

  /// Another error.
  case other(reason: String, code: Int32?)

  /// Why a file that exists cannot be run.
  public enum NotExecutableReason: Sendable, Hashable {
    /// No permission to execute it, or to pass through a directory on the way.
    case noPermission
    /// It is a directory.
    case isDirectory
    /// A component of the path is not a directory.
    case notADirectory
    /// The system does not know the format; a script without `#!`, for example.
    case unknownFormat
    /// It is a script whose interpreter, named after `#!`, is missing or cannot be run.
    case badInterpreter
    /// The arguments and environment together are larger than the system allows.
    case argumentsTooLong
  }
}

extension LaunchError: CustomStringConvertible {
  /// What was wrong, and what to do about it.
  public var description: String {
    switch self {
    case .executableNotFound(let name, let searched):
      if name.isEmpty { return "the command's name is empty" }
      if name.utf8.contains(UInt8(ascii: "/")) { return "\(name): no such file" }
      if searched.isEmpty {
        return "\(name): command not found, because PATH names no directory; give a path instead"
      }
      return "\(name): command not found in PATH (\(searched.joined(separator: ":")))"
    case .notExecutable(let path, .noPermission):
      return "\(path): no permission to execute it (chmod +x grants it)"
    case .notExecutable(let path, .isDirectory):
      return "\(path): is a directory, not a command"
    case .notExecutable(let path, .notADirectory):
      return "\(path): not a directory, but the path goes on behind it as if it were"
    case .notExecutable(let path, .unknownFormat):
      return "\(path): not in a format that the system can execute"
        + " (a script needs a first line such as #!/bin/sh)"
    case .notExecutable(let path, .badInterpreter):
      return "\(path): its interpreter (the file named after #!) is missing or cannot be executed"
    case .notExecutable(let path, .argumentsTooLong):
      return "\(path): the arguments and the environment are too long (see getconf ARG_MAX)"
    case .badWorkingDirectory(let path, let code):
      return "\(path): cannot be the working directory: \(systemMessage(code))"
    case .invalidCommand(let reason):
      return reason
    case .limitsUnavailable(let reason):
      return "the command's memory and processes cannot be limited: \(reason)"
    case .outOfResources(let code):
      return "cannot start another process now: \(systemMessage(code))"
        + (code == EMFILE ? " (ulimit -n raises the limit)" : "")
    case .hostClosed:
      return "the host has been closed: it starts no more processes"
    case .sessionInUse(let id):
      return "the session “\(id)” has a producer already: a process needs a session of its own"
    case .tooManySessions(let limit):
      return
        "there are \(limit) sessions, and there may be no more: forget one, or wait for a sweep"
    case .idTaken(let id):
      return "there is a session with the id “\(id)” already: forget it, or choose another id"
    case .cancelled:
      return "the launch was cancelled before the command had been started"
    case .other(let reason, let code):
      return code.map { "\(reason): \(systemMessage($0))" } ?? reason
    }
  }
}
