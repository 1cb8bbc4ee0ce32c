/// Something that the pump waits for.
///
/// After it has been added, only the pump's thread uses it.
class EventSource: @unchecked Sendable {
  /// What to do next about a source: wait until it is ready, give it a turn after a pause whether
  /// it is ready or not, leave it alone until it is resumed, or never ask it again.
  enum Next { case wait, rest, hold, finish }

  /// Whether it is in such a pause, or left alone. The poller does not know it then.
  var isResting = false

  /// Does a bounded amount of work, without ever blocking.
  func handleEvent() -> Next { fatalError("must be overridden") }

  /// Tells the poller about the source.
  func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    fatalError("must be overridden")
  }

  /// Takes that back.
  func remove(from poller: borrowing Poller) { fatalError("must be overridden") }

  /// Called once, when the source has been removed after `.finish`.
  func didFinish() {}
}
