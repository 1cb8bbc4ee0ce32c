/// Something that an event loop waits for.
///
/// After it has been added, only the event loop's thread uses it.
protocol EventSource: AnyObject, Sendable {
  /// The source's place in the event loop; nil before it is added and after it has finished or been
  /// withdrawn. The event loop alone changes it.
  var registration: EventLoop.Registration? { get set }

  /// Does a bounded amount of work, without ever blocking.
  func handleEvent() -> EventLoop.Next

  /// Tells the poller about the source.
  func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError)

  /// Takes that back.
  func remove(from poller: borrowing Poller)

  /// Closes what the source has used. Called once, when it has been removed after `.finish`.
  func didFinish()
}

extension EventLoop {
  /// What to do next about a source: wait until it is ready, give it a turn after a pause whether
  /// it is ready or not, leave it alone until it is resumed, or never ask it again.
  enum Next { case wait, rest, hold, finish }

  /// A source's place in an event loop, which keeps the source. The poller's token points to it.
  final class Registration: @unchecked Sendable {
    let source: any EventSource
    /// Whether the source rests, or is left alone. The poller does not know it then.
    var isResting = false

    init(_ source: any EventSource) { self.source = source }
  }
}
