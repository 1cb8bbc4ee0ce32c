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
  ///
  /// A ``Command/memoryLimit`` or ``Command/processLimit`` takes the memory or pids controller as
  /// well, in a cgroup in which no processes are: ``dividingOwn()`` finds one.
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
  /// Divides the cgroup that this program is in, so that commands can have limits.
  ///
  /// The kernel gives controllers to the cgroups in another only where no processes are in that one
  /// itself. So this moves the program, all of its threads, into a new cgroup below its own, unless
  /// its own is the root, and enables the memory and pids controllers for others beside it. To be
  /// called once, before the program starts other processes, where the cgroup is the program's to
  /// divide: systemd delegates it by `Delegate=yes`, some container engines by their options.
  ///
  /// - Returns: ``inside(path:)`` with the cgroup that the program was in.
  /// - Throws: ``LaunchError/limitsUnavailable(reason:)`` where that is impossible, because other
  ///   processes are in the cgroup for example. The program is then where it was.
  public static func dividingOwn() throws(LaunchError) -> CommandHost.Cgroups {
    .inside(path: try Cgroup.divideOwn())
  }

  /// Makes a cgroup for a command; nil if it is to have none.
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

  /// Whether a command may run without.
  var isOptional: Bool { self == .ifAvailable }
}
