package import ProcessHost

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A user for commands, other than the server's own.
public struct CommandUser: Sendable {
  /// The user's name.
  public let name: String
  /// Where commands start that name no directory.
  public let home: String
  package let user: Command.User

  /// A user as the system's database knows it.
  ///
  /// - Throws: ``CommandUserError`` if there is none of that name, if it is root, or if this
  ///   process has not the privilege to become another user.
  public init(named name: String) throws(CommandUserError) {
    guard geteuid() == 0 else {
      throw CommandUserError(description: "only root can run commands as another user")
    }
    guard let user = Command.User(named: name), let entry = unsafe getpwnam(name) else {
      throw CommandUserError(description: "there is no user \(name)")
    }
    guard user.userID != 0 else {
      throw CommandUserError(description: "\(name) is root, which nothing is hidden from")
    }
    self.name = name
    self.user = user
    home = unsafe String(cString: entry.pointee.pw_dir)
  }
}

/// Why commands cannot run as a user.
public struct CommandUserError: Error, Sendable, CustomStringConvertible {
  /// What was wrong.
  public let description: String
}
