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
  /// The directory in which commands start that name none.
  public let home: String
  package let user: Command.User

  /// Looks up a user in the system's database.
  ///
  /// - Throws: ``CommandUserError`` if there is no user of that name, if it is root, or if this
  ///   process lacks the privilege to become another user.
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

/// The reason that commands cannot run as a user.
public struct CommandUserError: Error, Sendable, CustomStringConvertible {
  /// What was wrong.
  public let description: String
}
