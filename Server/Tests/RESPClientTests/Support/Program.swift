import Foundation

/// A program that runs, without input and output.
final class Program {
  private let process = Process()
  private let exited = Signal()

  init(_ path: String, _ arguments: [String]) throws {
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    process.terminationHandler = { [exited] _ in exited.send() }
    try process.run()
  }

  var isRunning: Bool { process.isRunning }

  /// Waits until the program exits, and returns its status.
  func wait() async -> Int32 {
    // `waitUntilExit` would block one of the few threads on which tasks run.
    await exited.wait()
    return process.terminationStatus
  }

  /// Ends the program, and waits until it has exited.
  func end() async {
    // The program may have inherited from the thread that started it that it blocks SIGTERM.
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    _ = await wait()
  }
}
