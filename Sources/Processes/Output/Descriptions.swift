// How sessions, chunks and outputs print, for logs and debuggers.

extension Chunk: CustomStringConvertible {
  /// The seq, the stream and the payload as text, such as `#7 stdout "compiling…\n"`; of a longer
  /// payload its first 80 bytes, and how many there are.
  public var description: String {
    let shown = String(decoding: data.prefix(80), as: UTF8.self).debugDescription
    return "#\(seq) \(stream) \(shown)" + (data.count > 80 ? "… (\(data.count) bytes)" : "")
  }
}

extension Output: CustomStringConvertible {
  /// What was read and the state of the process, such as
  /// `chunks #5 to #7 (120 bytes), 4 chunks (32 bytes) missed; exited with 0, closed`.
  public var description: String {
    var parts: [String] = []
    if let first = chunks.first, let last = chunks.last {
      let range = chunks.count == 1 ? "chunk #\(first.seq)" : "chunks #\(first.seq) to #\(last.seq)"
      parts.append("\(range) (\(chunks.payload.count) bytes)")
    } else {
      parts.append("no chunks")
    }
    if missedChunks > 0 || missedBytes != 0 {
      let bytes = missedBytes.map { "\($0) bytes" } ?? "bytes not known"
      parts.append("\(missedChunks) chunks (\(bytes)) missed")
    }
    if hasMore { parts.append("more to read") }
    if isCursorAhead { parts.append("cursor ahead") }
    if isCursorForeign { parts.append("cursor of another session") }
    if isDamaged { parts.append("damaged") }
    return parts.joined(separator: ", ") + "; " + stateDescription
  }
}

extension SessionReader: CustomStringConvertible {
  /// The id, the counts and the state of the process, such as
  /// `session "build-7": 7 chunks, 120 bytes, 0 lost; running`.
  ///
  /// - Complexity: as ``lostBytes``.
  public var description: String {
    noteAbandonment()
    let output = output(since: Cursor(seq: .max))
    let total = output.cursor.offset ?? totalBytes
    let workspace = workspaceID.isEmpty ? "" : " of workspace \(workspaceID.debugDescription)"
    return "session \(id.debugDescription)\(workspace): \(output.lastSeq) chunks, \(total) bytes, "
      + "\(output.lostBytes) lost; \(output.stateDescription)"
  }
}

extension Output {
  /// The state of the process and of its session, such as `exited with 0, closed`.
  fileprivate var stateDescription: String {
    let exit = exitCode.map { "exited with \($0)" } ?? (isClosed ? "no exit code" : "running")
    return exit + (isClosed ? ", closed" : "") + (isForgotten ? ", forgotten by its manager" : "")
      + (isAbandoned ? ", abandoned by its recorder" : "")
  }
}
