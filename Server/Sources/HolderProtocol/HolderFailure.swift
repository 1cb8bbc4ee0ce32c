package import ProcessHost

/// Why a holder could not start its command.
package enum HolderFailure: Error, Sendable, Hashable {
  /// The command cannot be started.
  case launch(LaunchError)
  /// The session's files cannot be made.
  ///
  /// - Parameters:
  ///   - reason: What was wrong, and with which file.
  ///   - code: The value of `errno`; nil if there is none.
  case storage(reason: String, code: Int32?)
}

extension HolderFailure {
  /// The failure as a message of the kind `failed`: a reason, texts and a number.
  package func message(number: UInt32) -> HolderMessage {
    var message = HolderMessage(.failed, number: number)
    func add(_ reason: String, _ texts: [String] = [], _ code: Int32? = nil) {
      message.append(.reason, reason)
      for text in texts { message.append(.text, text) }
      if let code { message.append(.code, code) }
    }
    switch self {
    case .storage(let reason, let code): add("storage", [reason], code)
    case .launch(.executableNotFound(let name, let searched)):
      add("executable_not_found", [name] + searched)
    case .launch(.notExecutable(let path, let reason)):
      add("not_executable", [path, reason.name])
    case .launch(.badWorkingDirectory(let path, let code)):
      add("bad_working_directory", [path], code)
    case .launch(.invalidCommand(let reason)): add("invalid_command", [reason])
    case .launch(.limitsUnavailable(let reason)): add("limits_unavailable", [reason])
    case .launch(.outOfResources(let code)): add("out_of_resources", [], code)
    case .launch(.other(let reason, let code)): add("other", [reason], code)
    case .launch(let error): add("other", [error.description])
    }
    return message
  }

  /// Reads a message of the kind `failed`. A reason that this program does not know is another
  /// error.
  package init(_ message: HolderMessage) {
    let texts = message.all(.text).map { String(decoding: $0, as: UTF8.self) }
    let first = texts.first ?? "the holder gave no reason"
    let code = message.number(.code).map { Int32(truncatingIfNeeded: $0) }
    switch message.text(.reason) {
    case "storage"?: self = .storage(reason: first, code: code)
    case "executable_not_found"?:
      self = .launch(.executableNotFound(name: first, searched: Array(texts.dropFirst())))
    case "not_executable"?:
      let reason = LaunchError.NotExecutableReason(name: texts.last ?? "")
      self = .launch(
        reason.map { .notExecutable(path: first, reason: $0) }
          ?? .other(reason: "\(first): cannot be executed", code: nil))
    case "bad_working_directory"?:
      self = .launch(.badWorkingDirectory(path: first, code: code ?? 0))
    case "invalid_command"?: self = .launch(.invalidCommand(reason: first))
    case "limits_unavailable"?: self = .launch(.limitsUnavailable(reason: first))
    case "out_of_resources"?: self = .launch(.outOfResources(code: code ?? 0))
    default: self = .launch(.other(reason: first, code: code))
    }
  }
}

extension LaunchError.NotExecutableReason {
  private static let names: [(reason: Self, name: String)] = [
    (.noPermission, "no_permission"), (.isDirectory, "is_directory"),
    (.notADirectory, "not_a_directory"), (.unknownFormat, "unknown_format"),
    (.badInterpreter, "bad_interpreter"), (.argumentsTooLong, "arguments_too_long"),
  ]

  fileprivate var name: String { Self.names.first { $0.reason == self }?.name ?? "" }

  fileprivate init?(name: String) {
    guard let reason = Self.names.first(where: { $0.name == name })?.reason else { return nil }
    self = reason
  }
}

/// Why a holder cannot do what it is asked, in a message of the kind `refused`.
package enum Refusal: String, Error, Sendable {
  /// The command, and all others of its group, have ended.
  case processEnded = "process_ended"
  /// The holder may not send signals to any of them.
  case notPermitted = "not_permitted"
  /// The system has refused; ``HolderMessage/Tag/code`` says why.
  case refused
  /// The command has no terminal.
  case noTerminal = "no_terminal"
}
