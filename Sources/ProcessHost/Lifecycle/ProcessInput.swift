/// The stdin of a process whose ``Command/input`` is ``Command/Input/pipe``: a pipe or, if it
/// has one, the terminal.
///
/// ```swift
/// var command = Command("bc")
/// command.input = .pipe
/// let process = try await host.launch(command, into: session)
/// try await process.input?.write("6 * 7\n".utf8)
/// process.input?.close()
/// ```
///
/// Can be used from any task or thread; bytes of different writes are not mixed. When the last
/// reference to it is gone, including its process's, the pipe is closed as by ``close()``.
public final class ProcessInput: Sendable {
  private let pipe: InputPipe

  init(_ pipe: InputPipe) { self.pipe = pipe }

  deinit { pipe.close() }

  /// Writes bytes to the process, and returns when the pipe has taken them all.
  ///
  /// A pipe holds about 64 KiB; once it is full, the call waits for the process to read. The wait
  /// blocks no thread and no other process. When the call returns, the process may not have read
  /// the bytes yet.
  ///
  /// - Parameter bytes: The bytes to write, after all writes that began before.
  /// - Throws: ``InputError/brokenPipe`` if the process, and every other process that has its
  ///   stdin, has closed it or ended; ``InputError/closed`` after ``close()``;
  ///   ``InputError/cancelled`` as soon as the task is cancelled: some of the bytes may have been
  ///   written then, and the remaining bytes are not written.
  /// - Complexity: O(bytes); they are copied once, into the pipe, if they are an array.
  public func write(_ bytes: some Collection<UInt8> & Sendable) async throws(InputError) {
    let ticket = pipe.makeTicket()
    let answer: InputPipe.Answer = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        pipe.write(
          Array(bytes), as: ticket, isCancelled: { Task.isCancelled }, continuation)
      }
    } onCancel: {
      pipe.cancel(ticket)
    }
    try answer.get()
  }

  /// Closes the pipe after all writes that began before; the process then finds the end of its
  /// stdin.
  ///
  /// A terminal stays open and receives Ctrl-D, which a program that reads lines takes as the end
  /// of its input.
  ///
  /// Does nothing if the pipe is closed already. Pending writes complete even if no task waits for
  /// them.
  public func close() { pipe.close() }
}

/// Why bytes could not be written to a process.
public enum InputError: Error, Sendable, Hashable {
  /// No process reads the bytes any more: the process has closed its stdin, or has ended.
  case brokenPipe
  /// The pipe was closed with ``ProcessInput/close()``.
  case closed
  /// The task was cancelled before all bytes were written.
  case cancelled
}

extension InputError: CustomStringConvertible {
  /// What was wrong.
  public var description: String {
    switch self {
    case .brokenPipe: "the process has closed its stdin, or has ended"
    case .closed: "this program has closed the process's stdin"
    case .cancelled: "the task was cancelled before all was written"
    }
  }
}
