/// A text with sections that are generated: the lines between `<!-- generated: name -->` and
/// `<!-- end -->`.
struct GeneratedText {
  let text: String
  /// What a message calls it.
  let file: String

  /// Returns the text with each section replaced.
  ///
  /// - Parameter section: Returns what a section holds, in whole lines; nil if there is none of the
  ///   name.
  /// - Throws: A `Failure` if nothing is known of a section or a marker has no partner.
  func replacing(with section: (_ name: String) -> String?) throws -> String {
    var lines: [Substring] = []
    var open: String?
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let isEnd = line == "<!-- end -->"
      if let name = Self.name(in: line) {
        if let open { throw failure("'\(name)' begins inside '\(open)'") }
        guard let content = section(name) else {
          throw failure("nothing is recorded for '\(name)'")
        }
        open = name
        lines += [line, "", Substring(content)]
      } else if isEnd, open == nil {
        throw failure("an end marker without a beginning")
      }
      if open == nil || isEnd { lines.append(line) }
      if isEnd { open = nil }
    }
    if let open { throw failure("'\(open)' has no end marker") }
    return lines.joined(separator: "\n")
  }

  private static func name(in line: Substring) -> String? {
    line.wholeMatch(of: /<!-- generated: (.+) -->/).map { String($0.1) }
  }

  private func failure(_ reason: String) -> Failure {
    Failure(message: "cannot generate the sections of '\(file)': \(reason)")
  }
}
