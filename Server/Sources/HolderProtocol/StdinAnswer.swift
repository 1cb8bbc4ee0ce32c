import ProcessHost

extension StdinQueue.Answer {
  /// The answer as a message of the kind `written`: a reason, and a number or a text.
  package func message(number: UInt32) -> HolderMessage {
    var message = HolderMessage(.written, number: number)
    switch self {
    case .written: message.append(.reason, "written")
    case .waiting(let bytes):
      message.append(.reason, "waiting")
      message.append(.waiting, bytes)
    case .full(let waiting):
      message.append(.reason, "full")
      message.append(.waiting, waiting)
    case .failed(let error):
      message.append(.reason, "failed")
      message.append(.text, error.name)
    }
    return message
  }

  /// Reads a message of the kind `written`; returns nil if the message is none, or has a reason
  /// that this program does not know.
  package init?(_ message: HolderMessage) {
    guard message.kind == .written else { return nil }
    let waiting = max(message.number(.waiting) ?? 0, 0)
    switch message.text(.reason) {
    case "written"?: self = .written
    case "waiting"?: self = .waiting(bytes: waiting)
    case "full"?: self = .full(waiting: waiting)
    // No process reads the bytes, whatever the reason is.
    case "failed"?: self = .failed(InputError(name: message.text(.text) ?? "") ?? .brokenPipe)
    default: return nil
    }
  }
}

extension InputError {
  private static let names: [(error: Self, name: String)] = [
    (.brokenPipe, "broken_pipe"), (.closed, "closed"), (.cancelled, "cancelled"),
  ]

  fileprivate var name: String { Self.names.first { $0.error == self }?.name ?? "" }

  fileprivate init?(name: String) {
    guard let error = Self.names.first(where: { $0.name == name })?.error else { return nil }
    self = error
  }
}
