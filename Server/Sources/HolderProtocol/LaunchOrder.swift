package import ProcessHost

/// What a daemon tells a new holder: the session and the command.
package struct LaunchOrder: Sendable {
  package var files: StateFiles
  package var workspace: String
  /// The bytes at the beginning of the output that are never evicted.
  package var headBytes = 0
  /// Whether the session keeps when each chunk came.
  package var hasTimestamps = false
  /// How long the command waits for a sign of its lossless reader; nil if it has no such reader.
  package var losslessTime: Duration?
  /// How many bytes may wait for the command to read its stdin.
  package var stdinBytes = 1 << 20
  /// How long the holder runs without a daemon.
  package var orphanTimeout: Duration
  /// The cgroups of the command.
  package var cgroups = CommandHost.Cgroups.none
  package var command: Command
  /// The changes to the environment of the holder, which is that of the daemon. The command's own
  /// ``Command/environment`` is not sent.
  package var environment: [Command.Text: Command.Text?]

  package init(
    files: StateFiles, workspace: String, orphanTimeout: Duration, command: Command,
    environment: [Command.Text: Command.Text?]
  ) {
    self.files = files
    self.workspace = workspace
    self.orphanTimeout = orphanTimeout
    self.command = command
    self.environment = environment
  }
}

extension LaunchOrder {
  /// The order as a message of the kind `launch`.
  package var message: HolderMessage {
    var message = HolderMessage(.launch)
    message.append(.version, HolderMessage.version)
    message.append(.directory, files.directory)
    message.append(.id, files.id)
    message.append(.workspace, workspace)
    message.append(.headBytes, headBytes)
    message.append(.timestamps, hasTimestamps ? 1 : 0)
    if let losslessTime { message.append(.losslessTime, losslessTime) }
    message.append(.stdinBytes, stdinBytes)
    message.append(.orphanTimeout, orphanTimeout)
    switch cgroups {
    case .none: break
    case .ifAvailable: message.append(.cgroup, "")
    case .inside(let path): message.append(.cgroup, path)
    }
    message.append(.executable, command.executable.bytes)
    for argument in command.arguments { message.append(.argument, argument.bytes) }
    for (name, value) in environment {
      // No name and no value contains a zero byte, or the launch fails in the holder.
      if let value {
        message.append(.variable, name.bytes + [0] + value.bytes)
      } else {
        message.append(.removedVariable, name.bytes)
      }
    }
    if let directory = command.workingDirectory {
      message.append(.workingDirectory, directory.bytes)
    }
    if let user = command.user {
      message.append(.userID, user.userID)
      message.append(.groupID, user.groupID)
      for group in user.supplementaryGroups { message.append(.supplementaryGroup, group) }
    }
    for (resource, limit) in command.limits {
      guard let index = Command.Resource.allCases.firstIndex(of: resource) else { continue }
      message.append(.limit, "\(index) \(limit.soft) \(limit.hard)")
    }
    if let limit = command.memoryLimit { message.append(.memoryLimit, limit) }
    if let limit = command.processLimit { message.append(.processLimit, limit) }
    if let limit = command.lingerLimit { message.append(.lingerLimit, limit) }
    if let size = command.terminal {
      message.append(.rows, size.rows)
      message.append(.columns, size.columns)
    }
    message.append(.mergesStandardError, command.mergesStandardError ? 1 : 0)
    message.append(.hasInput, command.input == .pipe ? 1 : 0)
    if let limit = command.timeLimit { message.append(.timeLimit, limit) }
    message.append(.timeLimitSignal, command.timeLimitSignal.rawValue)
    if let niceness = command.niceness { message.append(.niceness, niceness) }
    message.append(.grace, command.terminationGrace)
    return message
  }

  /// Reads an order; returns nil if the message is none, or lacks what every order has.
  package init?(_ message: HolderMessage) {
    guard message.kind == .launch, let directory = message.text(.directory),
      let id = message.text(.id), let executable = message[.executable],
      let orphanTimeout = message.time(.orphanTimeout)
    else { return nil }
    var command = Command(
      Command.Text(bytes: executable),
      arguments: message.all(.argument).map { Command.Text(bytes: $0) })
    var environment: [Command.Text: Command.Text?] = [:]
    for variable in message.all(.variable) {
      let parts = variable.split(
        separator: 0, maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      environment.updateValue(
        Command.Text(bytes: parts[1]), forKey: Command.Text(bytes: parts[0]))
    }
    for name in message.all(.removedVariable) {
      environment.updateValue(nil, forKey: Command.Text(bytes: name))
    }
    command.environment = .inherited(changing: environment)
    command.workingDirectory = message[.workingDirectory].map { Command.Text(bytes: $0) }
    if let user = message.number(.userID), let group = message.number(.groupID) {
      command.user = Command.User(
        userID: UInt32(truncatingIfNeeded: user), groupID: UInt32(truncatingIfNeeded: group),
        supplementaryGroups: message.all(.supplementaryGroup).compactMap {
          HolderMessage.number($0).map { UInt32(truncatingIfNeeded: $0) }
        })
    }
    for limit in message.all(.limit) {
      let words = String(decoding: limit, as: UTF8.self).split(separator: " ")
      let resources = Command.Resource.allCases
      guard words.count == 3, let index = Int(words[0]), resources.indices.contains(index),
        let soft = UInt64(words[1]), let hard = UInt64(words[2])
      else { return nil }
      command.limits[resources[index]] = Command.Limit(soft: soft, hard: hard)
    }
    command.memoryLimit = message.number(.memoryLimit)
    command.processLimit = message.number(.processLimit)
    command.quietGrace = nil
    command.lingerLimit = message.time(.lingerLimit)
    if let rows = message.number(.rows), let columns = message.number(.columns) {
      command.terminal = TerminalSize(
        rows: UInt16(truncatingIfNeeded: rows), columns: UInt16(truncatingIfNeeded: columns))
    }
    command.mergesStandardError = message.flag(.mergesStandardError)
    command.input = message.flag(.hasInput) ? .pipe : .none
    command.timeLimit = message.time(.timeLimit)
    if let signal = message.number(.timeLimitSignal) {
      command.timeLimitSignal = ProcessSignal(rawValue: Int32(truncatingIfNeeded: signal))
    }
    command.niceness = message.number(.niceness).map { Int32(clamping: $0) }
    if let grace = message.time(.grace) { command.terminationGrace = grace }
    self.init(
      files: StateFiles(directory: directory, id: id), workspace: message.text(.workspace) ?? "",
      orphanTimeout: orphanTimeout, command: command, environment: environment)
    headBytes = message.number(.headBytes) ?? 0
    hasTimestamps = message.flag(.timestamps)
    losslessTime = message.time(.losslessTime)
    stdinBytes = message.number(.stdinBytes) ?? stdinBytes
    switch message.text(.cgroup) {
    case nil: cgroups = .none
    case ""?: cgroups = .ifAvailable
    case let path?: cgroups = .inside(path: path)
    }
  }
}
