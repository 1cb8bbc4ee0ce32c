import NIOCore
import Processes
import RESPClient

/// A part of a session's output without a gap, as one entry of its stream in Redis.
///
/// The entry's id is the seq of the last chunk and the offset where it ends, so a batch that is
/// sent again, because the reply to it was lost, is refused: nothing is stored twice. The
/// descriptors are a varint for each chunk, twice its length and one more for stderr, and behind
/// that, if the session has timestamps, one for the nanoseconds since the chunk before (since the
/// start, for the first).
struct Batch: Sendable {
  let lastSeq: Int
  let end: Int
  let descriptors: ByteBuffer
  let payload: ByteBuffer

  var id: String { "\(lastSeq)-\(end)" }

  /// Makes a batch of the first chunks of an output, up to its gap if it has one.
  ///
  /// - Precondition: there are chunks.
  init(_ output: Output) {
    let gap = output.gapIndex
    let chunks = 0 < gap && gap < output.chunks.count ? output.chunks[..<gap] : output.chunks[...]
    var descriptors = ByteBuffer()
    var payload = ByteBuffer()
    payload.reserveCapacity(output.chunks.payload.count)
    var time: Duration = .zero
    for chunk in chunks {
      descriptors.writeVarint(UInt64(chunk.data.count) << 1 | (chunk.stream == .stderr ? 1 : 0))
      if let timestamp = chunk.timestamp {
        descriptors.writeVarint(UInt64(clamping: (timestamp - time).nanoseconds))
        time = timestamp
      }
      payload.writeBytes(chunk.data)
    }
    let last = chunks[chunks.endIndex - 1]
    lastSeq = last.seq
    end = last.offset + last.data.count
    self.descriptors = descriptors
    self.payload = payload
  }
}

/// A batch as a server that has not made it reads it. Anything may be in it.
struct StoredBatch: Sendable {
  struct Chunk: Sendable {
    let stream: StandardStream
    let timestamp: Duration?
    let bytes: ByteBuffer
  }

  let firstSeq: Int
  let begin: Int
  let lastSeq: Int
  let end: Int
  let chunks: [Chunk]

  /// Reads an entry of a stream; nil if no server of this version can have stored it.
  init?(_ entry: RESPValue, hasTimestamps: Bool) {
    guard let parts = entry.array, parts.count == 2, let id = parts[0].string,
      let fields = parts[1].array, fields.count == 4, fields[0].string == "c",
      fields[2].string == "d", var descriptors = fields[1].bytes, var payload = fields[3].bytes
    else { return nil }
    let numbers = id.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard numbers.count == 2, let lastSeq = numbers[0], let end = numbers[1],
      lastSeq <= 1 << 60, end <= 1 << 60, end >= payload.readableBytes
    else { return nil }
    begin = end - payload.readableBytes
    var chunks: [Chunk] = []
    var time: Duration = .zero
    while descriptors.readableBytes > 0 {
      guard let word = descriptors.readVarint(), word >> 1 > 0,
        let count = Int(exactly: word >> 1), let bytes = payload.readSlice(length: count)
      else { return nil }
      if hasTimestamps {
        guard let passed = descriptors.readVarint(), let passed = Int64(exactly: passed) else {
          return nil
        }
        time += .nanoseconds(passed)
      }
      chunks.append(
        Chunk(
          stream: word & 1 == 1 ? .stderr : .stdout, timestamp: hasTimestamps ? time : nil,
          bytes: bytes))
    }
    guard payload.readableBytes == 0, !chunks.isEmpty, lastSeq >= chunks.count else { return nil }
    firstSeq = lastSeq - chunks.count + 1
    // No chunk is empty, and nothing comes before the first one.
    guard begin >= firstSeq - 1, firstSeq > 1 || begin == 0 else { return nil }
    self.lastSeq = lastSeq
    self.end = end
    self.chunks = chunks
  }
}

extension ByteBuffer {
  /// Writes an integer in groups of seven bits, the lowest first (LEB128).
  fileprivate mutating func writeVarint(_ value: UInt64) {
    var rest = value
    while rest >= 0x80 {
      writeInteger(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    writeInteger(UInt8(truncatingIfNeeded: rest))
  }

  /// Reads an integer as ``writeVarint(_:)`` writes it; nil if there is none.
  fileprivate mutating func readVarint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: 0 as UInt64, to: 64, by: 7) {
      guard let byte: UInt8 = readInteger() else { return nil }
      let bits = UInt64(byte & 0x7f)
      guard (bits << shift) >> shift == bits else { return nil }
      value |= bits << shift
      if byte & 0x80 == 0 { return value }
    }
    return nil
  }
}
