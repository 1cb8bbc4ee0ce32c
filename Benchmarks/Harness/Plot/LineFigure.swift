/// Lines over a quantity, one for each series, labelled at their ends.
package struct LineFigure: Figure {
  package struct Point: Sendable {
    package let x: Double
    package let y: Estimate

    package init(x: Double, y: Estimate) {
      self.x = x
      self.y = y
    }
  }

  package struct Series: Sendable {
    package let name: String
    package let style: SeriesStyle
    package let points: [Point]

    package init(_ name: String, _ style: SeriesStyle, _ points: [Point]) {
      self.name = name
      self.style = style
      self.points = points.sorted { $0.x < $1.x }
    }
  }

  package let id: String
  package let title: String
  package let caption: String
  package let xTitle: String
  package let yTitle: String
  package let formatX: (Double) -> String
  package let formatY: (Double) -> String
  /// A value with a line of its own and what it means, such as the limit's.
  package let reference: (value: Double, name: String)?
  package let series: [Series]

  package init(
    id: String, title: String, caption: String, xTitle: String, yTitle: String,
    formatX: @escaping (Double) -> String, formatY: @escaping (Double) -> String,
    reference: (value: Double, name: String)? = nil, series: [Series]
  ) {
    self.id = id
    self.title = title
    self.caption = caption
    self.xTitle = xTitle
    self.yTitle = yTitle
    self.formatX = formatX
    self.formatY = formatY
    self.reference = reference
    self.series = series
  }

  private static let size = (width: 640.0, height: 400.0)
  private static let frame = (left: 72.0, right: 496.0, top: 64.0, bottom: 340.0)

  package var svg: String {
    let points = series.flatMap(\.points)
    let isOrdinal = points.contains { $0.x <= 0 }
    let places = Set(points.map(\.x)).sorted()
    // Zero has no logarithm: then the values stand side by side.
    let x = Scale(marking: isOrdinal ? places.indices.map { Double($0 + 1) } : places)
    let toX: (Double) -> Double = { value in
      let place =
        isOrdinal
        ? (Double(places.firstIndex(of: value)!) + 0.5) / Double(places.count) : x.position(value)
      return Self.frame.left + place * (Self.frame.right - Self.frame.left)
    }
    let y = Scale(
      .logarithmic,
      covering: points.flatMap { [$0.y.low, $0.y.high] } + (reference.map { [$0.value] } ?? []))
    let toY: (Double) -> Double = {
      Self.frame.bottom - y.position($0) * (Self.frame.bottom - Self.frame.top)
    }

    var canvas = SVG()
    canvas.text(16, 26, title, size: 16, isBold: true)
    canvas.text(16, 47, yTitle, size: 13.5, color: SVG.quiet)
    for tick in y.ticks {
      canvas.line((Self.frame.left, toY(tick)), (Self.frame.right, toY(tick)), SVG.grid)
      canvas.text(
        Self.frame.left - 9, toY(tick) + 4.5, formatY(tick), anchor: .end, color: SVG.quiet)
    }
    for tick in isOrdinal ? places : x.ticks {
      canvas.line(
        (toX(tick), Self.frame.bottom), (toX(tick), Self.frame.bottom + 5), SVG.quiet)
      canvas.text(
        toX(tick), Self.frame.bottom + 21, formatX(tick), anchor: .middle, color: SVG.quiet)
    }
    canvas.line(
      (Self.frame.left, Self.frame.bottom), (Self.frame.right, Self.frame.bottom), SVG.quiet)
    canvas.text(
      (Self.frame.left + Self.frame.right) / 2, Self.frame.bottom + 46, xTitle, size: 13.5,
      anchor: .middle, color: SVG.quiet)
    draw(on: &canvas, toX, toY)
    return canvas.document(width: Self.size.width, height: Self.size.height, label: title)
  }

  private func draw(
    on canvas: inout SVG, _ toX: (Double) -> Double, _ toY: (Double) -> Double
  ) {
    var labels: [(text: String, style: SeriesStyle, from: (Double, Double))] = []
    if let reference {
      let y = toY(reference.value)
      canvas.line(
        (Self.frame.left, y), (Self.frame.right, y), Palette.limit.color, width: 2, dash: "6 5")
      labels.append((reference.name, Palette.limit, (Self.frame.right, y)))
    }
    // In reverse, so that the series named first lie on top.
    for series in series.reversed() {
      let places = series.points.map { (toX($0.x), toY($0.y.middle)) }
      for (point, place) in zip(series.points, places)
      where toY(point.y.low) - toY(point.y.high) > 4 {
        canvas.line(
          (place.0, toY(point.y.low)), (place.0, toY(point.y.high)), series.style.color,
          width: 1.5)
      }
      canvas.path(places, series.style)
      for (point, place) in zip(series.points, places) {
        canvas.mark(
          place.0, place.1, series.style,
          note: "\(series.name), \(formatX(point.x)): \(formatY(point.y.middle)), "
            + "half of the rounds \(formatY(point.y.low)) to \(formatY(point.y.high))")
      }
      if let last = places.last { labels.append((series.name, series.style, last)) }
    }
    let heights = spreadApart(
      labels.map(\.from.1), gap: 19, within: Self.frame.top...Self.frame.bottom)
    for (label, height) in zip(labels, heights) {
      let start = Self.frame.right + 26
      canvas.line(
        (label.from.0 + 5, label.from.1), (start - 9, height), label.style.color, width: 0.8)
      canvas.sample(start, height, label.style)
      canvas.text(start + 11, height + 4.5, label.text)
    }
  }
}
