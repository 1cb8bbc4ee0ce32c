/// Detects that a child has ended, and how, without reaping it.
final class ExitWatch: EventSource, @unchecked Sendable {
  private let process: Int32
  private let descriptor: Int32
  private let outputs: ChildOutput
  var registration: EventLoop.Registration?

  /// - Parameter descriptor: The process's descriptor, -1 where the system has none. It must stay
  ///   open until the lifecycle allows the event loop to reap the child.
  init(process: Int32, descriptor: Int32, outputs: ChildOutput) {
    self.process = process
    self.descriptor = descriptor
    self.outputs = outputs
  }

  /// Watches the child until it has ended.
  func start(on eventLoop: EventLoop) {
    do throws(SystemError) {
      try eventLoop.add(self)
    } catch {
      poll(on: eventLoop)
    }
  }

  /// The interval at which to poll a child that the poller cannot watch.
  private static let pollInterval: Duration = .milliseconds(20)

  /// Polls the child at intervals. Needed before Linux 5.3, when the poller has no memory, and for
  /// a child that has ended already, which Darwin does not watch.
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

  /// Reports that the child has ended. On the event loop's thread.
  func finish(_ exit: ProcessExit) { outputs.childEnded(exit) }
}
