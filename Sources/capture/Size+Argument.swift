import ArgumentParser
import OutputRing

/// Parses the capacity of a ring, such as `4096`, `64K`, `256M` or `1G`.
@Sendable func parseCapacity(_ text: String) throws -> Int {
  let units: [(name: String, bytes: Int)] = [
    ("K", 1 << 10), ("M", 1 << 20), ("G", 1 << 30), ("", 1),
  ]
  for unit in units where text.hasSuffix(unit.name) {
    let digits = text.dropLast(unit.name.count)
    guard !digits.isEmpty, digits.utf8.allSatisfy({ 48...57 ~= $0 }) else { break }
    let (bytes, overflow) = (Int(digits) ?? .max).multipliedReportingOverflow(by: unit.bytes)
    guard !overflow, 1...RingLayout.maxCapacity ~= bytes else {
      throw ValidationError("“\(text)” is out of range: a ring keeps from 1 byte to 1G")
    }
    return bytes
  }
  throw ValidationError(
    "“\(text)” is no size: give a number of bytes, and K, M or G, as in 64K or 256M")
}
