/// How a series looks; told apart by colour, by the shape of its marks, and by its label.
package struct SeriesStyle: Equatable, Sendable {
  package enum Mark: Sendable { case circle, square, triangle, diamond, cross, none }

  package let color: String
  package let mark: Mark
  package let isDashed: Bool
}

/// Gives each name one look throughout a page.
package struct Palette {
  /// Okabe and Ito's colours, which the colour-blind can tell apart, without the yellow, which
  /// nobody can see on white.
  static let styles: [SeriesStyle] = [
    SeriesStyle(color: "#0072B2", mark: .circle, isDashed: false),
    SeriesStyle(color: "#D55E00", mark: .square, isDashed: false),
    SeriesStyle(color: "#009E73", mark: .triangle, isDashed: false),
    SeriesStyle(color: "#CC79A7", mark: .diamond, isDashed: false),
    SeriesStyle(color: "#E69F00", mark: .cross, isDashed: false),
    SeriesStyle(color: "#56B4E9", mark: .square, isDashed: true),
    SeriesStyle(color: "#5B5B5B", mark: .circle, isDashed: true),
  ]
  static let limit = SeriesStyle(color: "#222222", mark: .none, isDashed: true)

  private var known: [String: SeriesStyle] = [:]

  /// - Parameter names: In order of importance.
  package init(_ names: [String]) {
    for (index, name) in names.uniqued.filter({ $0 != limitName }).enumerated() {
      known[name] = Self.styles[index % Self.styles.count]
    }
    known[limitName] = Self.limit
  }

  /// One look each for the series of one plot; where two names would share one, the later takes one
  /// that is free.
  package func styles(for names: [String]) -> [SeriesStyle] {
    var result: [SeriesStyle] = []
    for name in names {
      let preferred = known[name] ?? Self.styles[0]
      let isTaken = result.contains(preferred)
      let free = Self.styles.first { style in
        !result.contains(style) && !names.contains { known[$0] == style }
      }
      let unused = free ?? Self.styles.first { !result.contains($0) }
      result.append(isTaken ? unused ?? preferred : preferred)
    }
    return result
  }
}
