package import ProcessHost

/// The cgroups of commands.
public struct ControlGroups: Sendable {
  package let cgroups: CommandHost.Cgroups

  /// Why commands cannot have limits on their memory and their processes although they have
  /// cgroups; nil if they can, or have no cgroups.
  public let obstacle: String?

  /// No cgroups: signals reach only a command's process group, and commands have no limits on their
  /// memory and their processes.
  public static let none = ControlGroups(.none)

  package init(_ cgroups: CommandHost.Cgroups, obstacle: String? = nil) {
    self.cgroups = cgroups
    self.obstacle = obstacle
  }

  /// A cgroup of its own for each command, inside this program's.
  ///
  /// Moves this program into a new cgroup below its own, since the system enforces limits only
  /// then. If that is impossible, leaves it where it is: then commands have cgroups without limits
  /// wherever the system lets this program create one. Call it once, before this program starts
  /// other processes.
  public static func dividingOwn() -> ControlGroups {
    do throws(LaunchError) {
      return ControlGroups(try .dividingOwn())
    } catch {
      return ControlGroups(.ifAvailable, obstacle: error.description)
    }
  }
}
