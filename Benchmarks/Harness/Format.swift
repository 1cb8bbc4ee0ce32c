/// A number with a fixed count of decimals.
func fixed(_ value: Double, _ decimals: Int) -> String {
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

extension String {
  func padded(_ width: Int) -> String {
    self + String(repeating: " ", count: max(1, width - count))
  }

  func padded(left width: Int) -> String {
    String(repeating: " ", count: max(1, width - count)) + self
  }
}
