#if canImport(Darwin)
  import Darwin
#elseif canImport(Glibc)
  import Glibc
#endif

/// Which case is running, on standard error if that is a terminal; else nothing.
package struct Progress {
  private let isShown = isatty(STDERR_FILENO) == 1
  private let total: Int

  package init(total: Int) { self.total = total }

  package func show(_ index: Int, _ path: String) { write("\r\u{1B}[K[\(index)/\(total)] \(path)") }

  /// Takes the line away before something else is printed.
  package func clear() { write("\r\u{1B}[K") }

  private func write(_ text: String) {
    if isShown { writeError(text) }
  }
}

/// Writes to standard error, at once.
package func writeError(_ text: String) {
  var text = text
  text.withUTF8 { bytes in
    _ = unsafe write(STDERR_FILENO, bytes.baseAddress, bytes.count)
  }
}

/// Results go out as they come, to a pipe too.
func flushOutput() { _ = fflush(nil) }
