#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Cgroup {
  /// The limits on what all processes of a cgroup may use together.
  struct Limits {
    /// In bytes.
    var memory: Int?
    var processes: Int?

    var isEmpty: Bool { memory == nil && processes == nil }

    /// The controllers that enforce them.
    var controllers: [String] {
      (memory == nil ? [] : ["memory"]) + (processes == nil ? [] : ["pids"])
    }
  }

  /// The largest value that `pids.max` takes; the system has no more processes (`PID_MAX_LIMIT`).
  private static let mostProcesses = 4_194_304

  /// Sets limits. To be called before the cgroup has processes.
  func set(_ limits: Limits) throws(SystemError) {
    if let memory = limits.memory {
      try Self.write("\(memory)", to: "\(path)/memory.max")
      for (file, value) in [("memory.swap.max", "0"), ("memory.oom.group", "1")] {
        do throws(SystemError) {
          try Self.write(value, to: "\(path)/\(file)")
        } catch {
          // The system does not account for swap, or it is Linux before 4.19, which kills one
          // process after the other.
          guard error.code == ENOENT else { throw error }
        }
      }
    }
    if let processes = limits.processes {
      try Self.write("\(min(processes, Self.mostProcesses))", to: "\(path)/pids.max")
    }
  }

  /// Whether the kernel has killed a process in the cgroup, or in a cgroup below it, for lack of
  /// memory; nil without the memory controller.
  var hasOOMKills: Bool? {
    fileContents("\(path)/memory.events").flatMap {
      Self.hasOOMKills(String(decoding: $0, as: UTF8.self))
    }
  }

  /// Returns whether `memory.events` reports a killed process: “oom_kill” and a number.
  static func hasOOMKills(_ events: String) -> Bool? {
    for line in events.split(separator: "\n") {
      let words = line.split(separator: " ")
      if words.count == 2, words[0] == "oom_kill" { return words[1] != "0" }
    }
    return nil
  }

  /// Enables controllers for the cgroups below another, unless they are enabled already.
  ///
  /// - Parameter parent: The directory of that other cgroup.
  /// - Returns: Whether they are enabled; false if the cgroup itself has processes, which must move
  ///   to a cgroup below it first.
  /// - Throws: ``LaunchError/limitsUnavailable(reason:)`` if that is impossible.
  static func enable(_ controllers: [String], in parent: String) throws(LaunchError) -> Bool {
    func words(_ file: String) throws(LaunchError) -> [Substring] {
      guard let bytes = fileContents("\(parent)/\(file)") else {
        throw .limitsUnavailable(reason: "\(parent)/\(file): \(SystemError.last.message)")
      }
      return String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isWhitespace)
    }
    let enabled = try words("cgroup.subtree_control")
    let available = try words("cgroup.controllers")
    let missing = controllers.filter { !enabled.contains($0[...]) }
    if let controller = missing.first(where: { !available.contains($0[...]) }) {
      throw .limitsUnavailable(
        reason: "the cgroup \(parent) has no \(controller) controller (see its cgroup.controllers)")
    }
    // The root, which alone has no type, may have processes. In other cgroups the system enables
    // pids even with processes, but then lets no process enter a cgroup below.
    let isRoot = unsafe access("\(parent)/cgroup.type", F_OK) != 0
    if !isRoot, try !words("cgroup.procs").isEmpty { return false }
    if missing.isEmpty { return true }
    do throws(SystemError) {
      let text = missing.map { "+\($0)" }.joined(separator: " ")
      try write(text, to: "\(parent)/cgroup.subtree_control")
    } catch {
      // A process has entered meanwhile.
      if error.code == EBUSY { return false }
      throw .limitsUnavailable(
        reason: "controllers cannot be enabled in the cgroup \(parent): \(error.message)")
    }
    return true
  }

  /// The name of the cgroup into which a program moves when it divides its own.
  static let programName = "swift-processes-program"

  /// Divides the cgroup that this program is in: moves the program into a new cgroup below it, and
  /// enables the controllers for the commands' cgroups beside that one.
  ///
  /// - Returns: The directory in which commands' cgroups may be made.
  static func divideOwn() throws(LaunchError) -> String {
    guard let own = own() else { throw .limitsUnavailable(reason: noFileSystem) }
    let controllers = ["memory", "pids"]
    // The program may have divided its cgroup before.
    if own.hasSuffix("/\(programName)") {
      let parent = String(own.dropLast(programName.utf8.count + 1))
      if try enable(controllers, in: parent) { return parent }
      throw hasProcesses(parent)
    }
    if try enable(controllers, in: own) { return own }
    let path = "\(own)/\(programName)"
    if unsafe mkdir(path, 0o755) != 0, errno != EEXIST {
      throw .limitsUnavailable(
        reason: "cannot make the cgroup \(path): \(SystemError.last.message)")
    }
    do throws(SystemError) {
      // 0 stands for the writing process.
      try write("0", to: "\(path)/cgroup.procs")
    } catch {
      unsafe _ = rmdir(path)
      throw .limitsUnavailable(reason: "cannot enter the cgroup \(path): \(error.message)")
    }
    do throws(LaunchError) {
      if try enable(controllers, in: own) { return own }
      throw hasProcesses(own)
    } catch {
      try? write("0", to: "\(own)/cgroup.procs")
      unsafe _ = rmdir(path)
      throw error
    }
  }

  static let noFileSystem = "no cgroup file system of version 2 is mounted"

  static func hasProcesses(_ parent: String) -> LaunchError {
    .limitsUnavailable(
      reason: "processes are in the cgroup \(parent) itself; they must be in one below"
        + " (DelegateSubgroup= of systemd, or CommandHost.Cgroups.dividingOwn())")
  }

  private static func write(_ text: String, to path: String) throws(SystemError) {
    let descriptor = try open(path, O_WRONLY)
    let bytes = Array(text.utf8)
    #if canImport(Darwin)
      let count = unsafe Darwin.write(descriptor.number, bytes, bytes.count)
    #elseif canImport(Glibc)
      let count = unsafe Glibc.write(descriptor.number, bytes, bytes.count)
    #elseif canImport(Musl)
      let count = unsafe Musl.write(descriptor.number, bytes, bytes.count)
    #endif
    guard count == bytes.count else { throw .last }
  }
}

extension Command {
  /// The limits that need a cgroup.
  var cgroupLimits: Cgroup.Limits { Cgroup.Limits(memory: memoryLimit, processes: processLimit) }
}
