/// Which cases a regular expression selects by their paths.
package struct CaseFilter {
  private let pattern: Regex<AnyRegexOutput>
  /// The pattern, ending where no digit follows.
  private let ending: Regex<AnyRegexOutput>

  /// - Throws: A `Failure` if the text is not a regular expression.
  package init(_ text: String) throws {
    do {
      pattern = try Regex(text)
      ending = try Regex("(?:\(text))(?![0-9])")
    } catch {
      throw Failure(message: "'\(text)' is not a regular expression: \(error)")
    }
  }

  /// Returns whether a path holds the pattern; a number at the end of a match is a whole number, so
  /// that `append/plain/16` does not select `append/plain/16384`.
  package func matches(_ path: String) -> Bool {
    // What ends in no digit may stand before one: `append/plain/` selects all sizes.
    path.contains(ending)
      || path.matches(of: pattern).contains { match in
        !(path[match.range].last?.isWholeNumber ?? false)
      }
  }
}
