import Processes

/// Writes to stderr how much a session received, and how fast.
func writeStatistics(of session: Session, _ elapsed: Duration) {
  let output = session.output()
  let total = output.cursor.offset
  let milliseconds = elapsed / .milliseconds(1)
  // Bytes in a millisecond are kilobytes in a second.
  let rate = milliseconds > 0 ? Double(total) / milliseconds / 1_000 : 0
  complain(
    "\(output.lastSeq) chunks, \(total) bytes, \(total - output.lostBytes) retained,"
      + " \(output.lostBytes) lost, \(fixed(milliseconds / 1_000, 3)) s, \(fixed(rate, 1)) MB/s")
}

/// A number with so many digits behind the point.
private func fixed(_ value: Double, _ digits: Int) -> String {
  var scale = 1
  for _ in 0..<digits { scale *= 10 }
  let scaled = Int((value * Double(scale)).rounded())
  let fraction = String(scaled % scale)
  return "\(scaled / scale)." + String(repeating: "0", count: digits - fraction.count) + fraction
}
