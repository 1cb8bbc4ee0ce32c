/// One value for each of several rows, with its figure beside it.
package struct DotFigure: Figure {
  package struct Row: Sendable {
    package let name: String
    package let style: SeriesStyle
    package let value: Estimate

    package init(_ name: String, _ style: SeriesStyle, _ value: Estimate) {
      self.name = name
      self.style = style
      self.value = value
    }
  }

  package let id: String
  package let title: String
  package let caption: String
  package let axis: String
  package let format: (Double) -> String
  /// Whether powers of two are round numbers, as they are among bytes.
  package let isBinary: Bool
  package let rows: [Row]

  package init(
    id: String, title: String, caption: String, axis: String,
    format: @escaping (Double) -> String, isBinary: Bool = false, rows: [Row]
  ) {
    self.id = id
    self.title = title
    self.caption = caption
    self.axis = axis
    self.format = format
    self.isBinary = isBinary
    self.rows = rows
  }

  private static let width = 640.0
  private static let rowHeight = 24.0
  private static let left = 226.0
  private static let right = 556.0

  package var svg: String {
    // Values that differ by orders of magnitude need a logarithm, and zero has none.
    let values = rows.map(\.value.middle)
    let isWide = (values.max() ?? 1) > 20 * (values.min() ?? 1) && !values.contains { $0 <= 0 }
    let scale = Scale(
      isWide ? .logarithmic : .linear, covering: rows.flatMap { [$0.value.low, $0.value.high] },
      isBinary: isBinary)
    let toX: (Double) -> Double = {
      Self.left + scale.position($0) * (Self.right - Self.left)
    }
    let top = 62.0
    let bottom = top + Double(rows.count) * Self.rowHeight + 4

    var canvas = SVG()
    canvas.text(16, 26, title, size: 16, isBold: true)
    canvas.text(16, 47, axis, size: 13.5, color: SVG.quiet)
    for tick in scale.ticks {
      canvas.line((toX(tick), top), (toX(tick), bottom), SVG.grid)
      canvas.text(toX(tick), bottom + 20, format(tick), anchor: .middle, color: SVG.quiet)
    }
    canvas.line((Self.left, bottom), (Self.right, bottom), SVG.quiet)
    for (index, row) in rows.enumerated() {
      let y = top + (Double(index) + 0.5) * Self.rowHeight + 2
      canvas.text(Self.left - 14, y + 4.5, row.name, anchor: .end)
      // A bar's length is a comparison only if it starts at zero.
      if scale.kind == .linear {
        canvas.line((Self.left, y), (toX(row.value.middle), y), row.style.color, width: 2)
      } else {
        canvas.line((Self.left, y), (toX(row.value.middle), y), SVG.grid)
      }
      canvas.line((toX(row.value.low), y), (toX(row.value.high), y), row.style.color, width: 3)
      canvas.mark(toX(row.value.middle), y, row.style, note: row.name)
      canvas.text(
        toX(max(row.value.middle, row.value.high)) + 11, y + 4.5, format(row.value.middle),
        color: SVG.quiet)
    }
    return canvas.document(width: Self.width, height: bottom + 36, label: title)
  }
}
