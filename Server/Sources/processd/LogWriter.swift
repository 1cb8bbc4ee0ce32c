import Dispatch
import Logging
import ProcessServer
import Synchronization

#if canImport(FoundationEssentials)
  import FoundationEssentials
#else
  import Foundation
#endif

/// Writes lines to a descriptor. The caller never waits.
///
/// If the reader of the descriptor is slow, lines wait in memory. Lines that do not fit there are
/// dropped; the next written line gives their number.
final class LogWriter: Sendable {
  private struct State {
    var waiting: [UInt8] = []
    var isWriting = false
    /// Whether the last write failed, and perhaps in the middle of a line.
    var endsInLine = false
    /// The number of lines dropped since a line was last written, and in total.
    var dropped = 0
    var allDropped = 0
  }

  /// The most bytes that wait.
  private static let capacity = 256 << 10

  private let descriptor: Descriptor
  private let state = Mutex(State())
  // The thread that waits for the reader.
  private let queue = DispatchQueue(label: "processd.log")

  /// The line that says how many were dropped.
  private let notice: @Sendable (Int) -> String

  init(_ descriptor: Descriptor, notice: @escaping @Sendable (Int) -> String) {
    self.descriptor = descriptor
    self.notice = notice
  }

  /// The number of lines that were dropped.
  var droppedLines: Int { state.withLock(\.allDropped) }

  func write(_ line: String) {
    let begins = state.withLock { state in
      guard state.waiting.count + line.utf8.count < Self.capacity else {
        state.dropped += 1
        state.allDropped += 1
        return false
      }
      if state.dropped > 0 {
        // What could not be written may have ended within a line.
        state.waiting += "\(state.endsInLine ? "\n" : "")\(notice(state.dropped))\n".utf8
        state.dropped = 0
        state.endsInLine = false
      }
      state.waiting += line.utf8
      state.waiting.append(UInt8(ascii: "\n"))
      defer { state.isWriting = true }
      return !state.isWriting
    }
    if begins { queue.async { self.drain() } }
  }

  private func drain() {
    while true {
      let bytes = state.withLock { state in
        defer { state.waiting = [] }
        if state.waiting.isEmpty { state.isWriting = false }
        return state.waiting
      }
      if bytes.isEmpty { return }
      do throws(SystemError) {
        try descriptor.write(bytes)
      } catch {
        // Some of them may have been written.
        let lines = bytes.count { $0 == UInt8(ascii: "\n") }
        state.withLock { state in
          state.dropped += lines
          state.allDropped += lines
          state.endsInLine = true
        }
      }
    }
  }

  /// Waits until all lines are written, up to a time limit.
  func flush(upTo limit: Duration) async {
    let deadline = ContinuousClock.now + limit
    while state.withLock(\.isWriting), .now < deadline {
      try? await Task.sleep(for: .milliseconds(5))
    }
  }
}

/// Formats lines as `time level label: message key=value` for a ``LogWriter``.
struct LineLogHandler: LogHandler {
  let label: String
  let writer: LogWriter
  var metadata: Logger.Metadata = [:]
  var logLevel = Logger.Level.info

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  func log(event: LogEvent) {
    let all = metadata.merging(event.metadata ?? [:]) { _, new in new }
    var line = "\(Date().formatted(.iso8601)) \(event.level) \(label): \(event.message)"
    for (key, value) in all.sorted(by: { $0.key < $1.key }) { line += " \(key)=\(value)" }
    // One event is one line, whatever is in it.
    writer.write(line.split(whereSeparator: \.isNewline).joined(separator: " "))
  }
}
