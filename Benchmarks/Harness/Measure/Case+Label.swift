extension Case {
  /// What was measured at which size, such as `plain, 16 B`.
  var label: String {
    let size =
      switch sizeMeaning {
      case .bytes: formatBytes(Double(size))
      case .sessions: count("sessions")
      case .readers: count("readers")
      case .other(let meaning): count(meaning)
      }
    return "\(name), \(size)"
  }

  private func count(_ plural: String) -> String {
    let isSingular = size == 1 && plural.hasSuffix("s")
    return "\(formatCount(size)) \(isSingular ? String(plural.dropLast()) : plural)"
  }
}
