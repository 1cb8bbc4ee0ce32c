import ArgumentParser
import CaptureFormat

extension Duration {
  /// Parses a time such as `90`, `1.5h` or `250ms`.
  @Sendable static func parse(_ text: String) throws -> Duration {
    let units: [(name: String, seconds: Double)] = [
      ("ms", 0.001), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("", 1),
    ]
    for unit in units where text.hasSuffix(unit.name) {
      let digits = text.dropLast(unit.name.count)
      // Double would also accept “inf”, “nan”, “1e3” and “0x10”.
      guard digits.utf8.allSatisfy({ $0 == UInt8(ascii: ".") || 48...57 ~= $0 }),
        let number = Double(digits)
      else { continue }
      let seconds = number * unit.seconds
      guard seconds <= longestSeconds else {
        throw ValidationError("“\(text)” is too long: the longest time is 10000d")
      }
      return .seconds(seconds)
    }
    throw ValidationError(
      "“\(text)” is no time: give a number from 0, and ms, s, m, h or d, as in 90s or 1.5h")
  }

  private static let longestSeconds = 10_000.0 * 86_400

  /// The time in seconds.
  var seconds: Double { self / .seconds(1) }

  /// The time in seconds, as readable text.
  var text: String {
    let whole = Int(seconds)
    return Double(whole) == seconds ? "\(whole) s" : "\(fixed(seconds, 3)) s"
  }
}
