import Processes

/// Reads lines and searches for a pattern beside readers that look at each byte.
package struct LineInterpreter {
  private let session: Session
  private let setting: LineSetting

  private var assembler: LineAssembler
  private var lineModel: LineModel
  private var lineCursor = Cursor.start
  /// The cursor of the line returned last.
  private var lastLine: Cursor?
  private var isAtEnd = false

  private var search: LiteralSearch
  private var patternModel: PatternModel
  private var patternCursor = Cursor.start

  package init(_ setting: LineSetting) {
    self.setting = setting
    session = Session(capacity: setting.capacity, headCapacity: setting.headCapacity)
    let stream = setting.isError.map { $0 ? StandardStream.stderr : .stdout }
    assembler = LineAssembler(of: stream, maxLength: setting.maxLength)
    lineModel = LineModel(isError: setting.isError, maxLength: setting.maxLength)
    search = LiteralSearch(setting.pattern, of: stream)
    patternModel = PatternModel(setting.pattern, isError: setting.isError)
  }

  package static func run(_ operations: [LineOperation], _ setting: LineSetting) -> Difference? {
    var interpreter = LineInterpreter(setting)
    for (step, operation) in operations.enumerated() {
      if let details = interpreter.run(operation) {
        return Difference(step: step, operation: "\(operation)", details: details)
      }
    }
    return nil
  }

  /// Runs one step; returns how library and model differ after it, if they do.
  package mutating func run(_ operation: LineOperation) -> String? {
    switch operation {
    case .append(let pieces, let seed, let isError):
      session.append(
        LineOperation.bytes(pieces: pieces, seed: seed), to: isError ? .stderr : .stdout)
      return nil
    case .read(let maxBytes): return readLines(maxBytes) ?? searchPattern(maxBytes)
    case .resume: return resume()
    case .tail(let count, let isError): return tail(count, isError)
    case .tailBytes(let count): return tail(count)
    case .setExit(let closing):
      session.setExit(3, closing: closing)
      return nil
    }
  }

  private var stream: StandardStream? { setting.isError.map { $0 ? .stderr : .stdout } }

  // MARK: Lines

  private mutating func readLines(_ maxBytes: Int?) -> String? {
    if isAtEnd { return nil }
    let output = stretch(since: lineCursor, maxBytes)
    assembler.take(output, since: lineCursor, of: session)
    lineCursor = output.cursor
    var lines: [Line] = []
    while let line = assembler.next() { lines.append(line) }
    if let line = lines.last { lastLine = line.cursor }

    var expected: [ModelLine] = []
    if output.missedChunks > 0 || output.missedBytes != 0 {
      expected += lineModel.miss(chunks: output.missedChunks, bytes: output.missedBytes)
    }
    for chunk in output.chunks {
      for (index, byte) in zip(0..., chunk.data) {
        expected += lineModel.take(
          byte, at: chunk.offset + index, isError: chunk.stream == .stderr)
      }
    }
    if output.isComplete {
      isAtEnd = true
      expected += lineModel.close()
    }
    return difference(lines, expected) ?? goOn(after: lines, upTo: output.cursor.seq)
  }

  /// Compares what follows a line with what another reader gets that goes on behind it.
  private func goOn(after lines: [Line], upTo seq: Int) -> String? {
    guard !lines.isEmpty, !isAtEnd else { return nil }
    let cursor = lines[lines.count / 2].cursor
    let output = read(since: cursor, upTo: seq)
    guard output.missedBytes == 0 else { return nil }
    var other = LineAssembler(of: stream, maxLength: setting.maxLength)
    other.take(output, since: cursor, of: session)
    var rest: [Line] = []
    while let line = other.next() { rest.append(line) }
    return isSame(rest, lines[(lines.count / 2 + 1)...])
      ? nil : "behind \(lines[lines.count / 2]) at \(cursor): \(rest)"
  }

  /// Whether lines are the same, whatever was missed before them.
  private func isSame(_ left: [Line], _ right: some Collection<Line>) -> Bool {
    left.count == right.count
      && zip(left, right).allSatisfy { left, right in
        left.stream == right.stream && left.bytes == right.bytes && left.range == right.range
          && left.ending == right.ending && left.isContinuation == right.isContinuation
          && left.cursor.description == right.cursor.description
      }
  }

  private func difference(_ lines: [Line], _ expected: [ModelLine]) -> String? {
    guard lines.count == expected.count else {
      return "\(lines.count) lines, not \(expected.count): \(lines), not \(expected)"
    }
    for (line, expected) in zip(lines, expected) {
      var found = ModelLine(isError: line.stream == .stderr)
      found.bytes = Array(line.bytes)
      found.offsets = expected.offsets
      found.ending = "\(line.ending)"
      found.isContinuation = line.isContinuation
      found.followsLoss = line.followsLoss
      found.missedChunks = line.missedChunks
      found.missedBytes = line.missedBytes
      if found != expected { return "\(found), not \(expected)" }
      if line.bytes.startIndex != 0 { return "a line's indices begin at \(line.bytes.startIndex)" }
      if let first = expected.offsets.first, let last = expected.offsets.last,
        line.range != first..<(line.bytes.isEmpty ? first : last + 1)
      {
        return "\(line) is at \(line.range), not at \(expected.offsets)"
      }
    }
    return nil
  }

  // MARK: Patterns

  private mutating func searchPattern(_ maxBytes: Int?) -> String? {
    let start = patternCursor
    let output = stretch(since: patternCursor, maxBytes)
    var expected: [Range<Int>] = []
    if output.missedChunks > 0 || output.missedBytes != 0 { patternModel.miss() }
    for chunk in output.chunks {
      for (index, byte) in zip(0..., chunk.data) {
        if let match = patternModel.take(
          byte, at: chunk.offset + index, isError: chunk.stream == .stderr)
        {
          expected.append(match)
        }
      }
    }
    var found: [Range<Int>] = []
    if let match = search.search(output, since: start, of: session) {
      found.append(match.range)
      // A search that goes on from a match's cursor finds all the others.
      var cursor = Cursor(match.cursor.description) ?? .start
      while true {
        search = LiteralSearch(setting.pattern, of: stream)
        let rest = read(since: cursor, upTo: output.cursor.seq)
        if rest.missedBytes != 0 {
          // What another match began with is gone meanwhile: both begin anew.
          search = LiteralSearch(setting.pattern, of: stream)
          patternModel.miss()
          patternCursor = output.cursor
          return nil
        }
        guard let match = search.search(rest, since: cursor, of: session) else { break }
        found.append(match.range)
        cursor = match.cursor
      }
    }
    patternCursor = output.cursor
    return found == expected ? nil : "matches at \(found), not at \(expected)"
  }

  /// Reads what is after a cursor, up to a seq.
  private func read(since cursor: Cursor, upTo seq: Int) -> Output {
    let all = session.output(since: cursor)
    let bytes = all.chunks.filter { $0.seq <= seq }.reduce(0) { $0 + $1.data.count }
    return bytes == 0 ? Output() : session.output(since: cursor, maxBytes: bytes)
  }

  /// Reads what is after a cursor, up to the end of the head if it lies there.
  private func stretch(since cursor: Cursor, _ maxBytes: Int? = nil) -> Output {
    var output = Output()
    session.readStretch(since: cursor, maxBytes: maxBytes ?? .max, into: &output)
    return output
  }

  /// The retained chunks behind which nothing is missing.
  private var newestChunks: Slice<Chunks> {
    let all = session.output()
    let isWhole = all.missedChunks == 0 && all.missedBytes == 0
    return all.chunks[(isWhole ? 0 : all.gapIndex)...]
  }

  // MARK: Going on

  /// Compares a reader that goes on from a cursor with one that has never stopped.
  private func resume() -> String? {
    guard let start = lastLine, let cursor = Cursor(start.description) else { return nil }
    if cursor.description != start.description { return "\(start) became \(cursor)" }
    var old = assembler
    let oldOutput = stretch(since: lineCursor)
    var new = LineAssembler(of: stream, maxLength: setting.maxLength)
    let newOutput = stretch(since: cursor)
    // Behind the head both would go on with another read.
    if newOutput.hasMore || oldOutput.hasMore { return nil }
    new.take(newOutput, since: cursor, of: session)
    var newLines: [Line] = []
    while let line = new.next() { newLines.append(line) }
    newLines += new.finish()
    if newOutput.missedChunks == 0, newOutput.missedBytes == 0 {
      var oldLines: [Line] = []
      old.take(oldOutput, since: lineCursor, of: session)
      while let line = old.next() { oldLines.append(line) }
      oldLines += old.finish()
      return isSame(oldLines, newLines) ? nil : "from \(cursor): \(newLines), not \(oldLines)"
    }
    // What was missed and what was returned is all there was.
    guard setting.isError == nil, let offset = cursor.offset,
      let missed = newLines.first?.missedBytes
    else { return nil }
    let returned = newLines.reduce(0) { $0 + $1.bytes.count + ($1.isComplete ? 1 : 0) }
    let sum = offset + missed + returned
    return sum == session.totalBytes
      ? nil : "\(offset) + \(missed) + \(returned) is not \(session.totalBytes)"
  }

  // MARK: Tails

  private func tail(_ count: Int, _ isError: Bool?) -> String? {
    var model = LineModel(isError: isError, maxLength: setting.maxLength)
    let all = newestChunks
    var expected: [ModelLine] = []
    if let first = all.first, first.offset > 0 { _ = model.miss(chunks: 0, bytes: 0) }
    for chunk in all {
      for (index, byte) in zip(0..., chunk.data) {
        expected += model.take(byte, at: chunk.offset + index, isError: chunk.stream == .stderr)
      }
    }
    expected += model.end("end")
    let stream = isError.map { $0 ? StandardStream.stderr : .stdout }
    return difference(
      session.tail(lines: count, of: stream, maxLength: setting.maxLength),
      expected.suffix(count))
  }

  private func tail(_ count: Int) -> String? {
    let all = newestChunks
    let tail = session.tail(bytes: count)
    var expected = 0
    var bytes = 0
    for chunk in all.reversed() {
      bytes += chunk.data.count
      if bytes > count, expected > 0 { break }
      expected += 1
    }
    if tail.chunks.map(\.seq) != all.suffix(expected).map(\.seq) {
      return "a tail of \(tail), not of \(expected) chunks"
    }
    if tail.chunks.map(\.data) != all.suffix(expected).map(\.data) { return "other bytes" }
    if tail.missedChunks != 0 || tail.missedBytes != 0 || tail.hasMore { return "\(tail)" }
    return tail.cursor == session.output().cursor ? nil : "\(tail.cursor)"
  }
}
