// Lines and patterns, byte by byte. Written from the contract's text, not from the sources.

/// What the contract says of a line.
package struct ModelLine: Equatable, Sendable {
  package var isError: Bool
  package var bytes: [UInt8] = []
  package var offsets: [Int] = []
  package var ending = ""
  package var isContinuation = false
  package var followsLoss = false
  package var missedChunks = 0
  package var missedBytes: Int? = 0
}

/// A reader that splits bytes into lines, one by one.
package struct LineModel: Sendable {
  private let isError: Bool?
  private let maxLength: Int
  private var pending = [ModelLine(isError: false), ModelLine(isError: true)]
  private var missedChunks = 0
  private var missedBytes: Int? = 0

  /// Takes lines of one stream, or of both.
  package init(isError: Bool?, maxLength: Int) {
    self.isError = isError
    self.maxLength = maxLength
  }

  /// Returns the lines that a loss ends.
  package mutating func miss(chunks: Int, bytes: Int?) -> [ModelLine] {
    let cut = end("loss")
    for index in 0...1 {
      pending[index].isContinuation = false
      pending[index].followsLoss = true
    }
    missedChunks += chunks
    missedBytes = missedBytes.flatMap { sum in bytes.map { sum + $0 } }
    return cut
  }

  /// Takes a byte; returns the lines that it ends.
  package mutating func take(_ byte: UInt8, at offset: Int, isError: Bool) -> [ModelLine] {
    if let wanted = self.isError, wanted != isError { return [] }
    let index = isError ? 1 : 0
    if byte == 10 {
      if pending[index].bytes.isEmpty { pending[index].offsets = [offset] }
      return [finish(index, "newline")]
    }
    var parts: [ModelLine] = []
    if pending[index].bytes.count == maxLength {
      let length = Self.partLength(pending[index].bytes + [byte], maxLength)
      var part = pending[index]
      part.bytes.removeLast(maxLength - length)
      part.offsets.removeLast(maxLength - length)
      let rest = pending[index]
      pending[index] = part
      parts.append(finish(index, "limit"))
      pending[index].isContinuation = true
      pending[index].bytes = Array(rest.bytes[length...])
      pending[index].offsets = Array(rest.offsets[length...])
    }
    pending[index].bytes.append(byte)
    pending[index].offsets.append(offset)
    return parts
  }

  /// Returns the lines that the end of the output ends, and what tells of a loss behind them.
  package mutating func close() -> [ModelLine] {
    var lines = end("end")
    if missedChunks > 0 || missedBytes != 0 {
      lines.append(finish(isError == true ? 1 : 0, "end"))
    }
    return lines
  }

  package mutating func end(_ ending: String) -> [ModelLine] {
    let order = (0...1).filter { !pending[$0].bytes.isEmpty }
    return order.sorted { pending[$0].offsets[0] < pending[$1].offsets[0] }
      .map { finish($0, ending) }
  }

  private mutating func finish(_ index: Int, _ ending: String) -> ModelLine {
    var line = pending[index]
    line.ending = ending
    line.missedChunks = missedChunks
    line.missedBytes = missedBytes
    missedChunks = 0
    missedBytes = 0
    pending[index] = ModelLine(isError: index == 1)
    return line
  }

  /// The last character's beginning within the limit.
  private static func partLength(_ bytes: [UInt8], _ limit: Int) -> Int {
    var start = 0
    while true {
      let length =
        switch bytes[start] {
        case 0xc0..<0xe0: 2
        case 0xe0..<0xf0: 3
        case 0xf0...: 4
        default: 1
        }
      var next = start + 1
      while next < start + length, next < bytes.count, bytes[next] >> 6 == 2 { next += 1 }
      if next == bytes.count { return start > 0 ? start : limit }
      start = next
    }
  }
}

/// A search for bytes, one by one.
package struct PatternModel: Sendable {
  private let pattern: [UInt8]
  private let isError: Bool?
  private var seen: [[(byte: UInt8, offset: Int)]] = [[], []]

  package init(_ pattern: [UInt8], isError: Bool?) {
    self.pattern = pattern
    self.isError = isError
  }

  package mutating func miss() { seen = [[], []] }

  /// Takes a byte; returns the match that it ends.
  package mutating func take(_ byte: UInt8, at offset: Int, isError: Bool) -> Range<Int>? {
    if let wanted = self.isError, wanted != isError { return nil }
    let index = isError ? 1 : 0
    seen[index].append((byte, offset))
    let last = seen[index].suffix(pattern.count)
    guard last.map(\.byte) == pattern, let first = last.first else { return nil }
    seen[index] = []
    return first.offset..<offset + 1
  }
}
