import ProcessHost
import Processes

/// The arguments of a command that both tools need.
struct CommandArguments {
  private let fields: Fields
  private let user: CommandUser?

  /// - Parameter user: The user as which the command runs; nil for the server's own.
  init(_ fields: Fields, user: CommandUser?) {
    self.fields = fields
    self.user = user
  }

  /// Returns the order of a command.
  ///
  /// - Parameters:
  ///   - withInput: Whether the command may have a stdin to write to.
  ///   - linger: How long processes that the command leaves behind may write after its end; nil for
  ///     no limit.
  /// - Throws: ``APIError`` with 400 and the name of the first invalid field.
  func order(withInput: Bool, linger: Duration?) throws(APIError) -> Order {
    let line = try CommandLine(fields, "command")
    var command = line.command
    command.workingDirectory = try fields.string("cwd").map { Command.Text($0) }
    let environment = try environment()
    command.environment = .inherited(changing: environment)
    if let user {
      command.user = user.user
      // The command's user may not have access to the server's own directory.
      if command.workingDirectory == nil { command.workingDirectory = Command.Text(user.home) }
    }
    // A command must not outlive a server that could not end it.
    #if os(Linux)
      command.parentDeathSignal = .kill
    #endif
    command.limits = try limits()
    command.memoryLimit = try fields.integer("max_memory_bytes", in: 1...(.max))
    command.processLimit = try fields.integer("max_processes", in: 1...(.max))
    let given = try fields.integer("linger_ms", in: 0...(1 << 40))
    command.quietGrace = nil
    command.lingerLimit = given.map { .milliseconds($0) } ?? linger
    let rows = try fields.integer("rows", in: 0...65_535) ?? 24
    let columns = try fields.integer("cols", in: 0...65_535) ?? 80
    if try fields.bool("tty") == true {
      command.terminal = TerminalSize(rows: UInt16(rows), columns: UInt16(columns))
    }
    command.mergesStandardError = try fields.bool("merge_stderr") ?? false
    if try fields.bool("pipe_stdin") != false && withInput { command.input = .pipe }
    var order = Order(line: line, command: command, environment: environment)
    // It holds the command's words as the client gave them, and as they are started.
    order.size = 2 * fields.text.utf8.count
    order.headBytes = try fields.integer("head_bytes", in: 0...Session.maxBufferBytes) ?? 0
    order.timestamps = try fields.bool("timestamps") ?? false
    return order
  }

  private func limits() throws(APIError) -> [Command.Resource: Command.Limit] {
    var limits: [Command.Resource: Command.Limit] = [:]
    if let seconds = try fields.integer("cpu_seconds", in: 1...(1 << 31)) {
      // SIGXCPU first, and SIGKILL for a command that does not react to it.
      limits[.cpuTime] = Command.Limit(soft: UInt64(seconds), hard: UInt64(seconds) + 1)
    }
    if let files = try fields.integer("open_files", in: 3...(1 << 20)) {
      limits[.openFiles] = Command.Limit(UInt64(files))
    }
    return limits
  }

  private func environment() throws(APIError) -> [Command.Text: Command.Text?] {
    var changes: [Command.Text: Command.Text?] = [:]
    if let user {
      changes["HOME"] = Command.Text(user.home)
      changes["USER"] = Command.Text(user.name)
      changes["LOGNAME"] = Command.Text(user.name)
    }
    guard let env = try fields.object("env") else { return changes }
    for name in env.names {
      // Null removes a variable.
      let value = try env.string(name).map { Command.Text($0) }
      changes.updateValue(value, forKey: Command.Text(name))
    }
    return changes
  }
}
