#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// The file that gets the complete output, in the order in which the daemon captured it.
///
/// The command waits for the reader that writes the file. After a write has failed it gets nothing
/// more, and the command goes on.
struct OutputFile: Sendable {
  private let path: String
  private let descriptor: Int32
  private var error: WriteError?
  private var missingBytes = 0

  /// Opens the file, and truncates it if it exists.
  init(path: String) throws(WriteError) {
    self.path = path
    descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw WriteError(code: errno) }
  }

  /// Writes an answer's output.
  mutating func write(_ answer: OutputAnswer) {
    missingBytes += answer.missedBytes ?? 0
    guard error == nil else { return }
    do throws(WriteError) {
      try writeAll(answer.chunks.flatMap(\.data), to: descriptor)
    } catch {
      self.error = error
    }
  }

  /// Closes the file, and returns why it does not have all of the output.
  mutating func finish() -> [String] {
    // A file system may report only at the close that it had no space.
    if close(descriptor) != 0, error == nil, errno != EINTR { error = WriteError(code: errno) }
    if let error {
      return ["cannot write to \(path): \(error.message); the file is not complete"]
    }
    guard missingBytes > 0 else { return [] }
    return ["\(path) is not complete: \(missingBytes) bytes came faster than it took them"]
  }
}
