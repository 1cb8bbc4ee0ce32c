import Logging
import Synchronization

/// Keeps what is logged.
final class Log: Sendable {
  private let text = Mutex("")
  var contents: String { text.withLock { $0 } }
  let lines = Mailbox<String>()

  private struct Handler: LogHandler {
    let log: Log
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
      let line = "\(event.level) \(event.message) \(event.metadata ?? [:])"
      log.text.withLock { $0 += line + "\n" }
      log.lines.add(line)
    }
  }

  var logger: Logger { Logger(label: "test") { _ in Handler(log: self) } }
}
