import ArgumentParser
import Processes

extension Duration {
  /// Parses a time such as `90`, `1.5h` or `250ms`, as `capture` does.
  @Sendable static func parse(_ text: String) throws -> Duration {
    let units: [(name: String, seconds: Double)] = [
      ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1),
    ]
    for unit in units where text.hasSuffix(unit.name) {
      let digits = text.dropLast(unit.name.count)
      // Double would also accept “inf”, “nan”, “1e3” and “0x10”.
      guard digits.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || 48...57 ~= $0 }),
        let number = Double(digits), number * unit.seconds <= longestSeconds
      else { continue }
      return .seconds(number * unit.seconds)
    }
    throw ValidationError(
      "“\(text)” is no time: give a number from 0, and ms, s, m, h or d, as in 90s or 1.5h")
  }

  private static let longestSeconds = 10_000.0 * 86_400

  /// The time in whole milliseconds; 1 for less.
  var milliseconds: Int { self > .zero ? max(1, Int(self / .milliseconds(1))) : 0 }
}

/// Parses a number of bytes such as `4096`, `64K` or `1M`.
@Sendable func parseHeadSize(_ text: String) throws -> Int {
  let units: [(name: String, bytes: Int)] = [("K", 1 << 10), ("M", 1 << 20), ("", 1)]
  for unit in units where text.hasSuffix(unit.name) {
    let digits = text.dropLast(unit.name.count)
    guard !digits.isEmpty, digits.utf8.allSatisfy({ 48...57 ~= $0 }), let number = Int(digits),
      1...Session.maxBufferBytes / unit.bytes ~= number
    else { continue }
    return number * unit.bytes
  }
  throw ValidationError(
    "“\(text)” is no size: give a number of bytes, and K or M, from 1 to 1M, as in 64K")
}

/// Parses a number of lines.
@Sendable func parseLineCount(_ text: String) throws -> Int {
  guard let count = Int(text), 0...1_000_000 ~= count else {
    throw ValidationError("“\(text)” is no number of lines from 0 to 1000000")
  }
  return count
}

/// Parses a position, as the daemon gives it.
@Sendable func parseCursor(_ text: String) throws -> String {
  guard Cursor(text) != nil else {
    throw ValidationError(
      "“\(text)” is no position: give a seq, as in 17, or a cursor, as in 17.4096.0.271828")
  }
  return text
}
