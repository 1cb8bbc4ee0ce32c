/// Notices that a child has ended, and how, without reaping it.
final class ExitWatch: EventSource, @unchecked Sendable {
  private let process: Int32
  private let descriptor: Int32
  private let outputs: Outputs

  /// - Parameter descriptor: The process's descriptor where the system has such; must stay open until
  ///   the lifecycle allows the child to be reaped.
  init(process: Int32, descriptor: Int32, outputs: Outputs) {
    self.process = process
    self.descriptor = descriptor
    self.outputs = outputs
  }

  override func add(to poller: borrowing Poller, token: Poller.Token) throws(SystemError) {
    try unsafe poller.addExit(of: process, descriptor: descriptor, token: token)
  }

  override func remove(from poller: borrowing Poller) {
    poller.removeExit(of: process, descriptor: descriptor)
  }

  private var exit: ProcessExit?

  override func handleEvent() -> Next {
    exit = peekState(of: process).exit
    return exit == nil ? .wait : .finish
  }

  override func didFinish() {
    if let exit { finish(exit) }
  }

  /// Tells that the child has ended; only on the pump's thread.
  func finish(_ exit: ProcessExit) { outputs.childEnded(exit) }
}
