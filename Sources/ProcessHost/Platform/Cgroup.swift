import CSpawn

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// A cgroup (cgroups(7), version 2) that contains one child and its descendants, whatever groups
/// and sessions they create.
///
/// Needs `cgroup.kill`, which Linux has since 5.14.
final class Cgroup: Sendable {
  /// The cgroup's directory.
  let path: String
  /// `cgroup.procs`: a process that writes 0 to it enters the cgroup.
  let entrance: OwnedDescriptor
  /// `cgroup.kill`, opened before the cgroup has processes: later there may be no free descriptors.
  private let killer: OwnedDescriptor

  private init(
    _ path: String, entrance: consuming OwnedDescriptor, killer: consuming OwnedDescriptor
  ) {
    self.path = path
    self.entrance = entrance
    self.killer = killer
  }

  /// Creates a cgroup in another, given by its directory.
  static func make(in parent: String) throws(SystemError) -> Cgroup {
    var path: String
    repeat {
      path = "\(parent)/swift-processes-\(getpid())-\(UInt32.random(in: .min ... .max))"
      if unsafe mkdir(path, 0o755) == 0 { break }
      guard errno == EEXIST else { throw .last }
    } while true
    do throws(SystemError) {
      let entrance = try open("\(path)/cgroup.procs", O_WRONLY)
      return Cgroup(path, entrance: entrance, killer: try open("\(path)/cgroup.kill", O_WRONLY))
    } catch {
      unsafe _ = rmdir(path)
      throw error
    }
  }

  static func open(_ path: String, _ flags: Int32) throws(SystemError) -> OwnedDescriptor {
    #if canImport(Darwin)
      let number = unsafe Darwin.open(path, flags | O_CLOEXEC)
    #elseif canImport(Glibc)
      let number = unsafe Glibc.open(path, flags | O_CLOEXEC)
    #elseif canImport(Musl)
      let number = unsafe Musl.open(path, flags | O_CLOEXEC)
    #endif
    guard number >= 0 else { throw .last }
    return try OwnedDescriptor(owning: number).aboveStandard()
  }

  /// Whether a process in the cgroup, or in a cgroup below it, has not ended; also true if that is
  /// unknown.
  var isPopulated: Bool {
    guard let events = fileContents("\(path)/cgroup.events") else {
      // Another program has removed the cgroup, which is possible only when it is empty.
      return errno != ENOENT && errno != ENODEV
    }
    return !String(decoding: events, as: UTF8.self).split(separator: "\n").contains("populated 0")
  }

  /// Kills all processes in the cgroup and below, including processes that are being forked,
  /// whatever their users are.
  func kill() { unsafe _ = write(killer.number, "1", 1) }

  /// Sends signals to the processes in the cgroup and below, except the members of a process group.
  /// Returns whether a signal reached any process.
  ///
  /// Never reaches a process outside of the cgroup: opens the process's descriptor first, and then
  /// checks that this process is in the cgroup.
  func send(_ signals: [Int32], except group: Int32) -> Bool {
    var hasReached = false
    for process in members() where getpgid(process) != group {
      let number = spawn_open_process(process)
      guard number >= 0 else { continue }
      let descriptor = OwnedDescriptor(owning: number)
      guard contains(process) else { continue }
      for signal in signals where spawn_signal_process(descriptor.number, signal) == 0 {
        hasReached = true
      }
    }
    return hasReached
  }

  /// Returns whether a process is in the cgroup or below; false if that is unknown.
  private func contains(_ process: Int32) -> Bool {
    guard let text = fileContents("/proc/\(process)/cgroup"),
      let name = path.split(separator: "/").last
    else { return false }
    return String(decoding: text, as: UTF8.self).split(separator: "\n").contains { line in
      line.hasPrefix("0::") && line.split(separator: "/").contains(name)
    }
  }

  /// Returns the processes in the cgroup and below. Some of them may have ended.
  func members() -> [Int32] {
    Self.directories(from: path).flatMap { directory -> [Int32] in
      let text = String(decoding: fileContents("\(directory)/cgroup.procs") ?? [], as: UTF8.self)
      // 0 stands for a process that has no PID in this PID namespace.
      return text.split(separator: "\n").compactMap { Int32($0) }.filter { $0 > 0 }
    }
  }

  /// Removes the cgroup, and those that the child has created below it. Leaves cgroups that still
  /// have processes.
  func remove() {
    for directory in Self.directories(from: path).reversed() {
      for _ in 0..<20 {
        guard unsafe rmdir(directory) != 0, errno == EBUSY else { break }
        usleep(1_000)
      }
    }
  }

  /// Returns a directory and all directories below it, parents first.
  private static func directories(from path: String) -> [String] {
    var (found, next) = ([path], 0)
    while next < found.count {
      let parent = found[next]
      next += 1
      guard let directory = unsafe opendir(parent) else { continue }
      defer { unsafe closedir(directory) }
      while let entry = unsafe readdir(directory) {
        guard unsafe Int32(entry.pointee.d_type) == Int32(DT_DIR) else { continue }
        let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
          unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        if name != "." && name != ".." { found.append("\(parent)/\(name)") }
      }
    }
    return found
  }
}

extension Cgroup {
  /// Returns the directory of the cgroup that this program is in; nil if the program can see none.
  static func own() -> String? {
    guard let membership = fileContents("/proc/self/cgroup"),
      let mounts = fileContents("/proc/self/mountinfo")
    else { return nil }
    return directory(
      membership: String(decoding: membership, as: UTF8.self),
      mounts: String(decoding: mounts, as: UTF8.self))
  }

  /// Returns the directory of a process's cgroup; nil if no mount shows it.
  ///
  /// - Parameters:
  ///   - membership: The contents of the process's `cgroup` file (cgroups(7)): “0::path” for
  ///     version 2.
  ///   - mounts: The contents of its `mountinfo` file (proc(5)): “… … … root place options … - type
  ///     …”.
  static func directory(membership: String, mounts: String) -> String? {
    guard
      let path = membership.split(separator: "\n").first(where: { $0.hasPrefix("0::/") })?
        .dropFirst(3), !path.hasPrefix("/..")
    else { return nil }
    for line in mounts.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash + 1 < fields.count, dash > 4,
        fields[dash + 1] == "cgroup2", !fields[4].contains("\\")
      else { continue }
      // A mount may show a part of the hierarchy.
      let root = fields[3] == "/" ? "" : fields[3]
      guard path == root || path.hasPrefix(root + "/") else { continue }
      let below = path.dropFirst(root.count)
      return below == "/" ? String(fields[4]) : "\(fields[4])\(below)"
    }
    return nil
  }
}
