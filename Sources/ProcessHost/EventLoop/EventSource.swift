/// A source of events for an event loop.
///
/// After it has been added, only the event loop's thread uses it.
protocol EventSource: AnyObject, Sendable {
  /// The source's registration; nil before it is added and after it has finished or been withdrawn.
  /// Only the event loop changes it.
  var registration: EventLoop.Registration? { get set }

  /// Does a bounded amount of work, and never blocks.
  func handleEvent() -> EventLoop.Next

  /// Adds the source to the poller.
  func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError)

  /// Removes the source from the poller.
  func remove(from poller: borrowing Poller)

  /// Closes the source's descriptor. Called once, after the source has returned `.finish` and has
  /// been removed.
  func didFinish()
}

extension EventLoop {
  /// What the event loop does next with a source: waits until the source is ready; gives it a turn
  /// after a pause, ready or not; holds it until `resume`; or releases it.
  enum Next { case wait, rest, hold, finish }

  /// The registration of a source in an event loop, which keeps the source alive. The poller's
  /// token points to it.
  final class Registration: @unchecked Sendable {
    let source: any EventSource
    /// Whether the source rests or is held. The poller does not watch it then.
    var isResting = false

    init(_ source: any EventSource) { self.source = source }
  }
}
