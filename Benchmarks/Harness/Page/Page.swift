import Foundation

/// A page that shows a whole run, in one file that needs no other.
package struct Page {
  let record: Record
  let figures: Figures

  package init(record: Record, figures: Figures) {
    self.record = record
    self.figures = figures
  }

  package var html: String {
    """
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>swift-processes: benchmarks</title>
    <style>
    \(Self.style)</style>
    </head>
    <body>
    <main>
    <header>
    <h1>swift-processes: benchmarks</h1>
    <p class="lead">What capturing output costs, what the hardware must do at least, and what the
    alternatives cost. Contenders of one case ran in turn, round by round, in one process; a figure is
    the median of its rounds, a ratio the median of the ratios within each round. The vertical strokes
    in the plots span the middle half of the rounds.</p>
    <dl class="machine">
    \(record.facts.map { "<div><dt>\(escapeMarkup($0.label))</dt><dd>\(escapeMarkup($0.value))</dd></div>" }
      .joined(separator: "\n"))
    </dl>
    </header>
    \(targets)
    \(figures.sections.map(section).joined())
    <section>
    <h2>All figures</h2>
    <p>“limit” is the contender that does only what the hardware must. Spread is half the distance
    between the quartiles, relative to the median.</p>
    \(PageTable(results: record.results).html)
    </section>
    </main>
    </body>
    </html>

    """
  }

  private func section(_ section: Figures.Section) -> String {
    guard !section.figures.isEmpty || !section.notes.isEmpty else { return "" }
    let figures = section.figures.map { figure in
      "<figure id=\"\(figure.id)\">\n\(figure.svg)"
        + "<figcaption>\(escapeMarkup(figure.caption))</figcaption>\n</figure>\n"
    }
    let notes = section.notes.map { "<p class=\"note\">\(escapeMarkup($0)).</p>\n" }
    return "<section>\n<h2>\(escapeMarkup(section.group))</h2>\n"
      + "<div class=\"figures\">\n\(figures.joined())</div>\n\(notes.joined())</section>\n"
  }

  /// What was to be reached beside what was, first the targets that were missed.
  private var targets: String {
    let rows = record.results.flatMap { result in
      result.rows.flatMap { row in
        result.verdicts(on: row.name).map {
          (name: "\(result.benchmark.path) \(row.name)", verdict: $0)
        }
      }
    }
    guard !rows.isEmpty else { return "" }
    let met = rows.count { $0.verdict.isMet }
    let missed = rows.filter { !$0.verdict.isMet }.map { name, verdict in
      "<li><b>\(escapeMarkup(name))</b>: to reach \(escapeMarkup(verdict.target)); measured "
        + "\(escapeMarkup(verdict.measured))</li>\n"
    }
    return "<section>\n<h2>Targets</h2>\n<p><b>\(met) of \(rows.count)</b> met"
      + (missed.isEmpty ? ".</p>\n" : "; missed:</p>\n<ul>\n\(missed.joined())</ul>\n")
      + "</section>\n"
  }
}

extension Page {
  /// Writes the page and each picture into a folder.
  package func write(to report: ReportFolder) throws {
    for figure in figures.all { try report.write(figure.svg, as: "\(figure.id).svg") }
    try report.write(html, as: "index.html")
  }
}

/// A folder for a page and its pictures.
package struct ReportFolder {
  package let path: String

  /// Makes the folder if it is not there.
  ///
  /// - Throws: A `Failure` if nothing could be written into it.
  package init(path: String) throws {
    self.path = path
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true)
    } catch {
      throw Failure(
        message: "cannot make the folder '\(path)': a file is in its way, or its parent may not be "
          + "written")
    }
    _ = try OutputFile(path: path + "/index.html")
  }

  func write(_ text: String, as name: String) throws {
    try OutputFile(path: "\(path)/\(name)").write(text)
  }
}
