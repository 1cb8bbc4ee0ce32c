extension CommandHost {
  /// Whether a host puts each command into a cgroup of its own.
  ///
  /// A process group can be left, by `setsid(2)` for example, and what has left it is not reached
  /// by signals. A cgroup cannot be left without permission to write to another one. With a cgroup,
  /// signals, ``HostedProcess/terminate(with:grace:)`` and the end of the host reach all that the
  /// command has started, and `SIGKILL` reaches processes of other users as well.
  ///
  /// It needs Linux 5.14, a cgroup file system of version 2, and permission to make a cgroup: root
  /// has it unless the file system is mounted read-only, as in most containers; other users have it
  /// where systemd or an administrator has delegated a cgroup to them. It costs a launch a fraction
  /// of a millisecond as a rule, and each process two descriptors.
  ///
  /// A cgroup is removed when its command is over. A program that is killed leaves its commands'
  /// cgroups behind.
  public enum Cgroups: Sendable, Hashable {
    /// No cgroups: a command's process group is all that is reached.
    case none
    /// In the cgroup that this program is in, wherever it may make one there; else as ``none``.
    /// ``HostedProcess/containment`` tells.
    case ifAvailable
    /// In the cgroup whose directory this is, `/sys/fs/cgroup/my.slice` for example; a launch fails
    /// where none can be made.
    case inside(path: String)
  }
}

/// What a command's processes cannot leave without getting out of reach.
public enum Containment: Sendable, Hashable {
  /// The command's process group, which a process leaves by `setsid(2)` or `setpgid(2)`.
  case processGroup
  /// A cgroup of the command's own, which no process can leave without permission to write to
  /// another.
  case cgroup
}

extension CommandHost.Cgroups {
  /// Makes a cgroup for a command; nil if it is to have none.
  func make() throws(LaunchError) -> Cgroup? {
    switch self {
    case .none:
      return nil
    case .ifAvailable:
      return Cgroup.own().flatMap { try? Cgroup.make(in: $0) }
    case .inside(let path):
      do throws(SystemError) {
        return try Cgroup.make(in: path)
      } catch {
        throw error.launchError("cannot make a cgroup in \(path)")
      }
    }
  }

  /// Whether a command may run without.
  var isOptional: Bool { self == .ifAvailable }
}
