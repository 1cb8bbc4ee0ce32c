/// A table in Markdown.
struct MarkdownTable {
  let header: [String]
  let rows: [[String]]
  /// How many columns hold text; those after them hold figures, and are aligned to the right.
  var textColumns = 1

  var text: String {
    let rule = header.indices.map { $0 < textColumns ? "---" : "--:" }
    return ([header, rule] + rows).map { cells in
      "| " + cells.map(Self.escaped).joined(separator: " | ") + " |\n"
    }.joined()
  }

  private static func escaped(_ cell: String) -> String {
    cell.replacing("|", with: "\\|")
  }
}
