package import ProcessHost

/// The control groups that commands get.
public struct ControlGroups: Sendable {
  package let cgroups: CommandHost.Cgroups

  /// Why commands can have no limits on their memory and their processes all the same; nil if they
  /// can, or have no control groups.
  public let obstacle: String?

  /// None: a command's process group is all that is reached, and commands have no limits on their
  /// memory and their processes.
  public static let none = ControlGroups(.none)

  package init(_ cgroups: CommandHost.Cgroups, obstacle: String? = nil) {
    self.cgroups = cgroups
    self.obstacle = obstacle
  }

  /// One of its own for each command, in the one that this program is in.
  ///
  /// Moves this program into a new one below, as the system demands where limits are to be
  /// enforced, and leaves it where that is impossible: then commands have control groups without
  /// limits wherever the system lets this program make one. To be called once, before this program
  /// starts other processes.
  public static func dividingOwn() -> ControlGroups {
    do throws(LaunchError) {
      return ControlGroups(try .dividingOwn())
    } catch {
      return ControlGroups(.ifAvailable, obstacle: error.description)
    }
  }
}
