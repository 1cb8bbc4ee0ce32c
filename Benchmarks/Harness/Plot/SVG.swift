/// Text in the making of one SVG picture.
struct SVG {
  private(set) var body = ""

  static let ink = "#1a1a1a"
  static let quiet = "#5f6368"
  static let grid = "#e3e6ea"
  static let font =
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

  enum Anchor: String { case start, middle, end }

  mutating func line(
    _ from: (Double, Double), _ to: (Double, Double), _ color: String, width: Double = 1,
    dash: String? = nil
  ) {
    body += "<line x1=\"\(Self.number(from.0))\" y1=\"\(Self.number(from.1))\""
    body += " x2=\"\(Self.number(to.0))\" y2=\"\(Self.number(to.1))\""
    body += " stroke=\"\(color)\" stroke-width=\"\(Self.number(width))\""
    if let dash { body += " stroke-dasharray=\"\(dash)\"" }
    body += "/>\n"
  }

  mutating func path(_ points: [(Double, Double)], _ style: SeriesStyle) {
    guard points.count > 1 else { return }
    let steps = points.map { "\(Self.number($0.0)) \(Self.number($0.1))" }
    body += "<path d=\"M\(steps.joined(separator: "L"))\" fill=\"none\" stroke=\"\(style.color)\""
    body += " stroke-width=\"2\" stroke-linejoin=\"round\" stroke-linecap=\"round\""
    if style.isDashed { body += " stroke-dasharray=\"6 5\"" }
    body += "/>\n"
  }

  /// - Parameter note: Shown when a pointer rests on the mark.
  mutating func mark(_ x: Double, _ y: Double, _ style: SeriesStyle, note: String? = nil) {
    let shape =
      switch style.mark {
      case .circle:
        "<circle cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"4.2\""
      case .square: Self.polygon(x, y, [(-3.8, -3.8), (3.8, -3.8), (3.8, 3.8), (-3.8, 3.8)])
      case .triangle: Self.polygon(x, y, [(0, -5.2), (4.9, 3.6), (-4.9, 3.6)])
      case .diamond: Self.polygon(x, y, [(0, -5.4), (5.4, 0), (0, 5.4), (-5.4, 0)])
      case .cross:
        Self.polygon(
          x, y,
          [
            (-1.7, -5), (1.7, -5), (1.7, -1.7), (5, -1.7), (5, 1.7), (1.7, 1.7), (1.7, 5),
            (-1.7, 5), (-1.7, 1.7), (-5, 1.7), (-5, -1.7), (-1.7, -1.7),
          ])
      case .none: "<circle cx=\"\(Self.number(x))\" cy=\"\(Self.number(y))\" r=\"2.4\""
      }
    body += "\(shape) fill=\"\(style.color)\" stroke=\"#ffffff\" stroke-width=\"1.2\""
    body += note.map { "><title>\(escapeMarkup($0))</title></\(shape.tagName)>\n" } ?? "/>\n"
  }

  /// What a series looks like, beside its name.
  mutating func sample(_ x: Double, _ y: Double, _ style: SeriesStyle) {
    if style.mark == .none {
      line((x - 8, y), (x + 8, y), style.color, width: 2, dash: "4 2")
    } else {
      mark(x, y, style)
    }
  }

  mutating func text(
    _ x: Double, _ y: Double, _ string: String, size: Double = 14, anchor: Anchor = .start,
    color: String = SVG.ink, isBold: Bool = false
  ) {
    body +=
      "<text x=\"\(Self.number(x))\" y=\"\(Self.number(y))\" font-size=\"\(Self.number(size))\""
    body += " text-anchor=\"\(anchor.rawValue)\" fill=\"\(color)\""
    if isBold { body += " font-weight=\"600\"" }
    body += ">\(escapeMarkup(string))</text>\n"
  }

  /// The whole picture, on a white ground so that it can be read on a dark page.
  func document(width: Double, height: Double, label: String) -> String {
    "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 \(Self.number(width)) "
      + "\(Self.number(height))\" width=\"\(Self.number(width))\" height=\"\(Self.number(height))\""
      + " role=\"img\" font-family=\"\(Self.font)\">\n<title>\(escapeMarkup(label))</title>\n"
      + "<rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#ffffff\"/>\n"
      + body + "</svg>\n"
  }

  private static func polygon(_ x: Double, _ y: Double, _ corners: [(Double, Double)]) -> String {
    let points = corners.map { "\(number(x + $0.0)),\(number(y + $0.1))" }
    return "<polygon points=\"\(points.joined(separator: " "))\""
  }

  /// A hundredth of a pixel is enough.
  static func number(_ value: Double) -> String {
    guard value.isFinite else { return "0" }
    var text = fixed(value, 2)
    while text.last == "0" { text.removeLast() }
    if text.last == "." { text.removeLast() }
    return text
  }
}

extension String {
  fileprivate var tagName: Substring { dropFirst().prefix { $0 != " " } }
}

/// Text as HTML and SVG write it.
package func escapeMarkup(_ text: String) -> String {
  var result = ""
  for character in text {
    switch character {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    default: result.append(character)
    }
  }
  return result
}
