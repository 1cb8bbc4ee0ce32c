package import Processes

/// `capture --asciicast`: a session's output as a file of version 2 of asciinema's format, one line
/// of JSON for the header and for each event.
///
/// The lines gather here until they are taken. Each chunk becomes one event of output. A character
/// that is cut between two chunks of a stream belongs to the event of the second; what is not UTF-8
/// becomes U+FFFD.
package struct Asciicast: Sendable {
  /// What the first line says.
  package struct Header: Sendable {
    package var columns: Int
    package var rows: Int
    /// When the session began, since the beginning of 1970 UTC.
    package var start: Duration
    /// The command as a shell takes it; empty if not known.
    package var command: String
    /// The type of terminal that programs of the recording expect; nil if not known.
    package var term: String?

    package init(columns: Int, rows: Int, start: Duration, command: String, term: String?) {
      self.columns = columns
      self.rows = rows
      self.start = start
      self.command = command
      self.term = term
    }
  }

  private var buffer: [UInt8] = []
  /// The beginning of a character of each stream, of which the rest has not come yet.
  private var rests: [StandardStream: [UInt8]] = [:]
  private var lastTime = Duration.zero

  /// Begins a file.
  package init(_ header: Header) {
    append("{\"version\":2,\"width\":\(header.columns),\"height\":\(header.rows)")
    append(",\"timestamp\":\(max(header.start.components.seconds, 0))")
    if !header.command.isEmpty {
      append(",\"command\":\"")
      buffer.appendJSONEscaped(header.command)
      append("\"")
    }
    if let term = header.term {
      append(",\"env\":{\"TERM\":\"")
      buffer.appendJSONEscaped(term)
      append("\"}")
    }
    append("}\n")
  }

  /// Appends an event for each chunk that completes a character. Events never go back in time: one
  /// that would has the time of the event before.
  package mutating func append(_ chunks: some Sequence<Chunk>) {
    for chunk in chunks {
      var bytes = rests.removeValue(forKey: chunk.stream) ?? []
      bytes += chunk.data
      let rest = bytes.suffix(incompleteCount(at: bytes))
      bytes.removeLast(rest.count)
      if !rest.isEmpty { rests[chunk.stream] = Array(rest) }
      event("o", String(decoding: bytes, as: UTF8.self), at: chunk.timestamp ?? .zero)
    }
  }

  /// Appends an event that says that the terminal's size has changed.
  package mutating func appendResize(columns: Int, rows: Int, at time: Duration) {
    event("r", "\(columns)x\(rows)", at: time)
  }

  /// Appends a marker that says that output is missing before what follows.
  ///
  /// - Parameter time: The time of what follows; nil if nothing does.
  package mutating func appendGap(bytes: Int?, at time: Duration?) {
    finish()
    let count = bytes.map { "\($0)" } ?? "an unknown number of"
    event("m", "capture: \(count) bytes missed", at: time ?? lastTime)
  }

  /// Appends what is left of characters of which the rest has not come: they are not valid.
  package mutating func finish() {
    for stream in StandardStream.allCases {
      guard let rest = rests.removeValue(forKey: stream) else { continue }
      event("o", String(decoding: rest, as: UTF8.self), at: lastTime)
    }
  }

  /// Returns the lines so far, and forgets them.
  package mutating func take() -> [UInt8] {
    defer { buffer.removeAll(keepingCapacity: true) }
    return buffer
  }

  private mutating func event(_ code: String, _ data: String, at time: Duration) {
    guard !data.isEmpty else { return }
    lastTime = max(lastTime, time)
    append("[\(fixed(lastTime / .seconds(1), 6)),\"\(code)\",\"")
    buffer.appendJSONEscaped(data)
    append("\"]\n")
  }

  private mutating func append(_ text: String) { buffer.append(contentsOf: text.utf8) }
}

/// Returns how many bytes at the end are the beginning of a character of UTF-8 of which the rest is
/// missing.
private func incompleteCount(at bytes: [UInt8]) -> Int {
  for (index, byte) in bytes.suffix(3).reversed().enumerated() where byte & 0xc0 != 0x80 {
    let length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    return length > index + 1 ? index + 1 : 0
  }
  return 0
}
