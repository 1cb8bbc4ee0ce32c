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

  /// The time in seconds, as readable text.
  var text: String {
    let seconds = self / .seconds(1)
    let whole = Int(seconds)
    return Double(whole) == seconds ? "\(whole) s" : "\(fixed(seconds, 3)) s"
  }

  /// The time in whole milliseconds; 1 for less.
  var milliseconds: Int { self > .zero ? max(1, Int(self / .milliseconds(1))) : 0 }
}

/// A number with so many digits behind the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((value * Double(scale)).rounded())
  let fraction = String(scaled % scale)
  return "\(scaled / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
}

/// A signal's name or number as a user gives it, which the daemon knows.
struct SignalWord: Encodable, Sendable {
  private let text: String

  init(_ text: String) { self.text = text }

  /// The signal's name, such as `SIGTERM`; `signal 40` for a number.
  var name: String {
    if Int(text) != nil { return "signal \(text)" }
    let upper = text.uppercased()
    return upper.hasPrefix("SIG") ? upper : "SIG" + upper
  }

  var isKill: Bool { name == "SIGKILL" || Int(text) == 9 }

  /// Encodes a number as a number: the daemon tells them apart.
  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let number = Int(text) {
      try container.encode(number)
    } else {
      try container.encode(text)
    }
  }
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
