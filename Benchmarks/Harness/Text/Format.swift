/// A number with a fixed count of decimals.
package func fixed(_ value: Double, _ decimals: Int) -> String {
  var scale = 1.0
  for _ in 0..<decimals { scale *= 10 }
  let rounded = (value * scale).rounded()
  guard rounded.magnitude < 1e18 else { return "\(value)" }
  let number = Int(rounded)
  guard decimals > 0 else { return "\(number)" }
  let digits = String(number.magnitude)
  let padded =
    String(repeating: "0", count: max(0, decimals + 1 - digits.count)) + digits
  return (number < 0 ? "-" : "") + padded.dropLast(decimals) + "." + padded.suffix(decimals)
}

/// A number with three significant digits, or all those before the point; no zeros at the end, a
/// comma between thousands.
package func formatSignificant(_ value: Double) -> String {
  guard value.isFinite, value.magnitude < 1e15 else { return "\(value)" }
  var decimals = 2
  var bound = 9.995
  while value.magnitude >= bound, decimals > 0 {
    bound *= 10
    decimals -= 1
  }
  var small = value.magnitude
  while small > 0, small < 0.9995, decimals < 9 {
    small *= 10
    decimals += 1
  }
  var text = fixed(value, decimals)
  if decimals > 0 {
    while text.last == "0" { text.removeLast() }
    if text.last == "." { text.removeLast() }
    if text == "-0" { text = "0" }
  }
  let point = text.firstIndex(of: ".") ?? text.endIndex
  return grouped(text[..<point]) + text[point...]
}

/// A time over another.
func formatRatio(_ ratio: Double) -> String { fixed(ratio, ratio < 10 ? 2 : 1) }

/// A count with a comma between thousands.
package func formatCount(_ value: Int) -> String { grouped(Substring(String(value))) }

private func grouped(_ digits: Substring) -> String {
  let isNegative = digits.first == "-"
  var result = ""
  for (index, digit) in digits.drop(while: { $0 == "-" }).reversed().enumerated() {
    if index > 0, index % 3 == 0 { result.append(",") }
    result.append(digit)
  }
  return (isNegative ? "-" : "") + String(result.reversed())
}

/// A duration in the unit that suits it.
package func formatTime(_ nanoseconds: Double) -> String {
  let units: [(Double, String)] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs")]
  // What would be shown as 1,000 of a unit is shown as 1 of the next.
  for (unit, name) in units where nanoseconds.magnitude >= unit * 0.9995 {
    return "\(formatSignificant(nanoseconds / unit)) \(name)"
  }
  return "\(formatSignificant(nanoseconds)) ns"
}

/// A count of bytes in the binary unit that suits it.
package func formatBytes(_ bytes: Double) -> String {
  let units: [(Double, String)] = [
    (1_073_741_824, "GiB"), (1_048_576, "MiB"), (1_024, "KiB"),
  ]
  for (unit, name) in units where bytes.magnitude >= unit {
    return "\(formatSignificant(bytes / unit)) \(name)"
  }
  return "\(formatSignificant(bytes)) B"
}

/// A text with a hyphen in place of all that is neither an ASCII letter nor a digit, for file
/// names.
func hyphenated(_ text: String) -> String {
  var result = ""
  for character in text {
    if character.isASCII, character.isLetter || character.isNumber {
      result.append(character)
    } else if result.last != "-" {
      result.append("-")
    }
  }
  return result
}

extension String {
  package func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(1, width - count))
  }

  package func padded(left width: Int) -> String {
    String(repeating: " ", count: max(1, width - count)) + self
  }
}
