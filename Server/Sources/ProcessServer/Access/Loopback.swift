/// Returns whether an address can be reached from this machine alone: `localhost`, 127.0.0.0/8 or
/// ::1.
public func isLoopback(address: String) -> Bool {
  if address == "localhost" || address == "::1" { return true }
  let dotted = address.hasPrefix("::ffff:") ? address.dropFirst(7) : address[...]
  let parts = dotted.split(separator: ".", omittingEmptySubsequences: false)
  return parts.count == 4 && parts[0] == "127" && parts.allSatisfy { UInt8($0) != nil }
}

/// Returns whether a host, as in a URL or a field `Host`, is one of this machine's names: one of
/// its loopback, or one of others that are given in lower case.
func isOwn(host: some StringProtocol, orOneOf names: Set<String>) -> Bool {
  let name = name(ofHost: host.lowercased())
  return isLoopback(address: name) || names.contains(name)
}

/// Returns a host without brackets and port.
private func name(ofHost host: String) -> String {
  if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
    return String(host[host.index(after: host.startIndex)..<end])
  }
  let name = host.split(separator: ":", omittingEmptySubsequences: false).first ?? ""
  // A name may end in a dot: that of the root.
  return String(name.hasSuffix(".") ? name.dropLast() : name)
}
