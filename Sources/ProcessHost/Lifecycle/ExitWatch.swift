/// Notices that a child has ended, and how, without reaping it.
final class ExitWatch: EventSource, @unchecked Sendable {
  private let process: Int32
  private let descriptor: Int32
  private let outputs: ChildOutput
  var registration: EventLoop.Registration?

  /// - Parameter descriptor: The process's descriptor, -1 where the system has none; must stay open
  ///   until the lifecycle allows the child to be reaped.
  init(process: Int32, descriptor: Int32, outputs: ChildOutput) {
    self.process = process
    self.descriptor = descriptor
    self.outputs = outputs
  }

  /// Watches from now on, until the child has ended.
  func start(on eventLoop: EventLoop) {
    do throws(SystemError) {
      try eventLoop.add(self)
    } catch {
      poll(on: eventLoop)
    }
  }

  /// How often a child is looked at that cannot be waited for.
  private static let pollInterval: Duration = .milliseconds(20)

  /// Looks again and again: before Linux 5.3, without memory for the poller, or at a child that has
  /// ended already, which Darwin does not watch.
  private func poll(on eventLoop: EventLoop, after time: Duration = .zero) {
    eventLoop.schedule(after: time) { [self] in
      if let exit = peekState(of: process).exit {
        finish(exit)
      } else {
        poll(on: eventLoop, after: Self.pollInterval)
      }
    }
  }

  func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    try unsafe poller.addExit(of: process, descriptor: descriptor, token: token)
  }

  func remove(from poller: borrowing Poller) {
    poller.removeExit(of: process, descriptor: descriptor)
  }

  private var exit: ProcessExit?

  func handleEvent() -> EventLoop.Next {
    exit = peekState(of: process).exit
    return exit == nil ? .wait : .finish
  }

  func didFinish() {
    if let exit { finish(exit) }
  }

  /// Tells that the child has ended; only on the event loop's thread.
  func finish(_ exit: ProcessExit) { outputs.childEnded(exit) }
}
