extension Refusal {
  /// The refusal as a message of the kind `refused`.
  ///
  /// - Parameter code: The value of `errno`; nil if there is none.
  package func message(number: UInt32, code: Int32? = nil) -> HolderMessage {
    var message = HolderMessage(.refused, number: number)
    message.append(.reason, rawValue)
    if let code { message.append(.code, code) }
    return message
  }

  /// Reads a message of the kind `refused`; returns nil if the message is none, or has a reason
  /// that this program does not know.
  package init?(_ message: HolderMessage) {
    guard message.kind == .refused, let reason = message.text(.reason) else { return nil }
    self.init(rawValue: reason)
  }
}
