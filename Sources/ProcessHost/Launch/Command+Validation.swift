import CSpawn

#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

extension Command {
  /// Checks everything that can be checked before the launch starts anything.
  func validate() throws(LaunchError) {
    try validateTexts()
    try validateDescriptors()
    try validateAttributes()
  }

  private func fail(_ reason: String) -> LaunchError { .invalidCommand(reason: reason) }

  /// Checks for bytes that a C string or an environment cannot hold.
  private func validateTexts() throws(LaunchError) {
    func check(_ text: Text, _ what: String) throws(LaunchError) {
      if text.bytes.contains(0) { throw fail("\(what) contains a zero byte") }
    }
    try check(executable, "the command's name")
    for argument in arguments { try check(argument, "an argument") }
    if let workingDirectory { try check(workingDirectory, "the working directory") }
    for (name, value) in environment.changes {
      if name.bytes.isEmpty || name.bytes.contains(UInt8(ascii: "=")) {
        throw fail("an environment variable cannot be named “\(name)”")
      }
      try check(name, "an environment variable's name")
      if let value { try check(value, "the environment variable \(name)") }
    }
  }

  private func validateDescriptors() throws(LaunchError) {
    if processGroup == .inherited, terminal != nil {
      throw fail(
        "a command in a terminal of its own leads a session, and cannot join this program's group")
    }
    guard inheritedDescriptors.count <= Int(SPAWN_MOST_DESCRIPTORS) else {
      throw fail(
        "a command can inherit \(SPAWN_MOST_DESCRIPTORS) descriptors beside 0, 1 and 2, and not"
          + " \(inheritedDescriptors.count)")
    }
    let limit = spawn_open_file_limit()
    for (target, source) in inheritedDescriptors.sorted(by: { $0.key < $1.key }) {
      guard target > 2 else {
        throw fail(
          "the command cannot inherit descriptor \(source) as \(target): 0, 1 and 2 are its input"
            + " and its outputs; give it a number from 3")
      }
      guard target < limit else {
        throw fail(
          "the command cannot inherit descriptor \(source) as \(target): numbers are below"
            + " \(limit), the limit on open files (ulimit -n)")
      }
      guard source >= 0, fcntl(source, F_GETFD) >= 0 else {
        throw fail(
          "descriptor \(source), which the command is to inherit as \(target), is not open")
      }
    }
  }

  private func validateAttributes() throws(LaunchError) {
    #if !os(Linux) && !os(Android)
      let attributes = [
        "a signal at this program's end": parentDeathSignal != nil, "limits": !limits.isEmpty,
        "a umask": umask != nil, "a nice value": niceness != nil, "another user": user != nil,
      ]
      for name in attributes.keys.sorted() where attributes[name] == true {
        throw fail("on this system a command cannot be given \(name)")
      }
    #endif
    if let signal = parentDeathSignal?.rawValue, !(1...64 ~= signal) {
      throw fail("there is no signal \(signal) to send at this program's end (1 to 64)")
    }
    for (resource, limit) in limits where limit.soft > limit.hard {
      throw fail(
        "the soft limit on \(resource.words) (\(limit.soft)) is above the hard one (\(limit.hard))")
    }
    if let memoryLimit, memoryLimit < 1 {
      throw fail("a limit on memory must be positive, and not \(memoryLimit) bytes")
    }
    if let processLimit, processLimit < 1 {
      throw fail("a limit on processes must be positive, and not \(processLimit)")
    }
    if let umask, umask > 0o777 {
      throw fail("a umask is from 0 to 0o777, and not 0o\(String(umask, radix: 8))")
    }
    if let niceness, !(-20...19 ~= niceness) {
      throw fail("a nice value is from -20 to 19, and not \(niceness)")
    }
    if let user {
      // The system takes this value as “unchanged”.
      guard user.userID != .max, user.groupID != .max else {
        throw fail("\(UInt32.max) is the number of no user and no group")
      }
      guard user.supplementaryGroups.count <= 65_536 else {
        throw fail(
          "a user is in 65536 groups at most, and not in \(user.supplementaryGroups.count)")
      }
    }
  }
}
