extension CommandHost {
  /// Whether a host puts each command into a cgroup of its own.
  ///
  /// A process can leave its process group, by `setsid(2)` for example, and is then out of reach of
  /// signals. It cannot leave its cgroup without permission to write to another cgroup. With a
  /// cgroup, signals, ``HostedProcess/terminate(with:grace:)`` and the end of the host reach all
  /// processes that the command has started, and `SIGKILL` reaches processes of other users as
  /// well.
  ///
  /// Cgroups need Linux 5.14, a cgroup file system of version 2, and permission to create a cgroup.
  /// Root has the permission unless the file system is mounted read-only, as in most containers.
  /// Other users have it where systemd or an administrator has delegated a cgroup to them. A cgroup
  /// usually costs each launch a fraction of a millisecond, and each process two descriptors.
  ///
  /// The host removes a cgroup when nothing is left of its command. A program that is killed leaves
  /// its commands' cgroups behind.
  ///
  /// A ``Command/memoryLimit`` or ``Command/processLimit`` also needs the memory or pids
  /// controller, in a cgroup that has no processes itself: ``dividingOwn()`` finds one.
  public enum Cgroups: Sendable, Hashable {
    /// No cgroups: signals reach only a command's process group.
    case none
    /// A new cgroup inside this program's own, if the program may create one there; otherwise as
    /// ``none``. ``HostedProcess/containment`` shows which.
    case ifAvailable
    /// A new cgroup inside the one with this directory, `/sys/fs/cgroup/my.slice` for example. The
    /// launch fails if it cannot be created.
    case inside(path: String)
  }
}

/// What contains a command's processes: a process that leaves it is out of reach of signals.
public enum Containment: Sendable, Hashable {
  /// The command's process group, which a process leaves by `setsid(2)` or `setpgid(2)`.
  case processGroup
  /// A cgroup of the command's own, which no process can leave without permission to write to
  /// another cgroup.
  case cgroup
}

extension CommandHost.Cgroups {
  /// Divides this program's cgroup, so that commands can have limits.
  ///
  /// The kernel enables controllers for the cgroups below another only if that one has no processes
  /// itself. So unless the program's cgroup is the root, this moves the program with all of its
  /// threads into a new cgroup below its own, and enables the memory and pids controllers for other
  /// cgroups beside the new one. Call it once, before the program starts other processes, where the
  /// program may divide its cgroup: systemd delegates it by `Delegate=yes`, some container engines
  /// by their options.
  ///
  /// - Returns: ``inside(path:)`` with the cgroup that the program was in.
  /// - Throws: ``LaunchError/limitsUnavailable(reason:)`` if that is impossible, because other
  ///   processes are in the cgroup for example. The program is then in its original cgroup.
  public static func dividingOwn() throws(LaunchError) -> CommandHost.Cgroups {
    .inside(path: try Cgroup.divideOwn())
  }

  /// Creates a cgroup for a command; returns nil if the command gets none.
  func make(with limits: Cgroup.Limits) throws(LaunchError) -> Cgroup? {
    if !limits.isEmpty { return try makeLimited(limits) }
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

  private func makeLimited(_ limits: Cgroup.Limits) throws(LaunchError) -> Cgroup {
    let parent: String
    switch self {
    case .none:
      throw .limitsUnavailable(reason: "its host gives commands no cgroups")
    case .ifAvailable:
      guard let own = Cgroup.own() else {
        throw .limitsUnavailable(reason: Cgroup.noFileSystem)
      }
      parent = own
    case .inside(let path): parent = path
    }
    guard try Cgroup.enable(limits.controllers, in: parent) else {
      throw Cgroup.hasProcesses(parent)
    }
    let cgroup: Cgroup
    do throws(SystemError) {
      cgroup = try Cgroup.make(in: parent)
    } catch {
      throw .limitsUnavailable(reason: "cannot make a cgroup in \(parent): \(error.message)")
    }
    do throws(SystemError) {
      try cgroup.set(limits)
    } catch {
      cgroup.remove()
      throw .limitsUnavailable(
        reason: "the cgroup \(cgroup.path) cannot be limited: \(error.message)")
    }
    return cgroup
  }

  /// Whether a command may run without a cgroup.
  var isOptional: Bool { self == .ifAvailable }
}
