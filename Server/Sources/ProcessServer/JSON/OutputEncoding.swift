package import NIOCore
package import Processes

/// Bytes in base64, as RFC 4648 specifies.
func base64(_ bytes: [UInt8]) -> String {
  let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  var text: [UInt8] = []
  text.reserveCapacity((bytes.count + 2) / 3 * 4)
  for start in stride(from: 0, to: bytes.count, by: 3) {
    let count = min(3, bytes.count - start)
    var bits = 0
    for place in 0..<3 { bits = bits << 8 | (place < count ? Int(bytes[start + place]) : 0) }
    for place in 0..<4 {
      text.append(place <= count ? alphabet[bits >> (18 - 6 * place) & 63] : UInt8(ascii: "="))
    }
  }
  return String(decoding: text, as: UTF8.self)
}

extension ByteBuffer {
  /// Writes the result of a read, as `GET …/output` answers it.
  ///
  /// Encodes the chunks' base64 straight from the read's memory into this buffer, which is enlarged
  /// first: output bytes are copied only by the encoding.
  ///
  /// - Parameters:
  ///   - ending: The state of the process that the answer gives in addition.
  ///   - search: How the wait for a literal ended, if the request was one.
  ///   - start: When the session began, since 1970: what its chunks' timestamps count from; nil if
  ///     they have none.
  package mutating func writeJSON(
    _ output: Output, _ ending: Ending, _ search: WaitResult? = nil, start: Duration?
  ) {
    let chunks = output.chunks
    reserveCapacity(minimumWritableBytes: Self.sizeOfJSON(of: output))
    writeStaticString(#"{"chunks":["#)
    for index in chunks.indices {
      if index > 0 { writeStaticString(",") }
      writeJSON(chunks[index], start: start ?? .zero)
    }
    writeStaticString(#"],"exit_code":"#)
    writeJSON(output.exitCode.map { Int($0) })
    writeStaticString(#","session_alive":"#)
    writeJSON(output.isAlive && !ending.isLost)
    writeStaticString(#","truncated":"#)
    writeJSON(output.indexOfGap != nil)
    writeStaticString(#","lost_bytes":"#)
    writeJSON(output.lostBytes)
    writeStaticString(#","closed":"#)
    writeJSON(output.isOver)
    writeStaticString(#","missed_chunks":"#)
    writeJSON(output.missedChunks)
    writeStaticString(#","missed_bytes":"#)
    writeJSON(output.missedBytes)
    writeStaticString(#","gap_index":"#)
    writeJSON(output.indexOfGap)
    writeStaticString(#","next_since":"#)
    writeJSON(output.lastSeq)
    writeStaticString(#","cursor":""#)
    writeString(output.cursor.description)
    writeStaticString(#"","has_more":"#)
    writeJSON(output.hasMore)
    writeStaticString(#","signal":"#)
    writeString(ending.signal.map { "\"\($0)\"" } ?? "null")
    writeStaticString(#","dropped_bytes":"#)
    writeJSON(ending.droppedBytes)
    writeStaticString(#","timed_out":"#)
    writeJSON(ending.hasTimedOut)
    writeStaticString(#","oom_killed":"#)
    if let isKilled = ending.wasOOMKilled { writeJSON(isKilled) } else { writeStaticString("null") }
    writeStaticString(#","rusage":"#)
    writeString(ending.usage?.json.text ?? "null")
    writeStaticString(#","foreign_cursor":"#)
    writeJSON(output.isCursorForeign)
    writeStaticString(#","cursor_ahead":"#)
    writeJSON(output.isCursorAhead)
    writeStaticString(#","forgotten":"#)
    writeJSON(ending.isForgotten)
    if ending.isHostLost { writeStaticString(#","host_lost":true"#) }
    if ending.isHolderLost { writeStaticString(#","holder_lost":true"#) }
    writeStaticString(#","wait_for":"#)
    writeString(search?.json.text ?? "null")
    if let start {
      writeStaticString(#","start_ms":"#)
      writeJSON(start.sinceEpochInMilliseconds)
    }
    writeStaticString("}")
  }

  /// Writes a chunk with its payload, and when it came if its session keeps that.
  mutating func writeJSON(_ chunk: Chunk, start: Duration) {
    let data = chunk.data
    unsafe writeWithUnsafeMutableBytes(
      minimumWritableBytes: Self.chunkFrameSize + data.base64Count
    ) { room in
      var text = unsafe TextWriter(room)
      switch chunk.stream {
      case .stdout: text.write(#"{"stream":"stdout","data_b64":""#)
      case .stderr: text.write(#"{"stream":"stderr","data_b64":""#)
      }
      unsafe text.write { unsafe data.encodeBase64(into: $0) }
      text.write(#"","seq":"#)
      text.write(UInt(chunk.seq))
      text.write(#","offset":"#)
      text.write(UInt(chunk.offset))
      if let timestamp = chunk.timestamp {
        text.write(#","time_ms":"#)
        text.write(UInt((start + timestamp).sinceEpochInMilliseconds))
      }
      text.write("}")
      return text.count
    }
  }

  private mutating func writeJSON(_ value: Int?) {
    if let value { writeString("\(value)") } else { writeStaticString("null") }
  }

  private mutating func writeJSON(_ value: Bool) {
    if value { writeStaticString("true") } else { writeStaticString("false") }
  }

  /// An upper bound of the bytes that ``writeJSON(_:_:_:start:)`` writes.
  package static func sizeOfJSON(of output: Output) -> Int {
    // Each chunk's base64 is padded, and followed by a comma.
    let payload = output.chunks.payload.count
    return 1536 + output.chunks.count * (chunkFrameSize + 5) + (payload + 2) / 3 * 4
  }

  /// An upper bound of the bytes around the data of a chunk, with three numbers of up to 20 digits.
  private static var chunkFrameSize: Int { 128 }
}

extension Duration {
  /// A time since 1970, in whole milliseconds.
  var sinceEpochInMilliseconds: Int { Int(max(0, self / .milliseconds(1))) }
}

extension WaitResult {
  /// What ended the wait, as answers say it.
  var outcomeName: String {
    switch outcome {
    case .matched: "matched"
    case .exited: "exited"
    // Of a session in memory that is not closed, a deletion is answered as an error.
    case .closed, .forgotten, .abandoned, .damaged: "closed"
    case .timedOut: "timed_out"
    }
  }

  /// How the wait ended, as answers give it.
  var json: JSON {
    [
      "outcome": .string(outcomeName), "offset": .optional(match?.lowerBound),
      "end_offset": .optional(match?.upperBound), "missed_bytes": .optional(missedBytes),
      "cursor": .string(cursor.description),
    ]
  }
}
