/// Returns whether an address can be reached from this machine alone: `localhost`, 127.0.0.0/8 or
/// ::1.
public func isLoopback(address: String) -> Bool {
  if address == "localhost" || address == "::1" { return true }
  let dotted = address.hasPrefix("::ffff:") ? address.dropFirst(7) : address[...]
  let parts = dotted.split(separator: ".", omittingEmptySubsequences: false)
  return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
}
